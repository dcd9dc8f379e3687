"""Random groupings over joins of a schema's cubes, and the same spelled out over base tables.

What is right is written without any of our terms: for each group, aggregates over ``SELECT DISTINCT
ON (primary key)`` of the joined rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from tests.fan_out.schemas import MEASURES, PER_ROW, Schema

KINDS = ("INNER", "LEFT", "LEFT", "RIGHT", "FULL")


@dataclass(frozen=True)
class Question:
    """A statement over cubes, and what PostgreSQL is asked instead."""

    ours: str
    plain: str


@dataclass(frozen=True)
class _Expression:
    """The same over cubes and over the joined base rows."""

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
        # How the columns of a cube are written, by its number.
        self._spelled: dict[int, str] = {}

    def draw(self) -> Question:
        self._in_view = self._chosen.random() < 0.35
        return self._over_view() if self._in_view else self._over_joins()

    # FROM

    def _over_joins(self) -> Question:
        """Cubes joined as the schema says, or otherwise; the first of them in a subquery or not."""
        cubes = self._schema.cubes
        chosen = self._chosen
        self._spelled = {cube.number: f"{cube.name}.{{}}" for cube in cubes}
        inside = chosen.choice((0, 0, *range(1, len(cubes) + 1)))
        ours, plain, head = "c0", self._table(0), ""
        for cube in cubes:
            if cube.number > 0:
                kind = chosen.choice(KINDS)
                on = self._join(cube.number, kind)
                ours += f" {kind} JOIN {cube.name} ON {on}"
                plain += f" {kind} JOIN {self._table(cube.number)} ON {on}"
            if cube.number == inside - 1:
                condition = self._condition(range(inside))
                names = [
                    f"{other.name}.{name} AS {other.name}_{name}"
                    for other in cubes[:inside]
                    for name in (*other.columns, *MEASURES, *self._made(other.number))
                ]
                query = f"SELECT {', '.join(names)} FROM {ours} WHERE {condition.ours}"
                text = condition.plain.replace("_", ".")
                plain = f"({self._columns(range(inside), plain)} WHERE {text}) q"
                for number in range(inside):
                    self._spelled[number] = f"q.c{number}_{{}}"
                ours = f"({query}) q"
                if chosen.random() < 0.4:
                    head, ours = f"WITH q AS ({query}) ", "q"
        return self._question(ours, self._columns(range(len(cubes)), plain, inside), head)

    def _join(self, number: int, kind: str) -> str:
        """The condition of one more join, over the cubes before it: the same on both sides."""
        cube = self._schema.cubes[number]
        if kind in {"INNER", "LEFT"} and self._chosen.random() < 0.2:
            other = self._chosen.randrange(number)
            return f"c{number}.g >= {self._ours(other, 'g')}"
        assert cube.parent is not None
        return self._schema.condition(cube, f"c{number}.{{}}", self._spelled[cube.parent])

    def _ours(self, number: int, name: str) -> str:
        return self._spelled[number].format(name)

    def _columns(self, numbers: range, source: str, inside: int = 0) -> str:
        names = [
            f"q.c{number}_{name}" if number < inside else f"c{number}.{name} AS c{number}_{name}"
            for number in numbers
            for name in self._schema.cubes[number].columns
        ]
        return f"SELECT {', '.join(names)} FROM {source}"

    def _over_view(self) -> Question:
        """The view: only the joins of members that are named are made."""
        self._named = {self._schema.root}
        self._spelled = {cube.number: f"{cube.name}_{{}}" for cube in self._schema.cubes}
        name = "v" if self._chosen.random() < 0.6 else "(SELECT * FROM v) v"
        return self._question(name, None, "")

    def _joined_view(self) -> str:
        schema = self._schema
        made = [schema.root]
        text = self._table(schema.root)
        for number in self._named:
            for before, after in zip(schema.path(number), schema.path(number)[1:], strict=False):
                if after not in made:
                    made.append(after)
                    child = schema.cubes[max(before, after)]
                    on = schema.condition(child, f"{child.name}.{{}}", f"c{child.parent}.{{}}")
                    text += f" LEFT JOIN {self._table(after)} ON {on}"
        columns = [
            f"c{number}.{name} AS c{number}_{name}"
            for number in made
            for name in schema.cubes[number].columns
        ]
        return f"SELECT {', '.join(columns)} FROM {text}"

    def _table(self, number: int) -> str:
        return f"t{number} c{number}"

    # The rest

    def _question(self, source: str, joined: str | None, head: str) -> Question:
        chosen = self._chosen
        keys = list(dict.fromkeys(self._key() for _ in range(chosen.randint(0, 3))))
        group, sets = self._grouping(keys)
        measured = [self._measured() for _ in range(chosen.randint(1, 4))]
        where = self._condition() if chosen.random() < 0.3 else _Expression("true", "true")
        having = chosen.random() < 0.2
        items = [f"{key.ours} AS x{n}" for n, key in enumerate(keys)]
        items += [f"{item.ours} AS m{n}" for n, item in enumerate(measured)]
        ours = f"{head}SELECT {', '.join(items)} FROM {source} WHERE {where.ours}{group}"
        parts = [self._plain_set(keys, used, measured) for used in sets]
        plain = f"SELECT * FROM ({joined or self._joined_view()}) r WHERE {where.plain}"
        plain = f"WITH j AS ({plain}) SELECT * FROM ({' UNION ALL '.join(parts)}) z"
        if having:
            ours += f" HAVING {measured[0].ours} > 1"
            plain += " WHERE m0 > 1"
        return Question(ours, plain)

    def _grouping(self, keys: list[_Expression]) -> tuple[str, list[list[_Expression]]]:
        names = [key.ours for key in keys]
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
        self, keys: list[_Expression], used: list[_Expression], measured: list[_Measured]
    ) -> str:
        """The groups of one grouping set; ``o`` has a row for each."""
        groups = [f"{key.plain} AS x{n}" for n, key in enumerate(keys) if key in used]
        same = [
            f"{key.plain} IS NOT DISTINCT FROM o.x{n}" for n, key in enumerate(keys) if key in used
        ]
        items = [
            f"o.x{n}" if key in used else f"(SELECT {key.plain} FROM j WHERE false) AS x{n}"
            for n, key in enumerate(keys)
        ]
        for place, item in enumerate(measured):
            rows = f"SELECT * FROM j WHERE {' AND '.join([*same, item.filter])}"
            once = "SELECT * FROM f"
            if item.number is not None:
                key = [f"c{item.number}_{name}" for name in self._schema.cubes[item.number].key]
                once = f"SELECT DISTINCT ON ({', '.join(key)}) * FROM f WHERE {key[0]} IS NOT NULL"
            value = f"(WITH f AS ({rows}), d AS ({once}) SELECT {item.plain} FROM d)"
            items.append(f"{value} AS m{place}")
        source = f"(SELECT DISTINCT {', '.join(groups)} FROM j) o" if groups else "(SELECT 1) o"
        return f"SELECT {', '.join(items)} FROM {source}"

    def _key(self) -> _Expression:
        number = self._cube()
        form = "{}"
        name = self._chosen.choice(("g", "h", *self._schema.cubes[number].key))
        if name != "h":
            form = self._chosen.choice(("{}", "{}", "COALESCE({}, 7)", "{} + 1", "({} > 0)"))
        return _Expression(form.format(self._ours(number, name)), form.format(f"c{number}_{name}"))

    def _cube(self) -> int:
        number = self._chosen.randrange(len(self._schema.cubes))
        self._named.add(number)
        return number

    def _condition(self, numbers: range | None = None) -> _Expression:
        number = self._cube() if numbers is None else self._chosen.choice(numbers)
        name = self._chosen.choice(("g", "v"))
        text = self._chosen.choice(("{} > 0", "{} IS NULL", "{} <> 2", "{} IS NOT NULL"))
        return _Expression(text.format(self._ours(number, name)), text.format(f"c{number}_{name}"))

    def _made(self, number: int) -> list[str]:
        """The members of a cube that are made of its neighbours."""
        cube = self._schema.cubes[number]
        names = [other.name for other in self._schema.neighbours(cube)]
        per_row = [f"{name}_of_{other}" for other in names for name in PER_ROW]
        return [*per_row, *(f"with_{other}" for other in names)]

    def _neighbour(self, number: int) -> _Measured:
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
            call = self._ours(number, f"{name}_of_{other.name}")
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
            f"MEASURE({self._ours(number, f'with_{other.name}')})",
            f"sum({own}_v) * 1000 + COALESCE((SELECT sum(v) FROM ({rows}) y), 7)",
            number,
        )

    def _measured(self) -> _Measured:
        chosen = self._chosen
        number = self._cube()
        cube = f"c{number}"
        others = ("filter", "filter", "rows", "case", "plain", "made", "made")
        form = chosen.choice(("measure",) * 6 + others)
        if form == "plain":
            value = self._ours(number, "v")
            return chosen.choice(
                (
                    _Measured("COUNT(*)", "count(*)", None),
                    _Measured(f"SUM({value})", f"sum({cube}_v)", None),
                    _Measured(f"COUNT(DISTINCT {value})", f"count(DISTINCT {cube}_v)", None),
                )
            )
        if form == "made":
            return self._neighbour(number)
        total = self._ours(number, "total")
        if form == "rows":
            return chosen.choice(
                (
                    _Measured(f"AVG({total})", f"avg({cube}_v)", number),
                    _Measured(f"SUM({total} * 2)", f"sum({cube}_v * 2)", number),
                    _Measured(f"COUNT({total})", f"count({cube}_v)", number),
                )
            )
        if form == "case":
            condition = self._condition()
            ours = f"SUM(CASE WHEN {condition.ours} THEN {total} END)"
            return _Measured(ours, f"sum({cube}_v)", number, condition.plain)
        name = chosen.choice(tuple(MEASURES))
        plain = MEASURES[name][1].format(c=cube)
        call = f"MEASURE({self._ours(number, name)})"
        if form == "filter":
            condition = self._condition()
            ours = f"{call} FILTER (WHERE {condition.ours})"
            return _Measured(ours, plain, number, condition.plain)
        return _Measured(call, plain, number)
