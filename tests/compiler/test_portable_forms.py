"""What is asked of a warehouse in another form than the statement has, and what the stage does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from semantic.compiler.rewrite import RULES
from semantic.errors import UnsupportedError
from tests.compiler.analyst import Analyst
from tests.compiler.conftest import SETTINGS, Shop
from tests.compiler.test_results import compiled


def _statements(shop: Shop, analyst: Analyst, sql: str) -> list[str]:
    """The statement, or what is fetched for it."""
    statement = compiled(shop, analyst, sql, RULES, SETTINGS)
    texts = [fetch.sql for fetch in statement.fetches] or [statement.sql]
    return [" ".join(text.replace("`", "").split()) for text in texts]


@pytest.fixture(scope="module")
def spark_shop(postgres_shop: Shop) -> Shop:
    return replace(postgres_shop, dialect="spark")


FORMS = [
    # EXISTS of rows that are equal in something.
    (
        "SELECT o.status FROM orders o WHERE o.quantity > 1 AND EXISTS (SELECT 1 FROM customers c "
        "WHERE c.id = o.buyer_id AND c.city = 'Rome')",
        "INNER JOIN (SELECT DISTINCT c.id AS c1 FROM customers AS c WHERE (c.city = 'Rome')) "
        "AS c:partners ON (o.buyer_id = c:partners.c1)",
    ),
    # HAVING chooses among the groups, which are then sorted by what is not shown.
    (
        "SELECT status FROM orders GROUP BY status HAVING COUNT(*) > 1 ORDER BY COUNT(quantity)",
        "AS orders:sorted ORDER BY orders:sorted.sort:1 ASC NULLS LAST",
    ),
    (
        "SELECT status FROM orders ORDER BY rank() OVER (ORDER BY id) LIMIT 3",
        "AS orders:sorted ORDER BY orders:sorted.sort:1 ASC NULLS LAST LIMIT",
    ),
]


@pytest.mark.parametrize(("sql", "part"), FORMS)
def test_forms(sql: str, part: str, spark_shop: Shop, postgres_analyst: Analyst) -> None:
    (text,) = _statements(spark_shop, postgres_analyst, sql)
    assert part in text


CORRELATED = [
    "o.id IN (SELECT c.id FROM customers c WHERE c.id < o.buyer_id)",
    "NOT EXISTS (SELECT 1 FROM customers c WHERE c.id = o.buyer_id)",
    "EXISTS (SELECT 1 FROM customers c WHERE c.id = o.buyer_id LIMIT 0)",
    "EXISTS (SELECT 1 FROM customers c WHERE c.id = o.buyer_id GROUP BY c.city)",
    "EXISTS (SELECT 1 FROM customers c WHERE c.id = o.unit_price)",
    "EXISTS (SELECT 1 FROM customers c WHERE c.city = o.status OR c.id = 1)",
]


@pytest.mark.parametrize("condition", CORRELATED)
def test_other_subqueries_are_done_by_the_stage(
    condition: str, spark_shop: Shop, postgres_analyst: Analyst
) -> None:
    texts = _statements(
        spark_shop, postgres_analyst, f"SELECT o.status FROM orders o WHERE {condition}"
    )
    assert len(texts) == 2
    assert not any("partners" in text for text in texts)


def test_each_grouping_set_is_fetched(spark_shop: Shop, postgres_analyst: Analyst) -> None:
    sql = (
        "SELECT status, buyer_id, GROUPING(status, buyer_id), MEASURE(price_per_item) FROM orders "
        "GROUP BY ROLLUP (status, buyer_id)"
    )
    texts = _statements(spark_shop, postgres_analyst, sql)
    assert [text.partition("GROUP BY ")[2] for text in texts] == [
        "orders.status, orders.buyer_id",
        "orders.status",
        "",
    ]


KEY = "MD5(status)"


@pytest.mark.parametrize("measure", ["any_open", "net_items"])
def test_what_means_the_same_is_computed_by_the_stage(
    measure: str, spark_shop: Shop, postgres_analyst: Analyst
) -> None:
    sql = f"SELECT {KEY}, MEASURE({measure}) FROM orders GROUP BY 1"
    (text,) = _statements(spark_shop, postgres_analyst, sql)
    assert "GROUP BY" not in text


@pytest.mark.parametrize("measure", ["open_rate", "price_per_item", "spread"])
def test_what_may_mean_something_else_is_not(
    measure: str, spark_shop: Shop, postgres_analyst: Analyst
) -> None:
    sql = f"SELECT {KEY}, MEASURE({measure}) FROM orders GROUP BY 1"
    with pytest.raises(UnsupportedError, match="in the SQL of its data source"):
        _statements(spark_shop, postgres_analyst, sql)


@pytest.mark.parametrize("dialect", ["trino", "spark", "snowflake", "bigquery", "clickhouse"])
def test_counts_of_rows_are_plain_numbers(shop: Shop, analyst: Analyst, dialect: str) -> None:
    sql = "SELECT id FROM orders ORDER BY id LIMIT 3 OFFSET 2"
    found = compiled(replace(shop, dialect=dialect), analyst, sql, RULES, SETTINGS)
    assert not found.fetches
    assert "LIMIT 3" in found.sql
    assert "OFFSET 2" in found.sql
