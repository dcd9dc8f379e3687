"""Random joins of the cubes of ``joins.yml``, and the same over plain tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from tests.oracle.statements import Case

DIMENSIONS = {
    "regions": ("id", "title"),
    "customers": ("id", "region_id", "name", "city"),
    "orders": ("id", "customer_id", "status", "placed"),
    "refunds": ("id", "customer_id", "reason"),
    "lines": ("order_id", "line", "sku", "quantity"),
    "products": ("id", "sku", "current", "kind"),
    "stock": ("product_id", "shelf"),
    "trips": ("id", "from_id", "to_id"),
}
KEYS = {"lines": ("order_id", "line"), "stock": ("product_id",)}
# By measure: the aggregate over {x}, and what x is of a row.
MEASURES = {
    "regions": {"count": ("COUNT({x})", "1")},
    "customers": {
        "count": ("COUNT({x})", "1"),
        "total_credit": ("SUM({x})", "{a}.credit"),
        "cities": ("COUNT(DISTINCT {x})", "{a}.city"),
    },
    "orders": {
        "count": ("COUNT({x})", "1"),
        "revenue": ("SUM({x})", "{a}.amount"),
        "avg_amount": ("AVG({x})", "{a}.amount"),
        "largest": ("MAX({x})", "{a}.amount"),
        "open_revenue": ("SUM({x})", "CASE WHEN {a}.status = 'open' THEN {a}.amount END"),
    },
    "refunds": {"count": ("COUNT({x})", "1"), "paid_back": ("SUM({x})", "{a}.amount")},
    "lines": {"total": ("SUM({x})", "{a}.price"), "pieces": ("SUM({x})", "{a}.quantity")},
    "products": {"count": ("COUNT({x})", "1")},
    "stock": {"pieces": ("SUM({x})", "{a}.pieces")},
    "trips": {"count": ("COUNT({x})", "1"), "miles": ("SUM({x})", "{a}.miles")},
}
CONDITIONS = {
    "customers": "{a}.city = 'Rome'",
    "regions": "{a}.id < 3",
    "orders": "{a}.status <> 'closed'",
    "refunds": "{a}.reason = 'late'",
    "lines": "{a}.quantity > 1",
    "products": "{a}.current",
    "stock": "{a}.shelf IS NOT NULL",
    "trips": "{a}.to_id > 1",
}


@dataclass(frozen=True, slots=True)
class Edge:
    """A join of the model: a row of ``many`` has one of ``one``; ``field`` if it is the only."""

    many: str
    one: str
    on: str
    field: bool = True
    full: bool = True


EDGES = (
    Edge("customers", "regions", "{m}.region_id = {o}.id"),
    Edge("orders", "customers", "{m}.customer_id = {o}.id"),
    Edge("refunds", "customers", "{m}.customer_id = {o}.id"),
    Edge("lines", "orders", "{m}.order_id = {o}.id"),
    Edge("lines", "products", "{m}.sku = {o}.sku AND {o}.current", full=False),
    Edge("stock", "products", "{m}.product_id = {o}.id"),
    Edge("trips", "regions", "{m}.from_id = {o}.id", field=False),
    Edge("trips", "regions", "{m}.to_id = {o}.id", field=False),
)


@dataclass(slots=True)
class Joined:
    """A FROM clause over cubes, the same over tables, and the cubes by alias."""

    ours: str
    plain: str
    cubes: dict[str, str] = field(default_factory=dict)
    merged: list[str] = field(default_factory=list)
    """Columns that USING has merged, and that a name without a table means."""


class RandomJoins:
    """Makes statements of a seed."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def case(self) -> Case:
        joined = self._chain() if self._random.random() < 0.35 else self._written()
        if self._random.random() < 0.4:
            return self._rows(joined)
        return self._groups(joined)

    # FROM

    def _written(self) -> Joined:
        """Joins of any kind with their conditions."""
        first = self._random.choice(sorted(DIMENSIONS))
        made = Joined(f"{first} a0", f"{first} a0", {"a0": first})
        for number in range(1, self._random.randint(2, 4)):
            alias = f"a{number}"
            if self._random.random() < 0.3 and self._using(made, alias):
                continue
            before, edge = self._edge(made)
            if edge is None:
                break
            forward = edge.many == made.cubes[before]
            cube = edge.one if forward else edge.many
            names = {"m": before, "o": alias} if forward else {"m": alias, "o": before}
            kinds = ["JOIN", "LEFT JOIN", "RIGHT JOIN", *(["FULL JOIN"] if edge.full else [])]
            kind = self._random.choice(kinds)
            on = edge.on.format(**names)
            made.plain += f" {kind} {cube} {alias} ON {on}"
            if edge.field and self._random.random() < 0.4:
                on = f"{alias}.__cubeJoinField = {before}.__cubeJoinField"
            made.ours += f" {kind} {cube} {alias} ON {on}"
            made.cubes[alias] = cube
            made.merged = [item for item in made.merged if item not in DIMENSIONS[cube]]
        return made

    def _using(self, made: Joined, alias: str) -> bool:
        """A join by a column that both sides have under one name, once each."""
        name = self._random.choice(["id", "customer_id", "sku"])
        having = [cube for cube in made.cubes.values() if name in DIMENSIONS[cube]]
        if len(having) != 1 and name not in made.merged:
            return False
        cube = self._random.choice(
            [cube for cube in sorted(DIMENSIONS) if name in DIMENSIONS[cube]]
        )
        kind = self._random.choice(["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"])
        made.plain += f" {kind} {cube} {alias} USING ({name})"
        made.ours += f" {kind} {cube} {alias} USING ({name})"
        made.cubes[alias] = cube
        made.merged = [item for item in made.merged if item not in DIMENSIONS[cube]]
        made.merged.append(name)
        return True

    def _edge(self, made: Joined) -> tuple[str, Edge | None]:
        found = [
            (alias, edge)
            for alias, cube in made.cubes.items()
            for edge in EDGES
            if cube in (edge.many, edge.one)
        ]
        return self._random.choice(found) if found else ("", None)

    def _chain(self) -> Joined:
        """CROSS JOIN of cubes that one of them reaches, in any order."""
        first = self._random.choice(["orders", "lines", "refunds", "customers", "stock"])
        cubes = {"a0": first}
        plain = f"{first} a0"
        for number in range(1, self._random.randint(2, 4)):
            found = [
                (alias, edge)
                for alias, cube in cubes.items()
                for edge in EDGES
                if edge.many == cube and edge.one not in cubes.values()
            ]
            if not found:
                break
            before, edge = self._random.choice(found)
            alias = f"a{number}"
            plain += f" LEFT JOIN {edge.one} {alias} ON {edge.on.format(m=before, o=alias)}"
            cubes[alias] = edge.one
        items = [f"{cube} {alias}" for alias, cube in cubes.items()]
        if set(cubes.values()) != {"orders", "lines"} and "lines" not in cubes.values():
            # Lines and orders are joined from both sides, so that the first keeps its rows.
            self._random.shuffle(items)
        return Joined(self._random.choice([" CROSS JOIN ", ", "]).join(items), plain, cubes)

    # SELECT

    def _columns(self, joined: Joined, count: int) -> list[str]:
        all_columns = [
            f"{alias}.{name}" for alias, cube in joined.cubes.items() for name in DIMENSIONS[cube]
        ]
        all_columns += joined.merged * 3
        return self._random.sample(all_columns, min(count, len(all_columns)))

    def _where(self, joined: Joined) -> str:
        if self._random.random() < 0.5:
            return ""
        alias, cube = self._random.choice(sorted(joined.cubes.items()))
        text = CONDITIONS[cube].format(a=alias)
        return f" WHERE {text if self._random.random() < 0.7 else f'({text}) IS NOT TRUE'}"

    def _rows(self, joined: Joined) -> Case:
        columns = self._columns(joined, 4)
        names = ", ".join(f"{column} AS c{i}" for i, column in enumerate(columns))
        where = self._where(joined)
        return Case(
            f"SELECT {names} FROM {joined.ours}{where}",
            f"SELECT {names} FROM {joined.plain}{where}",
        )

    def _groups(self, joined: Joined) -> Case:
        """Each measure is over the rows of its cube, each counted once in a group."""
        keys = self._columns(joined, self._random.randint(0, 2))
        measures = [
            (alias, name)
            for alias, cube in joined.cubes.items()
            for name in MEASURES[cube]
            if self._random.random() < 0.4
        ] or [("a0", sorted(MEASURES[joined.cubes["a0"]])[0])]
        where = self._where(joined)
        ours = [f"{key} AS k{i}" for i, key in enumerate(keys)]
        outer = [f"k{i}" for i, _ in enumerate(keys)]
        inner = list(ours)
        for number, (alias, name) in enumerate(measures):
            cube = joined.cubes[alias]
            call, value = MEASURES[cube][name]
            row = [f"{alias}.{column}" for column in KEYS.get(cube, ("id",))]
            parts = ", ".join([*keys, *row])
            is_there = " AND ".join(f"{column} IS NOT NULL" for column in row)
            ours.append(f"MEASURE({alias}.{name}) AS m{number}")
            inner.append(f"{value.format(a=alias)} AS x{number}")
            inner.append(
                f"{is_there} AND row_number() OVER (PARTITION BY {parts}) = 1 AS f{number}"
            )
            outer.append(f"{call.format(x=f'x{number}')} FILTER (WHERE f{number}) AS m{number}")
        ours.append("COUNT(*) AS n")
        outer.append("COUNT(*) AS n")
        group = f" GROUP BY {', '.join(f'k{i}' for i, _ in enumerate(keys))}" if keys else ""
        return Case(
            f"SELECT {', '.join(ours)} FROM {joined.ours}{where}{group}",
            f"SELECT {', '.join(outer)} FROM (SELECT {', '.join(inner)} FROM {joined.plain}{where})"
            f" q{group}",
        )
