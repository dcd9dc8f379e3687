"""Plans and errors tell callers nothing of what they may not see."""

from __future__ import annotations

import json

import psycopg
import pytest

from proxy.concealment import WITHHELD, conceal
from proxy.scopes import Scope
from semantic.errors import SemanticError
from tests.security.shop import dsn
from tests.security.test_hidden_clients import telling
from tests.support.server import RunningServer

STATEMENTS = (
    "SELECT * FROM sold",
    "SELECT status, measure(paid), count(*) FROM sold GROUP BY 1",
    "SELECT o.status, c.name, measure(o.revenue) FROM orders o CROSS JOIN cities c GROUP BY 1, 2",
    "WITH a AS (SELECT count(*) AS n FROM orders) SELECT n FROM a WHERE n > 0",
)


def explained(server: RunningServer, user: str, sql: str, how: str) -> str:
    with psycopg.connect(dsn(server, user), autocommit=True) as connection:
        rows = connection.execute(f"EXPLAIN {how} {sql}".encode()).fetchall()
    return "\n".join(row if isinstance(row, str) else json.dumps(row) for (row,) in rows)


@pytest.mark.parametrize("how", ["", "ANALYZE", "(FORMAT JSON)"])
@pytest.mark.parametrize("sql", STATEMENTS)
def test_plans(shop: RunningServer, sql: str, how: str) -> None:
    plan = explained(shop, "otto", sql, how)
    assert telling(plan) == set()
    assert WITHHELD in plan
    assert "orders.access_policy[1] (group: *)" in plan
    assert not {"permitted", "amount", "$1"} & set(plan.replace('"', " ").split())
    assert "FROM" in explained(shop, "stan", sql, how)


def test_the_policies_that_rule_a_statement_are_named(shop: RunningServer) -> None:
    plan = explained(shop, "otto", "SELECT count(*) FROM orders", "")
    assert plan.splitlines() == [
        "select",
        "  scan orders as orders policies (orders.access_policy[1] (group: *))",
        "Members: none",
        "Join paths: none",
        "Policies: orders.access_policy[1] (group: *)",
        "Rollups: none",
        "Data source: default",
        f"SQL: {WITHHELD}",
    ]


def test_errors_that_name_the_hidden() -> None:
    scope = Scope(None, None, None, None, is_whole=False, hidden=frozenset({"payroll"}))  # type: ignore[arg-type]
    told = SemanticError(
        "42P09", "two paths", detail="By way of payroll, or of depots.", position=3
    )
    conceal(told, "SELECT * FROM a, b", scope)
    assert (told.sqlstate, told.position, told.detail) == ("42P09", 3, None)
    assert "paths" not in told.message
    own = SemanticError("42P09", "payroll has no such column", hint="Look at it.")
    conceal(own, "SELECT x FROM Payroll", scope)
    assert (own.message, own.hint) == ("payroll has no such column", "Look at it.")
