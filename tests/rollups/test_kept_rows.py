"""Rows of a cube's own SQL, kept in partitions: which of them a statement reads."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from semantic.errors import SemanticError
from tests.rollups.test_stored import unused
from tests.rollups.warehouses import SETTINGS, Bounds, Warehouse, candidates_of, governed_model

JANUARY = datetime(2024, 1, 1, tzinfo=UTC)
MARCH = datetime(2024, 3, 1, tzinfo=UTC)
NOVEMBER = datetime(2024, 11, 1, tzinfo=UTC)
ALL: tuple[Bounds, ...] = ((None, JANUARY), (JANUARY, MARCH), (MARCH, NOVEMBER), (NOVEMBER, None))
SOME = ALL[1:3]
ROWS = "SELECT id, kind, units FROM kept_sales"
GROUPS = "SELECT kind, count, middle FROM kept_sales {} GROUP BY 1"


@pytest.mark.parametrize(
    ("sql", "read"),
    [
        (ROWS, (0, 1, 2, 3)),
        ("SELECT COUNT(*) FROM kept_sales", (0, 1, 2, 3)),
        (GROUPS.format(""), (0, 1, 2, 3)),
        (f"{ROWS} WHERE seen_at >= '2024-03-01 00:00+00'", (2, 3)),
        (f"{ROWS} WHERE seen_at > '2024-01-31' AND seen_at < '2024-03-01'", (1,)),
        (f"{ROWS} WHERE seen_at BETWEEN '2024-02-01' AND '2024-03-01'", (1, 2)),
        (f"{ROWS} WHERE seen_at < '2024-01-01'", (0,)),
        (GROUPS.format("WHERE '2024-11-01' <= seen_at"), (3,)),
        (f"SELECT COUNT(*) FROM ({ROWS} WHERE seen_at >= '2024-11-01') AS q", (3,)),
        # What leaves more than a range is no bound.
        (f"{ROWS} WHERE seen_at >= '2024-03-01' OR kind = 'a'", (0, 1, 2, 3)),
        (f"{ROWS} WHERE sold_at >= '2024-03-01'", (0, 1, 2, 3)),
        (
            "SELECT s.id, k.id FROM shops AS s LEFT JOIN kept_sales AS k ON s.id = k.units "
            "WHERE k.seen_at >= '2024-03-01' AND k.seen_at < '2024-11-01'",
            (2,),
        ),
        (
            "SELECT s.id, k.id FROM shops AS s LEFT JOIN kept_sales AS k ON s.id = k.units "
            "AND k.seen_at >= '2024-03-01'",
            (0, 1, 2, 3),
        ),
    ],
)
def test_only_partitions_of_the_range_are_read(
    sql: str, read: tuple[int, ...], warehouse: Warehouse
) -> None:
    stored = warehouse.build("kept_sales.by_moment", ALL)
    statement, rows, expected = warehouse.answers(sql, candidates_of([stored]))
    assert statement.rollups == ("kept_sales.by_moment",), unused(statement)
    assert "FROM sales" not in statement.sql
    found = tuple(n for n, part in enumerate(stored.parts) if part.table in statement.sql)
    assert found == read, statement.sql
    assert rows == expected


def test_partitions_hold_each_row_once(warehouse: Warehouse) -> None:
    for name in ("by_moment", "by_sale", "by_day", "by_local_day"):
        stored = warehouse.build(f"kept_sales.{name}", ALL)
        union = " UNION ALL ".join(f"SELECT id FROM {part.table}" for part in stored.parts)
        assert sorted(warehouse.run(union)) == sorted(warehouse.run("SELECT id FROM sales"))
        assert all(part.rows for part in stored.parts)


@pytest.mark.parametrize(
    ("name", "zone", "ranges"),
    [
        ("and_rest", "Asia/Kathmandu", SOME),
        ("by_sale", "America/New_York", SOME),
        ("by_day", "UTC", ALL),
        ("by_local_day", "UTC", SOME),
        ("by_local_day", "Asia/Kathmandu", ALL),
    ],
)
def test_answers_are_those_of_the_source(
    name: str, zone: str, ranges: tuple[Bounds, ...], warehouse: Warehouse
) -> None:
    stored = warehouse.build(f"kept_sales.{name}", ranges)
    time = warehouse.compiler.rollups()[f"kept_sales.{name}"].time
    for where in (
        "",
        f"WHERE {time} >= '2024-01-01' AND {time} < '2024-03-01'",
        f"WHERE {time} >= '2024-10-31' AND kind = 'b'",
        f"WHERE {time} IS NULL",
    ):
        for sql in (f"{ROWS} {where}", GROUPS.format(where)):
            statement, rows, expected = warehouse.answers(sql, candidates_of([stored]), zone)
            assert rows == expected, statement.sql
            assert statement.rollups


def test_what_is_not_built_is_read_from_the_source(warehouse: Warehouse) -> None:
    stored = warehouse.build("kept_sales.and_rest", SOME)
    statement, rows, expected = warehouse.answers(ROWS, candidates_of([stored]))
    assert statement.rollups == ("kept_sales.and_rest",)
    assert "FROM sales" in statement.sql
    assert rows == expected
    inside = f"{ROWS} WHERE seen_at >= '2024-01-01' AND seen_at < '2024-02-01'"
    statement = warehouse.compile(inside, candidates_of([stored]))
    assert statement.rollups
    assert "FROM sales" not in statement.sql


def test_what_is_not_built_is_not_guessed(warehouse: Warehouse) -> None:
    stored = warehouse.build("kept_sales.by_moment", SOME)
    statement = warehouse.compile(ROWS, candidates_of([stored]))
    assert statement.rollups == ()
    assert "what is built does not cover the time that is asked for" in unused(statement)
    assert warehouse.compile(ROWS, candidates_of([replace(stored, complete=True)])).rollups
    early = f"{ROWS} WHERE seen_at < '2023-01-01'"
    statement = warehouse.compile(early, candidates_of([replace(stored, complete=True)]))
    assert "nothing is built of the time that is asked for" in unused(statement)


def test_a_days_bounds_by_another_clock_are_not_pruned(warehouse: Warehouse) -> None:
    """Which day a moment is on depends on the session's zone: then all partitions are read."""
    stored = warehouse.build("kept_sales.by_local_day", ALL)
    sql = f"{ROWS} WHERE seen_day >= '2024-03-01'"
    statement, rows, expected = warehouse.answers(sql, candidates_of([stored]), "Asia/Kathmandu")
    assert all(part.table in statement.sql for part in stored.parts)
    assert rows == expected
    some = warehouse.build("kept_sales.by_local_day", SOME)
    statement, rows, expected = warehouse.answers(ROWS, candidates_of([some]), "Asia/Kathmandu")
    assert statement.rollups == ()
    assert "depends on the time zone" in unused(statement)


