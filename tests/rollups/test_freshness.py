"""What is stored for one cube answers another one only where it is as fresh as that one wants."""

from __future__ import annotations

from dataclasses import replace

import pytest

from semantic.model.values import RefreshKey
from tests.rollups.warehouses import Warehouse, candidates_of

HOUR = RefreshKey("1 hour")
BY_KIND = "SELECT kind, count, amount FROM {} GROUP BY 1"
JOINED = (
    "SELECT s.city, MEASURE(sales.amount) FROM sales JOIN shops AS s ON sales.shop_id = s.id "
    "GROUP BY 1"
)


@pytest.mark.parametrize(
    ("cube", "serves", "reason"),
    [
        ("sales", frozenset[str](), ""),
        ("hourly_sales", frozenset({"hourly_sales"}), ""),
        ("hourly_sales", None, ""),
        ("silent_sales", None, ""),
        ("hourly_sales", frozenset[str](), "its data may be older than hourly_sales declares"),
        ("hourly_sales", frozenset({"busy"}), "its data may be older than hourly_sales declares"),
        ("silent_sales", frozenset({"hourly_sales"}), "silent_sales declares no refresh_key"),
    ],
)
def test_another_cube_over_the_same_rows(
    cube: str, serves: frozenset[str] | None, reason: str, warehouse: Warehouse
) -> None:
    stored = replace(warehouse.build("sales.by_city"), serves=serves)
    statement, rows, expected = warehouse.answers(BY_KIND.format(cube), candidates_of([stored]))
    plan = "\n".join(statement.steps.lines())
    assert statement.rollups == (() if reason else ("sales.by_city",)), plan
    assert reason in plan
    assert rows == expected


def test_what_it_lacks_besides_is_told_first(warehouse: Warehouse) -> None:
    statement = warehouse.compile(
        "SELECT units, count FROM hourly_sales GROUP BY 1",
        candidates_of([warehouse.build("sales.by_city")]),
    )
    assert "it does not store units" in "\n".join(statement.steps.lines())


def test_rows_of_the_same_sql(warehouse: Warehouse) -> None:
    stored = warehouse.build("busy.kept")
    sql = "SELECT id, kind FROM hourly_busy"
    statement, rows, expected = warehouse.answers(sql, candidates_of([stored]))
    assert statement.rollups == ()
    assert "its data may be older than hourly_busy" in "\n".join(statement.steps.lines())
    assert rows == expected
    fresh = replace(stored, serves=frozenset({"hourly_busy"}))
    statement, rows, expected = warehouse.answers(sql, candidates_of([fresh]))
    assert statement.rollups == ("busy.kept",)
    assert rows == expected


def test_a_lambda_is_as_fresh_as_all_of_its_rollups(warehouse: Warehouse) -> None:
    names, sql = frozenset({"hourly_sales"}), BY_KIND.format("hourly_sales")
    latest, last_days = (
        replace(warehouse.build(name), serves=names) for name in ("sales.latest", "sales.last_days")
    )
    statement = warehouse.compile(sql, candidates_of([latest, last_days]))
    assert statement.rollups
    old = replace(last_days, serves=frozenset())
    plan = "\n".join(warehouse.compile(sql, candidates_of([latest, old])).steps.lines())
    assert "rollup sales.both not used: its data may be older" in plan


def test_what_is_stored_of_a_joined_cube(warehouse: Warehouse) -> None:
    """A cube that declares nothing follows the one that it is joined to."""
    model = warehouse.model
    stored = warehouse.build("sales.by_shop")
    statement, rows, expected = warehouse.answers(JOINED, candidates_of([stored]))
    assert statement.rollups == ("sales.by_shop",)
    assert "JOIN" not in statement.sql
    assert rows == expected
    keyed = (
        replace(cube, refresh_key=HOUR) if cube.name == "shops" else cube for cube in model.cubes
    )
    warehouse.use(replace(model, cubes=tuple(keyed)))
    try:
        statement, rows, expected = warehouse.answers(JOINED, candidates_of([stored]))
        assert "FROM shops" in statement.sql or "JOIN shops" in statement.sql
        assert rows == expected
        city = warehouse.build("sales.by_city")
        statement = warehouse.compile(JOINED, candidates_of([city]))
        assert statement.rollups == ()
        kept = replace(stored, serves=frozenset({"shops"}))
        statement, rows, expected = warehouse.answers(JOINED, candidates_of([kept]))
        assert statement.rollups == ("sales.by_shop",)
        assert "JOIN" not in statement.sql
        assert rows == expected
    finally:
        warehouse.use(model)
