"""What is built decides what can be read: partitions, ages, versions, kinds, and whose rows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from semantic.errors import SemanticError
from tests.rollups.warehouses import SETTINGS, Bounds, Warehouse, candidates_of, governed_model

JANUARY = datetime(2024, 1, 1, tzinfo=UTC)
MARCH = datetime(2024, 3, 1, tzinfo=UTC)
YEAR_END = datetime(2025, 1, 1, tzinfo=UTC)
PARTS: tuple[Bounds, ...] = ((JANUARY, MARCH), (MARCH, YEAR_END))
BY_KIND = "SELECT kind, count, amount FROM sales"


def unused(statement: object) -> str:
    return "\n".join(statement.steps.lines())  # type: ignore[attr-defined]


def test_partitions_outside_of_the_range_are_not_read(warehouse: Warehouse) -> None:
    stored = warehouse.build("sales.by_month", PARTS)
    tables = [part.table for part in stored.parts]
    sql = f"{BY_KIND} WHERE day >= '2024-02-01' AND day < '2024-03-01' GROUP BY 1"
    statement, rows, expected = warehouse.answers(sql, candidates_of([stored]))
    assert statement.rollups == ("sales.by_month",)
    assert tables[0] in statement.sql
    assert tables[1] not in statement.sql
    assert rows == expected
    sql = f"{BY_KIND} WHERE day >= '2024-02-01' AND day < '2024-11-01' GROUP BY 1"
    statement, rows, expected = warehouse.answers(sql, candidates_of([stored]))
    assert all(table in statement.sql for table in tables)
    assert rows == expected


def test_what_is_not_built_is_not_guessed(warehouse: Warehouse) -> None:
    stored = warehouse.build("sales.by_month", PARTS)
    for where in ("", "WHERE day >= '2024-02-01'", "WHERE day < '2024-03-01'"):
        statement, rows, expected = warehouse.answers(
            f"{BY_KIND} {where} GROUP BY 1", candidates_of([stored])
        )
        assert statement.rollups == ()
        assert "what is built does not cover the time that is asked for" in unused(statement)
        assert rows == expected


def test_a_complete_rollup_needs_no_range(warehouse: Warehouse) -> None:
    stored = warehouse.build("sales.by_month", ((None, MARCH), (MARCH, None)))
    statement, rows, expected = warehouse.answers(f"{BY_KIND} GROUP BY 1", candidates_of([stored]))
    assert statement.rollups == ("sales.by_month",)
    assert rows == expected
    some = warehouse.build("sales.by_month", PARTS)
    statement = warehouse.compile(f"{BY_KIND} GROUP BY 1", candidates_of([some]))
    assert statement.rollups == ()
    whole = replace(some, complete=True)
    statement = warehouse.compile(f"{BY_KIND} GROUP BY 1", candidates_of([whole]))
    assert statement.rollups == ("sales.by_month",)


def test_the_rest_is_read_from_the_source(warehouse: Warehouse) -> None:
    stored = warehouse.build("sales.latest", PARTS)
    for where in ("", "WHERE sold_at >= '2024-02-29 07:30'", "WHERE sold_at < '2024-12-31 20:00'"):
        statement, rows, expected = warehouse.answers(
            f"{BY_KIND} {where} GROUP BY 1", candidates_of([stored])
        )
        assert statement.rollups == ("sales.latest",), unused(statement)
        assert "FROM sales" in statement.sql
        assert rows == expected


def test_a_lambda_reads_its_rollups_one_behind_the_other(warehouse: Warehouse) -> None:
    stored = [
        warehouse.build("sales.latest", ((JANUARY, MARCH),)),
        warehouse.build("sales.last_days", ((MARCH, None),)),
    ]
    sql = f"{BY_KIND} WHERE sold_at >= '2024-01-01' GROUP BY 1"
    statement, rows, expected = warehouse.answers(sql, candidates_of(stored))
    assert statement.rollups == ("sales.both",), unused(statement)
    assert "FROM sales" not in statement.sql
    assert rows == expected


def test_a_table_of_somebody_else(warehouse: Warehouse) -> None:
    warehouse.execute("DROP TABLE IF EXISTS sales_by_kind")
    warehouse.execute(
        "CREATE TABLE sales_by_kind AS SELECT SUM(units) AS total_units, COUNT(*) AS count, kind "
        "FROM sales GROUP BY kind"
    )
    sql = "SELECT kind, count, total_units, net_units FROM sales GROUP BY 1"
    statement, rows, expected = warehouse.answers(sql, candidates_of([]))
    assert statement.rollups == ("sales.given",), unused(statement)
    assert statement.rollups_built_at is None
    assert rows == expected
    statement = warehouse.compile(sql, candidates_of([], since=5.0))
    assert "it is not known how old its data is" in unused(statement)
    with pytest.raises(SemanticError, match="cannot be built"):
        warehouse.compiler.build_rollup("sales.given", None, None, SETTINGS)


def test_rows_of_a_cubes_own_sql(warehouse: Warehouse) -> None:
    stored = [warehouse.build("busy.kept")]
    for sql in ("SELECT id, kind FROM busy", "SELECT kind, count FROM busy GROUP BY 1"):
        statement, rows, expected = warehouse.answers(sql, candidates_of(stored))
        assert statement.rollups == ("busy.kept",)
        assert "units > 2" not in statement.sql
        assert rows == expected


def test_old_data_and_other_versions_are_not_read(warehouse: Warehouse) -> None:
    stored = warehouse.build("sales.by_city", built_at=100.0)
    sql = "SELECT city, amount FROM sales GROUP BY 1"
    statement = warehouse.compile(sql, candidates_of([stored], since=100.0))
    assert statement.rollups == ("sales.by_city",)
    assert statement.rollups_built_at == 100.0
    statement = warehouse.compile(sql, candidates_of([stored], since=101.0))
    assert "older than the statement wants" in unused(statement)
    statement = warehouse.compile(sql, candidates_of([replace(stored, version="other")]))
    assert "another version of the model" in unused(statement)


def test_a_bound_may_be_a_parameter(warehouse: Warehouse) -> None:
    stored = warehouse.build("sales.by_day")
    sql = f"{BY_KIND} WHERE sold_at >= $1 AND sold_at < $2 GROUP BY 1"
    for start, end in (("2024-01-01", "2024-03-10 07:00"), ("2024-01-31 12:10:00", "2024-12-01")):
        values = [datetime.fromisoformat(start), datetime.fromisoformat(end)]
        statement, rows, expected = warehouse.answers(sql, candidates_of([stored]), values=values)
        assert statement.rollups == ("sales.by_day",), unused(statement)
        assert rows == expected


def test_counts_of_different_values_at_the_same_grain(warehouse: Warehouse) -> None:
    model = warehouse.model
    cube = model.cubes_by_name["sales"]
    item = next(item for item in cube.pre_aggregations if item.name == "by_day")
    without = replace(item, dimensions=item.dimensions[:1], segments=())
    other = replace(cube, pre_aggregations=(without,))
    cubes = tuple(other if each is cube else each for each in model.cubes)
    warehouse.use(replace(model, cubes=cubes))
    try:
        stored = candidates_of([warehouse.build("sales.by_day")])
        sql = "SELECT kind, sold_at::date, shops_used FROM sales GROUP BY 1, 2"
        statement, rows, expected = warehouse.answers(sql.replace("::date", ""), stored)
        assert statement.rollups == ()
        sql = "SELECT kind, date_trunc('day', sold_at), shops_used FROM sales GROUP BY 1, 2"
        statement, rows, expected = warehouse.answers(sql, stored)
        assert statement.rollups == ("sales.by_day",), unused(statement)
        assert rows == expected
        sql = "SELECT date_trunc('day', sold_at), shops_used FROM sales WHERE kind = 'a' GROUP BY 1"
        statement, rows, expected = warehouse.answers(sql, stored)
        assert statement.rollups == ("sales.by_day",), unused(statement)
        assert rows == expected
        sql = "SELECT kind, date_trunc('month', sold_at), shops_used FROM sales GROUP BY 1, 2"
        statement = warehouse.compile(sql, stored)
        assert "it does not store shops_used" in unused(statement)
    finally:
        warehouse.use(model)


def test_policies_over_stored_dimensions(warehouse: Warehouse) -> None:
    model = warehouse.model
    warehouse.use(governed_model())
    try:
        stored = candidates_of([warehouse.build("sales.by_day"), warehouse.build("busy.kept")])
        sql = "SELECT kind, shop_id, amount, COUNT(*) FROM sales GROUP BY 1, 2"
        for group in ("everything", "kinds"):
            access = warehouse.access(group, kinds=["a"])
            statement, rows, expected = warehouse.answers(sql, stored, access=access)
            assert statement.rollups == ("sales.by_day",), unused(statement)
            assert statement.governed
            assert rows == expected
        assert len(rows) < 8
        access = warehouse.access("units")
        statement, rows, expected = warehouse.answers(sql, stored, access=access)
        assert statement.rollups == ()
        assert "access policies" in unused(statement)
        assert rows == expected
        access = warehouse.access("kinds", kinds=["b"])
        sql = "SELECT kind, COUNT(*) FROM busy GROUP BY 1"
        statement, rows, expected = warehouse.answers(sql, stored, access=access)
        assert statement.rollups == ("busy.kept",)
        assert rows == expected
        assert len(rows) == 1
    finally:
        warehouse.use(model)


@pytest.mark.parametrize(
    "measure",
    [
        "average_amount",
        "shops_used",
        "large_share",
        "per_sale",
        "COUNT(DISTINCT shop_id)",
        "amount",
    ],
)
def test_a_rollup_without_the_column_of_a_policy(warehouse: Warehouse, measure: str) -> None:
    """Units are stored nowhere, shops not in by_city: their owners are answered from the source."""
    model = warehouse.model
    warehouse.use(governed_model())
    try:
        stored = candidates_of([warehouse.build(f"sales.{name}") for name in ("by_day", "by_city")])
        sql = f"SELECT kind, {measure} AS value FROM sales GROUP BY kind"
        everybodys = warehouse.answers(sql, stored, access=warehouse.access("everything"))
        for group in ("units", "shops"):
            statement, rows, expected = warehouse.answers(
                sql, stored, access=warehouse.access(group)
            )
            assert statement.rollups == ()
            assert rows == expected
            # Otherwise nothing would have been seen of a policy that was forgotten.
            assert group != "units" or rows != everybodys[1]
    finally:
        warehouse.use(model)


def test_the_range_of_a_rollup(warehouse: Warehouse) -> None:
    compiled = warehouse.compiler.rollup_range("sales.by_month", SETTINGS)
    assert compiled is not None
    ((start, end),) = warehouse.run(compiled.sql)
    assert (str(start)[:10], str(end)[:10]) == ("1950-06-01", "2025-01-01")
    compiled = warehouse.compiler.rollup_timeless("sales.by_month", SETTINGS)
    assert compiled is not None
    assert warehouse.run(compiled.sql) == [(1,)]
    assert warehouse.compiler.rollup_range("sales.by_day", SETTINGS) is None


def test_every_definition_is_told(in_duckdb: Warehouse) -> None:
    found = in_duckdb.compiler.rollups()
    names = "by_day by_city by_shop by_quarter_hour by_month latest last_days moments both given"
    rows = "by_moment and_rest by_sale by_day by_local_day"
    assert list(found) == [
        "busy.kept",
        *(f"kept_sales.{name}" for name in rows.split()),
        *(f"sales.{name}" for name in names.split()),
    ]
    assert [name for name, item in found.items() if not item.is_built] == [
        "sales.both", "sales.given",
    ]  # fmt: skip
    by_day = found["sales.by_day"]
    assert by_day.unstored == ()
    assert [column.name for column in by_day.columns][:4] == [
        "kind", "shop_id", "sold_at__day", "cheap",
    ]  # fmt: skip
    assert {column.part for column in by_day.columns} == {
        "", "sum", "count", "min", "max", "distinct", "hll", "ddsketch",
    }  # fmt: skip


def test_what_is_kept_elsewhere_is_not_joined_to_the_warehouses_tables(in_apart: Warehouse) -> None:
    stored = in_apart.build("sales.by_day")
    sql = "SELECT city, amount FROM sales GROUP BY 1"
    statement, rows, expected = in_apart.answers(sql, candidates_of([stored]))
    assert statement.rollups == ()
    assert "rows of the source would have to be joined, too (store city)" in unused(statement)
    assert rows == expected