def test_rows_under_a_rule(warehouse: Warehouse) -> None:
    model = warehouse.model
    warehouse.use(governed_model())
    try:
        access = warehouse.access("kinds", kinds=["a", "B"])
        for name, ranges in (("by_moment", ALL), ("and_rest", SOME)):
            stored = warehouse.build(f"kept_sales.{name}", ranges)
            for sql in (
                "SELECT units FROM kept_sales",
                "SELECT COUNT(*) FROM kept_sales WHERE seen_at >= '2024-01-01'",
            ):
                statement, rows, expected = warehouse.answers(
                    sql, candidates_of([stored]), access=access
                )
                assert statement.rollups == (f"kept_sales.{name}",)
                assert statement.governed
                assert rows == expected
    finally:
        warehouse.use(model)


def test_columns_are_read_by_name(warehouse: Warehouse) -> None:
    """A partition may have been built when the table had its columns in another order."""
    stored = warehouse.build("kept_sales.by_moment", ALL)
    table = stored.parts[1].table
    warehouse.execute(
        f"CREATE TABLE turned AS SELECT day, amount, kind, seen_at, units, id FROM {table}"
    )
    parts = (stored.parts[0], replace(stored.parts[1], table="turned"), *stored.parts[2:])
    try:
        statement, rows, expected = warehouse.answers(
            ROWS, candidates_of([replace(stored, parts=parts)])
        )
        assert "turned" in statement.sql
        assert rows == expected
    finally:
        warehouse.execute("DROP TABLE turned")


def test_another_time_or_unit_is_another_version(warehouse: Warehouse) -> None:
    rollups = warehouse.compiler.rollups()
    found = {
        rollups[f"kept_sales.{name}"].version
        for name in ("by_moment", "by_sale", "by_day", "by_local_day")
    }
    assert len(found) == 4
    assert rollups["kept_sales.by_day"].partition == "month"
    with pytest.raises(SemanticError, match="has no time to be cut by"):
        warehouse.compiler.build_rollup("busy.kept", JANUARY, MARCH, SETTINGS)
