"""Random groupings over joins of two data sources, which may be added up before they are joined."""

from __future__ import annotations

from random import Random

from tests.oracle.statements import Case

_JOINS = {
    ("orders", "customers"): "{one}.customer_id = {two}.id",
    ("orders", "regions"): "{one}.customer_id < {two}.id",
    ("orders", "refunds"): "{one}.customer_id = {two}.customer_id AND {one}.status IS NOT NULL",
    ("lines", "products"): "{one}.sku = {two}.sku",
    ("lines", "refunds"): "{one}.order_id % 3 = {two}.id % 3",
    ("trips", "customers"): "{one}.from_id = {two}.id OR {one}.to_id = {two}.region_id",
}
_KEYS = {
    "orders": ("status", "date_trunc('month', {a}.placed)", "customer_id % 2", "customer_id"),
    "customers": ("city", "region_id", "upper({a}.city)"),
    "regions": ("title",),
    "refunds": ("reason", "customer_id"),
    "lines": ("sku", "quantity > 1"),
    "products": ("kind", "current"),
    "trips": ("to_id",),
}
_VALUES = {
    "orders": ("id", "customer_id"),
    "customers": ("id", "region_id"),
    "regions": ("id",),
    "refunds": ("id", "customer_id"),
    "lines": ("line", "quantity"),
    "products": ("id",),
    "trips": ("id", "to_id"),
}
_CONDITIONS = {
    "orders": ("status <> 'lost'", "placed >= DATE '2024-01-01'", "id IS NULL"),
    "customers": ("city = 'Rome'", "id IN (1, 2, 4)"),
    "regions": ("id > 1",),
    "refunds": ("reason LIKE 'l%'",),
    "lines": ("quantity > 0",),
    "products": ("current",),
    "trips": ("id > 1",),
}
# A measure is over each row of its cube once, which is all the same where a join repeats none.
_MEASURES = (("a.revenue", "a.amount"), ("COUNT(a.count)", "COUNT(a.id)"))
_AGGREGATES = (
    *("COUNT(*)", "COUNT({x})", "SUM({x})", "SUM({x})", "MIN({x})", "MAX({x})", "AVG({x})"),
    *("COUNT(DISTINCT {x})", "SUM({x}) FILTER (WHERE {c})", "COUNT(*) FILTER (WHERE {c})"),
    "SUM({x} + 1)",
)


class RandomTotals:
    """Makes a statement out of a seed."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def case(self) -> Case:
        """The statement over the cubes, and over the tables that they are of."""
        pick = self._random.choice
        one, two = pick(list(_JOINS))
        kind = pick(("JOIN", "JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"))
        on = "true" if pick(range(10)) == 0 else _JOINS[one, two].format(one="a", two="b")
        if kind == "FULL JOIN" and ("customer_id = {two}" not in _JOINS[one, two] or on == "true"):
            kind = "LEFT JOIN"
        sides = {"a": one, "b": two}
        fact = pick(("a", "a", "b"))
        keys = [self._key(sides, pick(("a", "b"))) for _ in range(self._random.randint(0, 2))]
        by_one = (one, two, fact) == ("orders", "customers", "a") and on != "true"
        measures = ["SUM(a.revenue)", "AVG(a.revenue)", "COUNT(a.count)"] if by_one else []
        totals = [self._total(sides, fact) for _ in range(self._random.randint(1, 3))]
        totals += self._random.sample(measures, min(len(measures), 2))
        grouped = pick(("GROUP BY {}", "GROUP BY {}", "GROUP BY ROLLUP ({})")) if keys else ""
        where = self._condition(sides, pick(("a", "b"))) if pick((True, False)) else ""
        parts = [
            f"SELECT {', '.join((*keys, *totals))} FROM {one} a {kind} {two} b",
            f"ON {on}",
            f"WHERE {where}" if where else "",
            grouped.format(", ".join(dict.fromkeys(keys))),
            f"HAVING {pick(totals)} IS NOT NULL" if pick((True, False, False)) else "",
        ]
        ours = plain = " ".join(part for part in parts if part)
        for member, value in _MEASURES:
            plain = plain.replace(member, value)
        return Case(ours, plain, loose=True)

    def _key(self, sides: dict[str, str], alias: str) -> str:
        key = self._random.choice(_KEYS[sides[alias]])
        return key.format(a=alias) if "{a}" in key else f"{alias}.{key}"

    def _condition(self, sides: dict[str, str], alias: str) -> str:
        return f"{alias}.{self._random.choice(_CONDITIONS[sides[alias]])}"

    def _total(self, sides: dict[str, str], fact: str) -> str:
        alias = fact if self._random.random() < 0.9 else "b"
        call = self._random.choice(_AGGREGATES)
        value = f"{alias}.{self._random.choice(_VALUES[sides[alias]])}"
        if "DISTINCT" in call or "+" in call:
            value = f"{alias}.{_VALUES[sides[alias]][0]}"
        return call.format(x=value, c=self._condition(sides, alias))
