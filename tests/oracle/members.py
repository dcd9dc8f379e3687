"""What the model's members are in plain SQL over the cubes' rows, said a second time by hand."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

KINDS = ("int", "numeric", "float", "text", "bool", "date", "ts", "tstz")


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A measure that is one aggregate.

    Attributes:
        call: the aggregate over a row's value ``{x}``.
        value: that value; ``{q}`` is the relation's alias.
        row: what the measure is for a row alone.
        matching: the client's aggregates that mean the measure (M2).
        rows: whether other aggregates over it read the rows' values (M3).
    """

    call: str
    value: str
    row: str
    matching: tuple[str, ...]
    rows: bool = False


@dataclass(frozen=True, slots=True)
class Formula:
    """A calculated measure: a text over ``{other measures}``, and the type it is announced as."""

    text: str
    announced: str


@dataclass(frozen=True, slots=True)
class Member:
    """A measure, as a client sees it."""

    kind: str
    definition: Aggregate | Formula

    @property
    def has_rows(self) -> bool:
        """Whether other aggregates over it read the rows' values (M3)."""
        return isinstance(self.definition, Aggregate) and self.definition.rows


def _sum(kind: str, value: str, announced: str) -> Member:
    row = f"CAST({value} AS {announced})"
    return Member(kind, Aggregate("SUM({x})", value, row, ("SUM({m})",), rows=True))


def _count(condition: str | None = None) -> Member:
    value = "1" if condition is None else f"CASE WHEN {condition} THEN 1 END"
    row = f"CAST(COALESCE({value}, 0) AS bigint)"
    return Member("int", Aggregate("COUNT({x})", value, row, ("SUM({m})", "COUNT({m})")))


def _distinct(value: str) -> Member:
    row = f"CAST(CASE WHEN {value} IS NULL THEN 0 ELSE 1 END AS bigint)"
    return Member("int", Aggregate("COUNT(DISTINCT {x})", value, row, ("COUNT(DISTINCT {m})",)))


def _other(kind: str, name: str, value: str, announced: str | None = None) -> Member:
    row = value if announced is None else f"CAST({value} AS {announced})"
    return Member(kind, Aggregate(f"{name}({{x}})", value, row, (f"{name}({{m}})",), rows=True))


def _calculated(kind: str, name: str, value: str) -> Member:
    return Member(kind, Aggregate(f"{name}({{x}})", value, value, ("MIN({m})", "MAX({m})")))


PLACE_COLUMNS = {
    "id": "int",
    "city": "text",
    "region": "text",
    "rank": "int",
    "is_open": "bool",
    "opened": "date",
}
PLACE_MEASURES = {
    "count": _count(),
    "open_count": _count("{q}.is_open"),
    "total_rank": _sum("int", "{q}.rank", "bigint"),
    "best_rank": _other("int", "MIN", "{q}.rank"),
    "cities": _distinct("{q}.city"),
    "rank_per_city": Member("float", Formula("1.0 * {total_rank} / NULLIF({cities}, 0)", "float8")),
}
ITEM_COLUMNS = {
    "id": "int",
    "home_id": "int",
    "grp": "int",
    "qty": "int",
    "big": "int",
    "price": "numeric",
    "ratio": "float",
    "name": "text",
    "tag": "text",
    "flag": "bool",
    "day": "date",
    "made_at": "ts",
    "seen_at": "tstz",
    "twice": "int",
    "home_city": "text",
    "away_city": "text",
    "is_dear": "bool",
    "size": "text",
    "heavy": "bool",
    "flagged": "bool",
}
ITEM_MEASURES = {
    "count": _count(),
    "flag_count": _count("{q}.flag"),
    "name_count": _count("{q}.name IS NOT NULL"),
    "total_qty": _sum("int", "{q}.qty", "bigint"),
    "total_grp": _sum("int", "{q}.grp", "bigint"),
    "total_big": _sum("numeric", "{q}.big", "numeric"),
    "total_price": _sum("numeric", "{q}.price", "numeric"),
    "total_ratio": _sum("float", "{q}.ratio", "float8"),
    "dear_price": _sum("numeric", "CASE WHEN {q}.price >= 10 THEN {q}.price END", "numeric"),
    "avg_qty": _other("numeric", "AVG", "{q}.qty", "numeric"),
    "avg_price": _other("numeric", "AVG", "{q}.price", "numeric"),
    "avg_ratio": _other("float", "AVG", "{q}.ratio"),
    "min_price": _other("numeric", "MIN", "{q}.price"),
    "max_big": _other("int", "MAX", "{q}.big"),
    "max_rank": _other("int", "MAX", "{q}.home_rank"),
    "names": _distinct("{q}.name"),
    "flag_tags": _distinct("CASE WHEN {q}.flag THEN {q}.tag END"),
    "flag_rate": Member("float", Formula("1.0 * {flag_count} / NULLIF({count}, 0)", "float8")),
    "price_per_qty": Member("float", Formula("{total_price} / NULLIF({total_qty}, 0)", "float8")),
    "net_qty": Member("int", Formula("{total_qty} - {count}", "bigint")),
    "any_flag": Member("bool", Formula("{flag_count} > 0", "boolean")),
    "last_name": _calculated("text", "MAX", "{q}.name"),
    "first_seen": _calculated("tstz", "MIN", "{q}.seen_at"),
}
VIEW_COLUMNS = {
    **ITEM_COLUMNS,
    "home_region": "text",
    "home_rank": "int",
    "home_is_open": "bool",
    "away_region": "text",
    "away_opened": "date",
}
# Measures of the places that the view's items call home, by the place's names for them.
VIEW_HOME_MEASURES = {
    "home_count": "count",
    "home_cities": "cities",
    "home_total_rank": "total_rank",
}


@dataclass(frozen=True, slots=True)
class Relation:
    """A cube or a view. ``{name}_rows`` holds its rows as a plain table."""

    name: str
    columns: dict[str, str]
    measures: dict[str, Member] = field(repr=False)

    def grouped(self, measure: str, alias: str, condition: str = "") -> str:
        """The measure over a group's rows, or those that satisfy the condition."""
        found = self.measures[measure].definition
        if isinstance(found, Formula):
            return self._formula(found, lambda name: self.grouped(name, alias, condition))
        call = found.call.format(x=found.value.format(q=alias))
        return f"{call} FILTER (WHERE {condition})" if condition else call

    def grouped_once(self, measure: str, key: str, condition: str = "") -> str:
        """The measure over those rows, each once, whose id is a group's ``key`` (J2)."""
        given = f"{key} IS NOT NULL AND ({condition})" if condition else f"{key} IS NOT NULL"
        ids = f"array_agg({key}) FILTER (WHERE {given})"
        over = f"FROM {self.name}_rows AS once WHERE once.id = ANY ({ids})"
        return f"(SELECT {self.grouped(measure, 'once')} {over})"

    def row(self, measure: str, alias: str) -> str:
        """The measure's value for one row (M5)."""
        found = self.measures[measure].definition
        if isinstance(found, Formula):
            return self._formula(found, lambda name: self.row(name, alias))
        return found.row.format(q=alias)

    def _formula(self, formula: Formula, value: Callable[[str], str]) -> str:
        text = re.sub(r"{(\w+)}", lambda found: value(found[1]), formula.text)
        return f"CAST({text} AS {formula.announced})"


PLACES = Relation("places", PLACE_COLUMNS, PLACE_MEASURES)
ITEMS = Relation("items", ITEM_COLUMNS, ITEM_MEASURES)
ITEM_VIEW = Relation("item_view", VIEW_COLUMNS, ITEM_MEASURES)
