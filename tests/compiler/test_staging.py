"""What is fetched of a warehouse that does not do a whole statement, and what is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from semantic.compiler.api import CompiledStatement
from semantic.compiler.rewrite import RULES
from semantic.errors import UnsupportedError
from tests.compiler.analyst import Analyst
from tests.compiler.conftest import SETTINGS, Shop
from tests.compiler.test_results import compiled
from tests.support import limited


@pytest.fixture(scope="module")
def limited_shop(postgres_shop: Shop) -> Shop:
    limited.install()
    return replace(postgres_shop, dialect=limited.NAME)


CASES = [
    # All of it, by the warehouse itself.
    ("SELECT status, MEASURE(revenue) FROM orders WHERE quantity > 1 GROUP BY 1", []),
    # Groups stay groups; an average is made of a sum and a count.
    (
        "SELECT UPPER(status), MEASURE(revenue), AVG(quantity) FROM orders "
        "WHERE quantity > 1 GROUP BY status HAVING COUNT(*) > 1 ORDER BY 2",
        [
            'groups SELECT "orders".status AS "key:1", SUM("orders".amount) AS "measure:2", '
            'SUM("orders".quantity) AS "sum:3", COUNT("orders".quantity) AS "count:4", '
            'COUNT(*) AS "aggregate:5" FROM orders AS "orders" WHERE "orders".quantity > 1 '
            'GROUP BY "orders".status'
        ],
    ),
    # Rows with the columns that are read, without those that a condition keeps out.
    (
        "SELECT UPPER(status), COUNT(*) FROM orders WHERE quantity > 1 AND UPPER(status) <> 'A' "
        "GROUP BY 1",
        [
            'rows SELECT "orders".status AS "status" FROM orders AS "orders" '
            'WHERE "orders".quantity > 1'
        ],
    ),
    # The first rows only.
    (
        "SELECT UPPER(status) FROM orders WHERE quantity > 1 ORDER BY id LIMIT 3",
        [
            'rows SELECT "orders".status AS "status", "orders".id AS "id" '
            'FROM orders AS "orders" WHERE "orders".quantity > 1 ORDER BY "orders".id ASC LIMIT 3'
        ],
    ),
    # Not where a later condition chooses among them.
    (
        "SELECT status FROM orders WHERE UPPER(status) = 'OPEN' LIMIT 3",
        ['rows SELECT "orders".status AS "status" FROM orders AS "orders"'],
    ),
    # What an outer join fills up is not filtered before it.
    (
        "SELECT UPPER(c.name) FROM orders o LEFT JOIN customers c ON c.id = o.quantity "
        "WHERE c.city = 'Rome' AND o.quantity > 1",
        [
            'rows SELECT "o".quantity AS "quantity" FROM orders AS "o" WHERE "o".quantity > 1',
            'rows SELECT "c".city AS "city", "c".name AS "name", "c".id AS "id" '
            'FROM customers AS "c"',
        ],
    ),
    # A subquery that says nothing of what is around it is fetched as it is.
    (
        "SELECT UPPER(status) FROM orders WHERE id IN (SELECT order_id FROM lines "
        "WHERE total > 100)",
        [
            'rows SELECT "orders".id AS "id", "orders".status AS "status" FROM orders AS "orders"',
            'query SELECT "lines".order_id AS "order_id" FROM (SELECT * FROM order_lines '
            'WHERE price > 0) AS "lines" WHERE "lines".price > 100',
        ],
    ),
    # Tables of the stage have names that the statement does not.
    (
        "WITH stage_1 AS (SELECT UPPER(status) AS s FROM orders) "
        "SELECT a.s FROM stage_1 a JOIN stage_1 b ON a.s = b.s",
        ['rows SELECT "orders".status AS "status" FROM orders AS "orders"'],
    ),
]


@pytest.mark.parametrize(("sql", "fetches"), CASES)
def test_fetches(
    sql: str, fetches: list[str], limited_shop: Shop, postgres_analyst: Analyst
) -> None:
    statement = compiled(limited_shop, postgres_analyst, sql, RULES, SETTINGS)
    texts = [f"{fetch.kind} {' '.join(fetch.sql.split())}" for fetch in statement.fetches]
    assert texts == fetches
    assert statement.cubes
    if "stage_1" in sql:
        assert [fetch.table for fetch in statement.fetches] == ["stage_2"]


def test_parameters_go_where_they_are_read(limited_shop: Shop, postgres_analyst: Analyst) -> None:
    sql = (
        "SELECT UPPER(status) FROM orders WHERE quantity > $2::int AND UPPER(status) = $1::text "
        "AND quantity < $3::int"
    )
    statement = compiled(limited_shop, postgres_analyst, sql, RULES, SETTINGS)
    (fetch,) = statement.fetches
    # The condition is a cast, which this warehouse does not do.
    assert _indexes(fetch.parameters) == []
    assert sorted(_indexes(statement.parameters)) == [0, 1, 2]


def _indexes(placeholders: object) -> list[int]:
    return [item.index for item in placeholders]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT UPPER(status), MEASURE(price_per_item) FROM orders GROUP BY 1",
        "SELECT UPPER(status), MEASURE(spread) FROM orders GROUP BY 1",
    ],
)
def test_a_measure_of_the_warehouses_own_sql_is_not_computed_elsewhere(
    sql: str, limited_shop: Shop, postgres_analyst: Analyst
) -> None:
    with pytest.raises(UnsupportedError) as caught:
        compiled(limited_shop, postgres_analyst, sql, RULES, SETTINGS)
    assert caught.value.hint


def test_a_measure_of_the_warehouses_own_sql_is_fetched_by_groups(
    limited_shop: Shop, postgres_analyst: Analyst
) -> None:
    sql = "SELECT UPPER(status), MEASURE(price_per_item) FROM orders GROUP BY status"
    statement: CompiledStatement = compiled(limited_shop, postgres_analyst, sql, RULES, SETTINGS)
    (fetch,) = statement.fetches
    assert 'SUM("orders".amount) / SUM("orders".quantity)' in fetch.sql
    assert "SUM" not in statement.sql
