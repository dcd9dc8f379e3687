"""Random schemas: cubes joined as a tree, with rows that have NULLs, duplicates and lost keys."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

# Each measure by name, and what it is over the distinct rows of its cube.
MEASURES = {
    "count": ("{type: count}", "count(*)"),
    "total": ("{type: sum, sql: v}", "sum({c}_v)"),
    "dear": (
        '{type: sum, sql: w, filters: [{sql: "{CUBE}.g = 1"}]}',
        "sum({c}_w) FILTER (WHERE {c}_g = 1)",
    ),
    "average": ("{type: avg, sql: v}", "avg({c}_v)"),
    "middle": ("{type: median, sql: v}", "percentile_cont(0.5) WITHIN GROUP (ORDER BY {c}_v)"),
    "top": ("{type: max, sql: v}", "max({c}_v)"),
    "kinds": ("{type: count_distinct, sql: h}", "count(DISTINCT {c}_h)"),
    "ratio": (
        '{type: number, sql: "1.0 * {total} / NULLIF({count}, 0)"}',
        "1.0 * sum({c}_v) / NULLIF(count(*), 0)",
    ),
    "spread": ('{type: number, sql: "SUM({CUBE}.v * {CUBE}.v)"}', "sum({c}_v * {c}_v)"),
}

# Those that neighbours have as sub_query dimensions.
PER_ROW = ("count", "total", "middle")


@dataclass(frozen=True)
class CubeSpec:
    """A cube ``c<number>`` over a table ``t<number>``.

    Attributes:
        key: names of the primary key's columns.
        parent: the cube that its rows refer to by ``p1``, ``p2``; None for the first.
        rows: of the table, as SQL.
    """

    number: int
    key: tuple[str, ...]
    parent: int | None
    foreign_key: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def name(self) -> str:
        return f"c{self.number}"

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.key, *self.foreign_key, "g", "h", "v", "w")


@dataclass(frozen=True)
class Schema:
    """Cubes, and a view over all of them from one root."""

    cubes: tuple[CubeSpec, ...]
    root: int

    def tables(self) -> str:
        """The statements that make and fill the tables."""
        text = ""
        for cube in self.cubes:
            columns = ", ".join(f"{name} {_type(name)}" for name in cube.columns)
            text += f"CREATE TABLE t{cube.number} ({columns});\n"
            if cube.rows:
                rows = ", ".join(f"({', '.join(row)})" for row in cube.rows)
                text += f"INSERT INTO t{cube.number} VALUES {rows};\n"
        return text

    def condition(self, child: CubeSpec, left: str, right: str) -> str:
        """How a child and its parent are joined; ``{}`` in a side stands for the column."""
        assert child.parent is not None
        pairs = zip(child.foreign_key, self.cubes[child.parent].key, strict=True)
        return " AND ".join(f"{left.format(a)} = {right.format(b)}" for a, b in pairs)

    def model(self) -> str:
        """The cubes and the view as YAML."""
        lines = ["cubes:"]
        for cube in self.cubes:
            lines += [f"  - name: {cube.name}", f"    sql_table: t{cube.number}", "    joins:"]
            lines += [f"      - {item}" for item in self._joins(cube)]
            lines.append("    dimensions:")
            for name in cube.columns:
                kind = "string" if name == "h" else "number"
                key = ", primary_key: true" if name in cube.key else ""
                lines.append(f"      - {{name: {name}, type: {kind}, sql: {name}{key}}}")
            for other in self.neighbours(cube):
                for name in PER_ROW:
                    lines.append(
                        f"      - {{name: {name}_of_{other.name}, type: number, "
                        f'sql: "{{{other.name}.{name}}}", sub_query: true}}'
                    )
            lines.append("    measures:")
            for name, (text, _) in MEASURES.items():
                lines.append(f"      - {{name: {name}, {text[1:]}")
            for other in self.neighbours(cube):
                sql = f"{{total}} * 1000 + COALESCE({{{other.name}.total}}, 7)"
                lines.append(f'      - {{name: with_{other.name}, type: number, sql: "{sql}"}}')
        lines += ["views:", "  - name: v", "    cubes:"]
        for number in range(len(self.cubes)):
            path = ".".join(f"c{step}" for step in self.path(number))
            lines.append(f"      - {{join_path: {path}, prefix: true, includes: '*'}}")
        return "\n".join(lines) + "\n"

    def neighbours(self, cube: CubeSpec) -> list[CubeSpec]:
        """The cubes that one is joined with."""
        return [
            other
            for other in self.cubes
            if other.parent == cube.number or cube.parent == other.number
        ]

    def rows_of(self, cube: CubeSpec, other: CubeSpec) -> str:
        """The condition that a row of a neighbour, aliased ``x``, belongs to a row of a cube."""
        own = f"{cube.name}_{{}}"
        if other.parent == cube.number:
            return self.condition(other, "x.{}", own)
        return self.condition(cube, own, "x.{}")

    def _joins(self, cube: CubeSpec) -> list[str]:
        found = []
        for other in self.cubes:
            if cube.parent == other.number:
                sql = self.condition(cube, "{{CUBE}}.{}", f"{{{{{other.name}}}}}.{{}}")
                found.append(f'{{name: {other.name}, relationship: many_to_one, sql: "{sql}"}}')
            elif other.parent == cube.number:
                sql = self.condition(other, f"{{{{{other.name}}}}}.{{}}", "{{CUBE}}.{}")
                found.append(f'{{name: {other.name}, relationship: one_to_many, sql: "{sql}"}}')
        return found

    def path(self, number: int) -> list[int]:
        """The cubes from the root to one, both included."""
        ups = {cube.number: cube.parent for cube in self.cubes}

        def chain(start: int) -> list[int]:
            found = [start]
            while (above := ups[found[-1]]) is not None:
                found.append(above)
            return found

        here, there = chain(self.root), chain(number)
        meet = next(item for item in here if item in there)
        return here[: here.index(meet) + 1] + there[: there.index(meet)][::-1]


def _type(column: str) -> str:
    return {"h": "text", "w": "numeric(8,2)"}.get(column, "int")


def draw_schema(chosen: Random) -> Schema:
    """Two to four cubes."""
    cubes: list[CubeSpec] = []
    for number in range(chosen.randint(2, 4)):
        parent = None if number == 0 else chosen.randrange(number)
        key = ("k",) if chosen.random() < 0.7 else ("k1", "k2")
        width = 0 if parent is None else len(cubes[parent].key)
        foreign = tuple(f"p{place + 1}" for place in range(width))
        keys = [(str(n),) if len(key) == 1 else (str(n // 3), str(n % 3)) for n in range(12)]
        rows = [
            (*own, *(_small(chosen) for _ in foreign), *_values(chosen))
            for own in chosen.sample(keys, chosen.randint(0, 6))
        ]
        cubes.append(CubeSpec(number, key, parent, foreign, tuple(rows)))
    return Schema(tuple(cubes), chosen.randrange(len(cubes)))


def _small(chosen: Random) -> str:
    return chosen.choice(("0", "1", "2", "3", "NULL"))


def _values(chosen: Random) -> tuple[str, ...]:
    return (
        chosen.choice(("0", "1", "NULL")),
        chosen.choice(("'a'", "'b'", "NULL")),
        chosen.choice(("-1", "2", "2", "5", "100", "NULL")),
        chosen.choice(("0.50", "7.25", "7.25", "NULL")),
    )
