"""Random statements: with and without rules, on DuckDB and on PostgreSQL, the rows are the same."""

from __future__ import annotations

import random

import pytest

from semantic.compiler.rewrite import RULES
from tests.compiler.analyst import Analyst
from tests.compiler.conftest import SETTINGS, Row, Shop
from tests.compiler.test_results import compiled, normal

DIMENSIONS = ["status", "quantity", "buyer_city", "is_big", "size", "month", "buyer_id"]
MEASURES = [
    "count",
    "open_count",
    "revenue",
    "big_revenue",
    "items",
    "average_amount",
    "smallest",
    "largest",
    "buyers",
    "any_open",
    "net_items",
]
FILTERS = [
    "quantity > 1",
    "status = 'open'",
    "status IS DISTINCT FROM 'open'",
    "buyer_city IN ('Rome', 'Oslo')",
    "NOT is_big",
    "month >= '2024-02-01'",
    "revenue > 50",
    "only_open",
    "id IN (SELECT order_id FROM lines)",
    "EXISTS (SELECT 1 FROM customers c WHERE c.id = buyer_id)",
    "1 = 1",
]


class Statements:
    """Makes random statements over the orders of the shop."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def _some(self, items: list[str], least: int, most: int) -> list[str]:
        return self._random.sample(items, self._random.randint(least, most))

    def _maybe(self, text: str) -> str:
        return text if self._random.random() < 0.5 else ""

    def _where(self) -> str:
        filters = self._some(FILTERS, 0, 2)
        return f" WHERE {' AND '.join(filters)}" if filters else ""

    def _measure(self, name: str) -> str:
        return self._random.choice([name, f"MEASURE({name})"])

    def source(self) -> str:
        """A FROM item whose measures are still measures."""
        kind = self._random.randrange(4)
        if kind == 0:
            return f"(SELECT * FROM orders{self._where()}) AS q"
        if kind == 1:
            columns = ", ".join({*DIMENSIONS, *MEASURES, "id", "only_open"})
            inner = f"(SELECT * FROM orders{self._where()}) AS i"
            return f"(SELECT {columns} FROM {inner}{self._where()}) AS q"
        return "orders AS q"

    def grouped(self) -> str:
        keys = self._some(DIMENSIONS, 0, 3)
        measures = self._some(MEASURES, 1, 4)
        items = [*keys, *(f"{self._measure(m)} AS {m}" for m in measures), "COUNT(*) AS n"]
        group = ""
        if keys:
            group = " GROUP BY " + (
                f"ROLLUP ({', '.join(keys)})" if self._random.random() < 0.15 else ", ".join(keys)
            )
        having = self._maybe(" HAVING COUNT(1) > 0") or self._maybe(" HAVING count > 1")
        return f"SELECT {', '.join(items)} FROM {self.source()}{self._where()}{group}{having}"

    def statement(self) -> str:
        kind = self._random.randrange(6)
        if kind == 0:
            columns = ", ".join(["id", *self._some(DIMENSIONS + MEASURES, 1, 5)])
            return f"SELECT {columns} FROM {self.source()}{self._where()}"
        if kind == 1:
            return f"SELECT COUNT(*), SUM(n), MAX(n) FROM ({self.grouped()}) AS g WHERE n > 0"
        if kind == 2:
            grouped = (
                f"SELECT buyer_id AS b, {self._random.choice(MEASURES)} AS m FROM orders GROUP BY 1"
            )
            return (
                "SELECT status, SUM(revenue), COUNT(m), COUNT(*) FROM orders "
                f"LEFT JOIN ({grouped}) AS g ON g.b = buyer_id{self._where()} GROUP BY status"
            )
        if kind == 3:
            keys = ", ".join(self._some(DIMENSIONS, 1, 3))
            return f"SELECT DISTINCT {keys} FROM {self.source()}{self._where()}"
        return self.grouped()


@pytest.mark.parametrize("seed", range(6))
def test_random_statements(
    seed: int, shop: Shop, analyst: Analyst, postgres_shop: Shop, postgres_analyst: Analyst
) -> None:
    statements = Statements(seed)
    for _ in range(25):
        sql = statements.statement()
        answers: list[list[Row]] = []
        for where, who in ((shop, analyst), (postgres_shop, postgres_analyst)):
            for rules in (RULES, ()):
                statement = compiled(where, who, sql, rules, SETTINGS)
                rows = [normal(row) for row in where.run(statement.sql, [])]
                answers.append(sorted(rows, key=repr))
        assert answers[0] == answers[1], f"rules change {sql}"
        assert answers[2] == answers[3], f"rules change {sql}"
        assert answers[0] == answers[2], f"warehouses differ over {sql}"
