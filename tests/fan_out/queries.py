"""Random groupings over joins of a schema's cubes, and the same spelled out over base tables.

What is right is written without any of our terms: for each group, aggregates over ``SELECT DISTINCT
ON (primary key)`` of the joined rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from tests.fan_out.schemas import MEASURES, PER_ROW, Schema


@dataclass(frozen=True)
class Question:
    """A statement over cubes, and what PostgreSQL is asked instead."""

    ours: str
    plain: str


@dataclass(frozen=True)
class _Measured:
    """One result column: ours, and over the distinct rows of cube ``number`` (None: all rows)."""

    ours: str
    plain: str
    number: int | None
    filter: str = "true"


class Questions:
    """Draws questions about one schema."""

    def __init__(self, schema: Schema, chosen: Random) -> None:
        self._schema = schema
        self._chosen = chosen
        self._named: set[int] = set()
        self._in_view = False

    def draw(self) -> Question:
        self._in_view = False
        if self._chosen.random() < 0.35:
            return self._over_view()
        return self._over_joins()

    # FROM

    def _over_joins(self) -> Question:
        """Cubes joined as the schema says, or otherwise, in a random order of kinds."""
        cubes = self._schema.cubes
        chosen = self._chosen
        ours, plain = "c0", self._table(0)
        for cube in cubes[1:]:
            kind = chosen.choice(("INNER", "LEFT", "LEFT", "RIGHT", "FULL"))
            left, right = f"c{cube.number}.{{}}", f"c{cube.parent}.{{}}"
            own = self._schema.condition(cube, left, right)
            if kind in {"INNER", "LEFT"} and chosen.random() < 0.2:
                own = f"c{cube.number}.g >= c{chosen.randrange(cube.number)}.g"
            ours += f" {kind} JOIN {cube.name} ON {own}"
            plain += f" {kind} JOIN {self._table(cube.number)} ON {own}"
        columns = ", ".join(
            f"{cube.name}.{name} AS {cube.name}_{name}" for cube in cubes for name in cube.columns
        )
        joined = f"SELECT {columns} FROM {plain}"
        if chosen.random() < 0.3:
            names = [
                f"{cube.name}.{name} AS {cube.name}_{name}"
                for cube in cubes
                for name in (*cube.columns, *MEASURES, *self._made(cube.number))
            ]
            condition = self._condition("{}.{}")
            ours = f"(SELECT {', '.join(names)} FROM {ours} WHERE {condition}) q"
            return self._question(ours, f"{joined} WHERE {condition}", "{}_{}")
        return self._question(ours, joined, "{}.{}")

    def _over_view(self) -> Question:
        """The view: only the joins of members that are named are made."""
        self._named = {self._schema.root}
        self._in_view = True
        name = "v" if self._chosen.random() < 0.6 else "(SELECT * FROM v) v"
        return self._question(name, None, "{}_{}")

    def _joined_view(self) -> str:
        schema = self._schema
        made = [schema.root]
        text = self._table(schema.root)
        for number in self._named:
            for before, after in zip(schema.path(number), schema.path(number)[1:], strict=False):
                if after not in made:
                    made.append(after)
                    child = max(before, after)
                    on = schema.condition(
                        schema.cubes[child],
                        f"c{child}.{{}}",
                        f"c{schema.cubes[child].parent}.{{}}",
                    )
                    text += f" LEFT JOIN {self._table(after)} ON {on}"
        columns = ", ".join(
            f"c{number}.{name} AS c{number}_{name}"
            for number in made
            for name in schema.cubes[number].columns
        )
        return f"SELECT {columns} FROM {text}"

    def _table(self, number: int) -> str:
        return f"t{number} c{number}"

    # The rest

    def _question(self, source: str, joined: str | None, spelled: str) -> Question:
        chosen = self._chosen
        keys = [self._dimension() for _ in range(chosen.randint(0, 3))]
        keys = list(dict.fromkeys(keys))
        group, sets = self._grouping(keys, spelled)
        measured = [self._measured(spelled) for _ in range(chosen.randint(1, 4))]
        where = self._condition("{}_{}") if chosen.random() < 0.3 else "true"
        if joined is None:
            joined = self._joined_view()
        ours_where = where if spelled == "{}_{}" else where.replace("_", ".")
        items = [spelled.format(*key) + f" AS x{n}" for n, key in enumerate(keys)]
        items += [f"{item.ours} AS m{n}" for n, item in enumerate(measured)]
        ours = f"SELECT {', '.join(items)} FROM {source} WHERE {ours_where}{group}"
        parts = [self._plain_set(keys, used, measured) for used in sets]
        plain = f"WITH j AS (SELECT * FROM ({joined}) r WHERE {where}) {' UNION ALL '.join(parts)}"
        return Question(ours, plain)

    def _grouping(
        self, keys: list[tuple[str, str]], spelled: str
    ) -> tuple[str, list[list[tuple[str, str]]]]:
        names = [spelled.format(*key) for key in keys]
        if not keys:
            return "", [[]]
        form = self._chosen.choice(("plain", "plain", "rollup", "cube", "sets"))
        if form == "rollup":
            sets = [keys[:length] for length in range(len(keys), -1, -1)]
            return f" GROUP BY ROLLUP ({', '.join(names)})", sets
        if form == "cube":
            sets = [
                [key for place, key in enumerate(keys) if mask >> place & 1]
                for mask in range(2 ** len(keys))
            ]
            return f" GROUP BY CUBE ({', '.join(names)})", sets
        if form == "sets":
            text = f" GROUP BY GROUPING SETS (({', '.join(names)}), ({names[-1]}), ())"
            return text, [keys, [keys[-1]], []]
        return f" GROUP BY {', '.join(names)}", [keys]

    def _plain_set(
        self,
        keys: list[tuple[str, str]],
        used: list[tuple[str, str]],
        measured: list[_Measured],
    ) -> str:
        names = ["{}_{}".format(*key) for key in keys]
        kept = {"{}_{}".format(*key) for key in used}
        same = [f"j.{name} IS NOT DISTINCT FROM o.{name}" for name in names if name in kept]
        null = "(SELECT {} FROM j WHERE false)"
        items = [f"o.{name}" if name in kept else null.format(name) for name in names]
        for item in measured:
            rows = f"SELECT * FROM j WHERE {' AND '.join([*same, item.filter])}"
            once = "SELECT * FROM f"
            if item.number is not None:
                key = [f"c{item.number}_{name}" for name in self._schema.cubes[item.number].key]
                once = f"SELECT DISTINCT ON ({', '.join(key)}) * FROM f WHERE {key[0]} IS NOT NULL"
            items.append(f"(WITH f AS ({rows}), d AS ({once}) SELECT {item.plain} FROM d)")
        source = "(SELECT 1) o"
        if kept:
            source = (
                f"(SELECT DISTINCT {', '.join(name for name in names if name in kept)} FROM j) o"
            )
        return f"SELECT {', '.join(items)} FROM {source}"

    def _dimension(self) -> tuple[str, str]:
        cube = self._cube()
        return f"c{cube}", self._chosen.choice(("g", "h", *self._schema.cubes[cube].key))

    def _cube(self) -> int:
        number = self._chosen.randrange(len(self._schema.cubes))
        self._named.add(number)
        return number

    def _condition(self, spelled: str) -> str:
        cube, name = f"c{self._cube()}", self._chosen.choice(("g", "v"))
        text = self._chosen.choice(("{} > 0", "{} IS NULL", "{} <> 2", "{} IS NOT NULL"))
        return text.format(spelled.format(cube, name))

    def _made(self, number: int) -> list[str]:
        """The members of a cube that are made of its neighbours."""
        cube = self._schema.cubes[number]
        names = [other.name for other in self._schema.neighbours(cube)]
        per_row = [f"{name}_of_{other}" for other in names for name in PER_ROW]
        return [*per_row, *(f"with_{other}" for other in names)]

    def _neighbour(self, number: int, spelled: str) -> _Measured:
        """An aggregate of a sub_query dimension, or a measure made of two cubes."""
        cube = self._schema.cubes[number]
        other = self._chosen.choice(self._schema.neighbours(cube))
        own, belongs = cube.name, self._schema.rows_of(cube, other)
        source = f"t{other.number} x WHERE {belongs}"
        # In a view, what a measure is made of is joined as the view's own columns are.
        path = [*self._schema.path(cube.number), other.number]
        shared = self._in_view and self._schema.path(other.number) == path
        if self._chosen.random() < 0.5 or (shared and other.number not in self._named):
            name = self._chosen.choice(PER_ROW)
            value = MEASURES[name][1].replace("{c}_", "x.")
            call = spelled.format(own, f"{name}_of_{other.name}")
            absent = f"CASE WHEN {own}_{cube.key[0]} IS NOT NULL THEN"
            return _Measured(
                f"SUM({call})", f"sum({absent} (SELECT {value} FROM {source}) END)", None
            )
        key = [f"x.{name}" for name in other.key]
        # The neighbour's rows that belong to any of the rows that count.
        rows = f"SELECT DISTINCT {', '.join(key)}, x.v FROM d JOIN t{other.number} x ON {belongs}"
        if shared:
            key = [f"{other.name}_{name}" for name in other.key]
            rows = f"SELECT DISTINCT ON ({', '.join(key)}) {other.name}_v AS v FROM f"
            rows += f" WHERE {key[0]} IS NOT NULL"
        return _Measured(
            f"MEASURE({spelled.format(own, f'with_{other.name}')})",
            f"sum({own}_v) * 1000 + COALESCE((SELECT sum(v) FROM ({rows}) y), 7)",
            number,
        )

    def _measured(self, spelled: str) -> _Measured:
        chosen = self._chosen
        number = self._cube()
        cube = f"c{number}"
        form = chosen.choice(
            ("measure",) * 6 + ("filter", "filter", "rows", "case", "plain", "made", "made")
        )
        if form == "plain":
            value = spelled.format(cube, "v")
            return chosen.choice(
                (
                    _Measured("COUNT(*)", "count(*)", None),
                    _Measured(f"SUM({value})", f"sum({cube}_v)", None),
                    _Measured(f"COUNT(DISTINCT {value})", f"count(DISTINCT {cube}_v)", None),
                )
            )
        if form == "made":
            return self._neighbour(number, spelled)
        total = spelled.format(cube, "total")
        if form == "rows":
            return chosen.choice(
                (
                    _Measured(f"AVG({total})", f"avg({cube}_v)", number),
                    _Measured(f"SUM({total} * 2)", f"sum({cube}_v * 2)", number),
                    _Measured(f"COUNT({total})", f"count({cube}_v)", number),
                )
            )
        condition = self._condition("{}_{}")
        ours = condition if spelled == "{}_{}" else condition.replace("_", ".")
        if form == "case":
            return _Measured(
                f"SUM(CASE WHEN {ours} THEN {total} END)", f"sum({cube}_v)", number, condition
            )
        name = chosen.choice(tuple(MEASURES))
        plain = MEASURES[name][1].format(c=cube)
        call = f"MEASURE({spelled.format(cube, name)})"
        if form == "filter":
            return _Measured(f"{call} FILTER (WHERE {ours})", plain, number, condition)
        return _Measured(call, plain, number)
