"""Random rollups of the sales, random statements over them, and random rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from random import Random

from semantic.model.model import Model
from semantic.model.preaggregation import PreAggregation, RollupTime
from semantic.model.template import Reference
from tests.rollups.random_policies import GROUP, Rights, rights
from tests.rollups.warehouses import WHOLE, Bounds

DIMENSIONS = ("kind", "shop_id", "city", "is_large", "units")
MEASURES = (
    "count", "large_count", "noted", "amount", "large_amount", "total_units", "weight",
    "average_amount", "average_units", "average_weight", "smallest", "largest", "first_sale",
    "shops_used", "per_sale", "net_units", "large_share", "shops_about", "large_kinds_about",
    "typical_amount", "high_weight",
)  # fmt: skip
GRANULARITIES = {
    "sold_at": ("quarter_hour", "hour", "day", "week", "month", "quarter", "fiscal_year", "sprint"),
    "seen_at": ("second", "minute", "quarter_hour", "hour", "day", "month"),
    "day": ("day", "week", "month", "year"),
}
UNITS = ("hour", "day", "week", "month", "quarter", "year")
ZONES = ("UTC", "UTC", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe")
GROUPS = (None, None, None, "everything", "kinds", "shops", "units", "masked", *[GROUP] * 4)
# Changes of clocks in 2024, starts of periods, and what is beside them.
_MOMENTS = (
    "2023-12-31 23:59:59.999999", "2024-01-01 00:00:00", "2024-01-01 00:07:00",
    "2024-02-29 12:30:00", "2024-03-01 00:00:00", "2024-03-10 06:59:00", "2024-03-10 07:00:00",
    "2024-03-31 00:59:59", "2024-04-01 00:00:00", "2024-04-06 14:45:00", "2024-04-06 15:30:00",
    "2024-10-27 00:45:00", "2024-11-03 05:30:00", "2024-11-03 06:10:00", "2025-01-06 00:00:00",
    "1921-05-01 10:03:20", "1985-12-31 18:20:00",
)  # fmt: skip
_LITERALS = (
    "2024-01-01", "2024-03-01", "2024-04-01", "2024-03-10 07:00", "2024-03-10 12:34:56",
    "2024-03-31 23:59:59.999999", "2024-10-27", "2025-01-01", "2024-02-29 12:00", "1950-01-01",
)  # fmt: skip


def rows(random: Random) -> list[str]:
    """VALUES of the table of sales."""
    found = []
    for number in range(random.randint(0, 16)):
        columns = [
            str(number),
            random.choice(["NULL", "1", "2", "3", "4", "9"]),
            random.choice(["NULL", "'a'", "'a'", "'b'", "'B'"]),
            random.choice(["NULL", "0", "1", "3", "5", "8", "2147483647"]),
            random.choice(["NULL", "0.00", "9.99", "10.00", "-3.50", "99999999.99"]),
            random.choice(["NULL", "0.5", "-2.25", "3", "0"]),
        ]
        for ending, length in (("", None), ("+00", None), ("", len("2024-01-01"))):
            time = random.choice([None, *_MOMENTS, *_MOMENTS])
            columns.append("NULL" if time is None else f"'{time[:length]}{ending}'")
        found.append(f"({', '.join(columns)})")
    return found


@dataclass(frozen=True)
class Built:
    """A rollup and the ranges that are built of it."""

    item: PreAggregation
    ranges: tuple[Bounds, ...]


def _references(names: list[str]) -> tuple[Reference, ...]:
    return tuple(Reference((name,)) for name in names)


def rollup(random: Random, name: str) -> Built:
    """A rollup of some members, perhaps of a time, perhaps in parts."""
    measures = random.sample(MEASURES, random.randint(3, 12))
    if random.random() < 0.8:
        measures = list(dict.fromkeys(["count", *measures]))
    time = random.choice([None, "sold_at", "sold_at", "seen_at", "seen_at", "day"])
    times: tuple[RollupTime, ...] = ()
    partition = None
    ranges: tuple[Bounds, ...] = (WHOLE,)
    if time is not None:
        granularity = random.choice([None, *GRANULARITIES[time], *GRANULARITIES[time]])
        times = (RollupTime(Reference((time,)), granularity),)
        if random.random() < 0.4:
            partition = random.choice(["day", "month", "year"])
            ranges = _ranges(random)
    union = random.random() < 0.7
    if times and random.random() < 0.15:
        # The rows themselves, which answer everything.
        item = PreAggregation(
            name,
            type="original_sql",
            time_dimensions=times,
            partition_granularity=partition,
            union_with_source_data=union,
        )
        return Built(item, ranges)
    item = PreAggregation(
        name,
        measures=_references(measures),
        dimensions=_references(random.sample(DIMENSIONS, random.randint(0, 4)))
        + ((Reference(("shops", "id")),) if random.random() < 0.25 else ()),
        segments=_references(["cheap"] if random.random() < 0.4 else []),
        time_dimensions=times,
        partition_granularity=partition,
        union_with_source_data=union,
    )
    return Built(item, ranges)


def _ranges(random: Random) -> tuple[Bounds, ...]:
    cuts = ["2024-01-01", "2024-03-01", "2024-10-27"]
    cuts = sorted(random.sample(cuts, random.randint(0, 3)))
    edges = [None, *(datetime.fromisoformat(cut).replace(tzinfo=UTC) for cut in cuts), None]
    found = list(pairwise(edges))
    if len(found) > 1 and random.random() < 0.6:
        found.pop(random.randrange(len(found)))
    return tuple(found)


def with_rollups(model: Model, built: list[Built]) -> Model:
    """A model whose sales have these pre-aggregations and no others."""
    items = tuple(item.item for item in built)
    cubes = tuple(
        replace(cube, pre_aggregations=items if cube.name == "sales" else ())
        for cube in model.cubes
    )
    return replace(model, cubes=cubes)


class Statements:
    """Draws a statement that a rollup has a fair chance to answer."""

    def __init__(self, random: Random, built: Built) -> None:
        self._random = random
        item = built.item
        self._dimensions = [
            reference.path[0] for reference in item.dimensions if len(reference.path) == 1
        ]
        self._measures = [reference.path[-1] for reference in item.measures] or list(MEASURES)
        self._segments = [reference.path[-1] for reference in item.segments]
        self._times = [(time.dimension.path[-1], time.granularity) for time in item.time_dimensions]

    def _one(self, *items: str) -> str:
        return self._random.choice(items)

    def _seldom(self) -> bool:
        return self._random.random() < 0.06

    def dimension(self) -> str:
        names = [*self._dimensions, *self._segments]
        if self._seldom() or not names:
            names = list(DIMENSIONS)
        return self._one(*names)

    def measure(self) -> str:
        return self._one(*(MEASURES if self._seldom() else self._measures))

    def time(self) -> str:
        """A value of a time dimension that periods decide."""
        known = self._times or [("sold_at", None)]
        name, granularity = self._random.choice(known)
        units = list(UNITS)
        if granularity in UNITS and not self._seldom():
            units = units[units.index(granularity) :]
            units = [unit for unit in units if granularity != "week" or unit == "week"] or units
        unit = self._one(*units)
        forms = [f"date_trunc('{unit}', {name})"] * 3
        forms += [f"CAST({name} AS date)", f"EXTRACT({unit} FROM {name})"]
        if name == "sold_at":
            forms += ["sold_at_fiscal_year", "date_trunc('sprint', sold_at)"]
        if name == "seen_at":
            forms.append(f"date_trunc('{unit}', seen_at AT TIME ZONE 'Asia/Kolkata')")
        return self._one(*forms)

    def key(self) -> str:
        if self._times and self._random.random() < 0.5:
            return self.time()
        name = self.dimension()
        forms = [name] * 4
        if name in {"kind", "city"}:
            forms += [f"upper({name})", f"COALESCE({name}, '-')", f"length({name})"]
        if name in {"shop_id", "units"}:
            forms += [f"CASE WHEN {name} > 2 THEN 'many' ELSE 'few' END", f"{name} / 2"]
        return self._one(*forms)

    def condition(self) -> str:
        if self._times and self._random.random() < 0.7:
            name = self._times[0][0]
            literal = self._one(*_LITERALS)
            if name == "day":
                literal = literal[:10]
            other = self._one(*_LITERALS)[:10]
            return self._one(
                f"{name} >= '{literal}'",
                f"{name} < '{literal}'",
                f"'{literal}' >= {name}",
                f"{name} > '{literal}'",
                f"{name} BETWEEN '{other}' AND '{literal}'",
                f"{name} IS NOT NULL",
                f"{name} IS NULL",
                f"{self.time()} IS NOT NULL",
                f"{name} >= '{literal}' AND {name} < '{other}'",
            )
        name = self.dimension()
        if name in {"kind", "city"}:
            return self._one(
                f"{name} = 'a'",
                f"{name} <> 'b'",
                f"{name} IN ('a', 'Rome')",
                f"{name} IS NULL",
                f"lower({name}) = 'b'",
            )
        if name in {"shop_id", "units"}:
            return self._one(
                f"{name} > 1",
                f"{name} = 1",
                f"{name} IS NOT DISTINCT FROM NULL",
                f"{name} IN (SELECT id FROM shops WHERE size > 1)",
                f"EXISTS (SELECT 1 FROM shops AS x WHERE x.id = {name})",
            )
        return self._one(name, f"NOT {name}", f"{name} IS NULL")

    def aggregate(self) -> str:
        measure = self.measure()
        forms = [f"MEASURE({measure})"] * 4 + ["COUNT(*)"]
        if measure in {"amount", "total_units", "weight", "large_amount"}:
            forms += [
                f"{function}({measure})" for function in ("SUM", "AVG", "MIN", "MAX", "COUNT")
            ]
        forms += [f"COUNT(DISTINCT {self.dimension()})", f"COUNT({self.dimension()})"]
        forms.append(f"SUM(CASE WHEN {self.condition()} THEN 1 ELSE 0 END)")
        found = self._one(*forms)
        if self._random.random() < 0.2:
            found += f" FILTER (WHERE {self.condition()})"
        return found

    def where(self) -> str:
        count = self._random.choice([0, 1, 1, 2])
        conditions = [self.condition() for _ in range(count)]
        return f" WHERE {' AND '.join(conditions)}" if conditions else ""

    def grouped(self, source: str = "sales") -> str:
        keys = list(dict.fromkeys(self.key() for _ in range(self._random.randint(0, 3))))
        values = [self.aggregate() for _ in range(self._random.randint(1, 3))]
        items = [f"{key} AS k{number}" for number, key in enumerate(keys)]
        items += [f"{value} AS v{number}" for number, value in enumerate(values)]
        group = ""
        if keys:
            kind = self._one("", "", "", "ROLLUP", "CUBE")
            listed = ", ".join(keys)
            group = f" GROUP BY {kind} ({listed})" if kind else f" GROUP BY {listed}"
        having = self._one("", "", "", " HAVING COUNT(*) > 1")
        return f"SELECT {', '.join(items)} FROM {source}{self.where()}{group}{having}"

    def joined(self) -> str:
        """A join that is the model's, but for its kind perhaps or what it demands besides."""
        on = self._one("sales.shop_id = s.id", "s.id = sales.shop_id")
        source = self._one(
            f"sales LEFT JOIN shops AS s ON {on}",
            f"sales LEFT JOIN shops AS s ON {on}",
            f"sales JOIN shops AS s ON {on}",
            f"shops AS s RIGHT JOIN sales ON {on}",
            f"shops AS s JOIN sales ON {on} AND s.city <> 'Oslo'",
            f"sales LEFT JOIN shops AS s ON {on} AND s.size > 1",
        )
        key = self._one(
            "s.city", "s.city", "COALESCE(s.city, '-')", "s.city = 'Rome'", "sales.kind"
        )
        values = [
            f"MEASURE(sales.{self.measure()})",
            self._one("COUNT(*)", "COUNT(s.city)", "COUNT(DISTINCT s.city)", "MAX(s.city)"),
        ]
        condition = self._one(
            "TRUE", "s.city = 'Rome'", "s.city IS NULL", "s.city IS NOT NULL", "s.city <> 'Oslo'",
            "s.city IN ('Rome', 'Oslo')", "sales.kind = 'a'", "NOT s.city = 'Oslo'",
        )  # fmt: skip
        return f"SELECT {key}, {', '.join(values)} FROM {source} WHERE {condition} GROUP BY {key}"

    def statement(self) -> str:
        kind = self._random.randrange(10)
        if kind == 0:
            return f"SELECT COUNT(*), MIN(v0) FROM ({self.grouped()}) AS q"
        if kind == 1:
            return f"WITH q AS ({self.grouped()}) SELECT q.v0, COUNT(*) OVER () FROM q"
        if kind == 2:
            return f"SELECT DISTINCT {self.key()}, {self.key()} FROM sales{self.where()}"
        if kind == 3:
            one = f"SELECT COUNT(*) FROM ({self.grouped()}) AS a"
            return f"{one} UNION ALL SELECT COUNT(*) FROM ({self.grouped()}) AS b"
        if kind == 4:
            return (
                (
                    f"SELECT s.city, {self.aggregate()}, SUM(COUNT(*)) OVER () FROM sales JOIN "
                    "shops AS s ON sales.shop_id = s.id GROUP BY s.city"
                )
                .replace(" city", " sales.city")
                .replace("(city", "(sales.city")
                .replace("s.sales.", "s.")
            )
        if kind == 6:
            return self.joined()
        if kind == 5:
            return self.grouped(f"(SELECT * FROM sales{self.where()}) AS sales")
        return self.grouped()


@dataclass(frozen=True)
class Case:
    """Rows, what is built, a statement, the session's time zone, and whose policies apply.

    Attributes:
        rights: policies in place of the model's own.
    """

    rows: list[str]
    built: list[Built]
    sql: str
    zone: str
    group: str | None
    rights: Rights | None = None


def case(seed: int) -> Case:
    """The case of that number."""
    random = Random(seed)
    built = [rollup(random, f"r{number}") for number in range(random.randint(1, 2))]
    sql = Statements(random, built[0]).statement()
    group = random.choice(GROUPS)
    found = Case(rows(random), built, sql, random.choice(ZONES), group)
    return replace(found, rights=rights(random)) if group == GROUP else found
