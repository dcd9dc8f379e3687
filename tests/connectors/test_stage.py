"""The stage: rows of several warehouses in one DuckDB, within limits, and gone afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pyarrow as pa
import pytest

from connectors.base import WAREHOUSE_TYPE, BatchStream
from connectors.errors import WarehouseError
from connectors.stage import Stage, StageLimitError, StageOptions, StageTable, apart
from connectors.stage_tables import StageColumn
from tests.connectors.support import POSTGRES, Warehouse, all_rows, open_warehouse
from tests.support.oracle import OraclePostgres

NUMBERS = (StageColumn("n", "int8", "BIGINT"),)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    made = Stage(StageOptions())
    yield made
    await made.close()


@pytest.fixture
async def postgres(postgres_server: OraclePostgres, tmp_path: object) -> AsyncIterator[Warehouse]:
    async with open_warehouse(POSTGRES, tmp_path, postgres_server) as opened:  # type: ignore[arg-type]
        yield opened


class Rows:
    """A fetch that is there already."""

    def __init__(self, table: pa.Table, wait: float = 0.0) -> None:
        self._batches = iter(table.to_batches())
        self._wait = wait
        self.schema = table.schema
        self.is_closed = False

    def __aiter__(self) -> AsyncIterator[pa.RecordBatch]:
        return self

    async def __anext__(self) -> pa.RecordBatch:
        await asyncio.sleep(self._wait)
        for batch in self._batches:
            return batch
        raise StopAsyncIteration

    async def close(self) -> None:
        self.is_closed = True


def table(
    name: str,
    columns: tuple[StageColumn, ...],
    rows: pa.Table | Rows,
    label: str = "rows of here",
) -> StageTable:
    stream = rows if isinstance(rows, Rows) else Rows(rows)

    async def start() -> BatchStream:
        return stream

    return StageTable(name, columns, start, label, "it is a test")


def fetched(warehouse: Warehouse, sql: str) -> Callable[[], Awaitable[BatchStream]]:
    async def start() -> BatchStream:
        return await warehouse.connector.execute(sql)

    return start


def numbers(count: int) -> pa.Table:
    return pa.table({"n": pa.array(range(count), pa.int64())})


async def only_row(stage: Stage, tables: list[StageTable], sql: str) -> list[object]:
    found = await all_rows(await stage.execute(apart(tables), sql, ()))
    return [column[0].as_py() for column in found.columns]


async def test_values_of_all_types_arrive_as_they_are(stage: Stage, postgres: Warehouse) -> None:
    sql = (
        "SELECT 1.50::numeric AS a, 7::numeric(10, 2) AS b, 'x'::text AS c, 5 AS d, "
        "timestamptz '2024-03-10 07:00+00' AS e, '-infinity'::date AS f, "
        "interval '1 month 2 days 00:00:03.5' AS g, '{\"k\": 1}'::json AS h, "
        "'550e8400-e29b-41d4-a716-446655440000'::uuid AS i, '\\x00ff'::bytea AS j, "
        "ARRAY[1, NULL]::int4[] AS k, 'nan'::float8 AS l, time '10:11:12.5' AS m, NULL::bool AS n"
    )
    kinds = (
        ("a", "numeric", "VARCHAR"), ("b", "numeric", "DECIMAL(10, 2)"), ("c", "text", "VARCHAR"),
        ("d", "int8", "BIGINT"), ("e", "timestamptz", "TIMESTAMPTZ"), ("f", "date", "DATE"),
        ("g", "interval", "INTERVAL"), ("h", "json", "JSON"), ("i", "uuid", "UUID"),
        ("j", "bytea", "BLOB"), ("k", "_int4", "INT[]"), ("l", "float8", "DOUBLE"),
        ("m", "time", "TIME"), ("n", "bool", "BOOLEAN"),
    )  # fmt: skip
    columns = tuple(StageColumn(*kind) for kind in kinds)
    fetch = StageTable("t", columns, fetched(postgres, sql), "a row", "it is a test")
    shown = ", ".join(f'CAST("{name}" AS VARCHAR) AS "{name}"' for name, _, _ in kinds)
    assert await only_row(stage, [fetch], f"SELECT {shown} FROM t") == [
        "1.50", "7.00", "x", "5", "2024-03-10 07:00:00+00", "-infinity",
        "1 month 2 days 00:00:03.5", '{"k": 1}', "550e8400-e29b-41d4-a716-446655440000",
        "\\x00\\xFF", "[1, NULL]", "nan", "10:11:12.5", None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("column", "values", "sqlstate"),
    [
        (StageColumn("x", "numeric", "VARCHAR"), pa.array(["1", "NaN"]), "0A000"),
        (StageColumn("x", "numeric", "DECIMAL(5, 2)"), pa.array(["1.005"]), "22003"),
        (StageColumn("x", "int4", "INT"), pa.array([2**40]), "22003"),
        (StageColumn("x", "int4", "INT"), pa.array([1.5]), "XX000"),
        (StageColumn("x", "numeric", "VARCHAR"), pa.array([1.5]), "XX000"),
    ],
)
async def test_values_that_would_change_are_refused(
    stage: Stage, column: StageColumn, values: pa.Array, sqlstate: str
) -> None:
    with pytest.raises(WarehouseError) as caught:
        await only_row(stage, [table("t", (column,), pa.table({"x": values}))], "SELECT x FROM t")
    assert caught.value.sqlstate == sqlstate


async def test_equal_numbers_that_are_known_as_texts_are_equal(stage: Stage) -> None:
    field = pa.field("x", pa.string(), metadata={WAREHOUSE_TYPE: b"numeric"})
    texts = pa.table([pa.array(["1.0", "1.00", "10", "100", "-0.5"])], schema=pa.schema([field]))
    columns = (StageColumn("x", "text", "VARCHAR"),)
    sql = "SELECT count(DISTINCT x) FROM t"
    assert await only_row(stage, [table("t", columns, texts)], sql) == [4]


async def test_two_warehouses_are_joined(stage: Stage, warehouse: Warehouse) -> None:
    both = [
        StageTable("a", NUMBERS, fetched(warehouse, "SELECT id AS n FROM flights"), "", ""),
        table("b", NUMBERS, numbers(10)),
    ]
    assert await only_row(stage, both, "SELECT count(*) FROM a JOIN b ON a.n = b.n") == [9]


async def test_tables_are_of_one_statement(stage: Stage) -> None:
    sql = "SELECT sum(n)::INT FROM t"
    results = await asyncio.gather(
        *(only_row(stage, [table("t", NUMBERS, numbers(n))], sql) for n in range(1, 20))
    )
    assert [row[0] for row in results] == [n * (n - 1) // 2 for n in range(1, 20)]
    with pytest.raises(WarehouseError) as caught:
        await only_row(stage, [], sql)
    assert caught.value.sqlstate == "42P01"


@asynccontextmanager
async def small_stage(options: StageOptions) -> AsyncIterator[Stage]:
    made = Stage(options)
    yield made
    await made.close()


@pytest.mark.parametrize(
    ("options", "setting"),
    [
        (StageOptions(max_rows=100), "staging.max_rows"),
        (StageOptions(max_bytes=500), "staging.max_bytes"),
    ],
)
async def test_more_than_the_limit_is_an_error_that_says_why(
    options: StageOptions, setting: str
) -> None:
    async with small_stage(options) as stage:
        both = [
            table("a", NUMBERS, numbers(10)),
            table("b", NUMBERS, Rows(numbers(91), wait=0.05), "rows of there"),
        ]
        with pytest.raises(StageLimitError) as caught:
            await only_row(stage, both, "SELECT 1")
    assert caught.value.sqlstate == "54000"
    assert caught.value.hint is not None
    assert "rows of there, since it is a test" in caught.value.hint
    assert setting in caught.value.hint


async def test_a_fetch_that_fails_ends_the_others(stage: Stage) -> None:
    slow = Rows(numbers(5), wait=60)

    async def refused() -> BatchStream:
        await asyncio.sleep(0.05)
        raise WarehouseError("08006", "away")

    both = [table("a", NUMBERS, slow), StageTable("b", NUMBERS, refused, "", "")]
    with pytest.raises(WarehouseError) as caught:
        await only_row(stage, both, "SELECT 1")
    assert caught.value.sqlstate == "08006"
    assert slow.is_closed


async def test_cancelling_ends_the_fetches(stage: Stage, postgres: Warehouse) -> None:
    endless = StageTable("t", NUMBERS, fetched(postgres, postgres.endless), "", "")
    task = asyncio.create_task(only_row(stage, [endless], "SELECT 1"))
    while not postgres.running:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    while postgres.running:
        await asyncio.sleep(0.01)


async def test_the_timeout_spans_the_fetches_and_the_statement(stage: Stage) -> None:
    slow = table("t", NUMBERS, Rows(numbers(3), wait=0.2))
    endless = "SELECT count(*) FROM t, range(100000000000) AS r(i) WHERE i * n % 7 = 3"
    with pytest.raises(WarehouseError) as caught:
        await all_rows(await stage.execute(apart([slow]), endless, (), timeout=0.8))
    assert caught.value.sqlstate == "57014"
