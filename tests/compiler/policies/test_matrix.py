"""A caller's rows are those of a copy that holds nothing else, whatever the shape of the query."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pytest

from semantic.compiler.api import SessionSettings
from semantic.model.policy import AccessPolicy
from semantic.security.context import SecurityContext
from tests.compiler.analyst import Analyst
from tests.compiler.conftest import Row, Shop
from tests.compiler.policies.shops import Caller, condition, rows, with_policies
from tests.compiler.shop import TABLES
from tests.compiler.test_results import FILES, normal, read_queries
from tests.support.duck import memory_database
from tests.support.oracle import OraclePostgres

CONTEXT = SecurityContext.of(
    "ada", attributes={"customers": [1, 3, 4], "lost": 7, "order": "2", "day": "2024-02-27"}
)

ORDERS = rows(condition("id", "notIn", "user.lost", 6))
LINES = rows(condition("order_id", "notEquals", "user.order"))
POLICIES: dict[str, list[AccessPolicy]] = {
    **{name: [ORDERS] for name in ("orders", "baskets", "bookings", "corners", "kept", "keyless")},
    **{name: [LINES] for name in ("lines", "goods", "parts")},
    "days": [rows(condition("day", "notEquals", "2023-06-15"))],
    "customers": [rows(condition("id", "in", "user.customers"))],
    "guarded": [rows(condition("id", "equals", "user.customers"))],
    "PageViews": [rows(condition("visitId", "lt", 3))],
    "parcels": [rows(condition("id", "lt", 3))],
    "calendar": [rows(condition("day", "notInDateRange", "user.day"))],
    "stays": [rows(condition("id", "notEquals", 5, 14))],
    "visits": [rows(condition("id", "notEquals", 2))],
    "purchases": [rows(condition("id", "notEquals", 4))],
}

HIDDEN = """
DELETE FROM orders WHERE id IN (6, 7);
DELETE FROM order_lines WHERE order_id = 2;
DELETE FROM customers WHERE id = 2;
DELETE FROM page_views WHERE visit_id >= 3;
DELETE FROM calendar WHERE day = '2024-02-27';
DELETE FROM stays WHERE id IN (5, 14);
DELETE FROM visits WHERE id = 2;
DELETE FROM purchases WHERE id = 4;
"""


@dataclass(frozen=True)
class Pair:
    """A caller under policies, and one who may see all of a copy of what those leave."""

    governed: Caller
    copy: Caller


def _pair(shop: Shop, analyst: Analyst, database: object) -> Pair:
    # Views whose policies give all of it, so that what is named is followed through them.
    views = {view.name: [AccessPolicy(groups=("*",))] for view in shop.model.views}
    model = with_policies(shop.model, {**POLICIES, **views})
    governed = Caller(
        model,
        shop.published,
        shop.dialect,
        database=shop.database,
        analyst=analyst,
        context=CONTEXT,
    )
    open_model = with_policies(shop.model, {})
    copy = Caller(open_model, shop.published, shop.dialect, database=database, analyst=analyst)  # type: ignore[arg-type]
    return Pair(governed, copy)


@pytest.fixture(scope="module")
def duckdb_pair(shop: Shop, analyst: Analyst) -> Iterator[Pair]:
    with memory_database() as database:
        database.execute(TABLES + HIDDEN)
        yield _pair(shop, analyst, database)


@pytest.fixture(scope="module")
def postgres_pair(
    oracle: OraclePostgres, postgres_shop: Shop, postgres_analyst: Analyst
) -> Iterator[Pair]:
    with psycopg.connect(oracle.dsn, autocommit=True) as connection:
        connection.execute("CREATE DATABASE policy_copy")
    dsn = oracle.dsn.replace("/postgres", "/policy_copy")
    with psycopg.connect(dsn, autocommit=True) as database:
        database.execute(f"{TABLES}{HIDDEN}".encode())
        yield _pair(postgres_shop, postgres_analyst, database)


@pytest.mark.parametrize("warehouse", ["duckdb", "postgres"])
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_rows_are_those_of_a_copy(
    path: Path, warehouse: str, request: pytest.FixtureRequest
) -> None:
    pair: Pair = request.getfixturevalue(f"{warehouse}_pair")
    # The plans are the same on both warehouses, so a part of the shapes is enough for the second.
    for query in read_queries(path)[:: 1 if warehouse == "duckdb" else 3]:
        found: list[list[Row]] = []
        shown = f"{path.name}:{query.line}\n{query.sql}"
        settings = SessionSettings(
            "tester", "cubewire", measure_aggregates="defined" if query.defined else "strict"
        )
        for caller in (pair.governed, pair.copy):
            statement = caller.compiled(query.sql, settings)
            shown += f"\n----\n{statement.sql}"
            result = [normal(row) for row in caller.run(statement, query.parameters)]
            found.append(sorted(result, key=repr) if query.rowsort else result)
        assert found[0] == found[1], shown


def test_the_policies_leave_something_and_hide_something(duckdb_pair: Pair, shop: Shop) -> None:
    everything = replace(duckdb_pair.copy, database=shop.database)
    for relation in (*POLICIES, "copies", "line_details", "stay_view"):
        sql = f'SELECT COUNT(*) FROM "{relation}"'
        ((left,),) = duckdb_pair.governed.rows(sql)
        ((all_rows,),) = everything.rows(sql)
        assert 0 < left < all_rows, relation  # type: ignore[operator]
