"""SQLite: the conformance suite's stopping, and what is SQLite's own: types, errors, read-only."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import functools
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pyarrow as pa
import pytest

from connectors.base import Parameter
from connectors.errors import WarehouseError
from connectors.registry import open_connector
from tests.connectors.support import Warehouse
from tests.connectors.test_conformance_errors import (  # noqa: F401 - run here with SQLite
    test_health,
    test_nothing_is_written,
    test_text_that_is_not_text,
)
from tests.connectors.test_conformance_stopping import (  # noqa: F401 - run here with SQLite
    test_cancel_stops_the_work,
    test_cancel_while_iterating,
    test_close_from_elsewhere_ends_a_reader,
    test_early_close_stops_the_work,
    test_many_at_once,
    test_many_random_stops_leave_nothing,
    test_quick_statements_beside_slow_ones,
    test_timeout_does_not_touch_a_statement_that_ends,
    test_timeout_spans_the_whole_stream,
    test_timeout_while_starting,
    test_unread_stream_computes_nothing,
)

_COUNTED = "WITH RECURSIVE t(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM t LIMIT {})"


class SqliteWarehouse(Warehouse):
    """As ``Warehouse``, in SQLite's SQL."""

    @property
    def endless(self) -> str:
        return _COUNTED.format(100_000_000_000) + " SELECT count(*) AS n FROM t WHERE i % 7 = 3"

    def numbers(self, rows: int) -> str:
        counted = _COUNTED.format(rows)
        return (
            f"/* int8, int8, float8, text, bool */ {counted} SELECT i AS a, i * 2 AS b,"
            " i / 3.0 AS c, 'text ' || i AS d, i % 7 = 0 AS e FROM t"
        )


@functools.cache
def _flights() -> bytes:
    """A database with the tables of these tests, which is made once."""
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        database.execute("CREATE TABLE flights (id INTEGER, day INT4, carrier TEXT, late BOOLEAN)")
        database.executemany(
            "INSERT INTO flights VALUES (?, ?, ?, ?)",
            [(i, i % 7, f"carrier {i % 11}", i % 2 == 0) for i in range(1, 100_001)],
        )
        database.execute(
            "CREATE TABLE odd (a INTEGER, b TEXT, c DATE, d DECIMAL(10, 2), e DECIMAL(10, 0),"
            " f TIMESTAMP, g POINT, h REAL, i BLOB, j VARCHAR(20), k)"
        )
        database.commit()
        return database.serialize()


@contextlib.asynccontextmanager
async def _opened(folder: Path, **options: object) -> AsyncIterator[SqliteWarehouse]:
    path = folder / "flights ?#%.sqlite"
    path.write_bytes(_flights())
    connector = open_connector("sqlite", {"path": str(path), **options})
    await connector.start()
    try:
        yield SqliteWarehouse("sqlite", connector)
    finally:
        await connector.close()


@pytest.fixture
async def warehouse(tmp_path: Path) -> AsyncIterator[Warehouse]:
    async with _opened(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize(
    ("kind", "sql", "arrow", "value"),
    [
        ("bool", "1", pa.bool_(), True),
        ("int2", "-7", pa.int16(), -7),
        ("int4", "2147483647", pa.int32(), 2147483647),
        ("int8", "9223372036854775807", pa.int64(), 9223372036854775807),
        ("float8", "1e300", pa.float64(), 1e300),
        ("float8", "9e999", pa.float64(), float("inf")),
        ("numeric", "12345678901234", pa.string(), "12345678901234"),
        ("text", "'héllo \U0001f6eb'", pa.string(), "héllo \U0001f6eb"),
        ("date", "'2024-02-29'", pa.date32(), datetime.date(2024, 2, 29)),
        ("timestamp", "'2024-02-29 12:30:15.25'", pa.timestamp("us"),
         datetime.datetime(2024, 2, 29, 12, 30, 15, 250000)),
        ("timestamptz", "'2024-02-29 12:30:15'", pa.timestamp("us", "UTC"),
         datetime.datetime(2024, 2, 29, 12, 30, 15, tzinfo=datetime.UTC)),
        ("bytea", "x'00ff'", pa.binary(), b"\x00\xff"),
    ],
)  # fmt: skip
async def test_type(
    warehouse: Warehouse, kind: str, sql: str, arrow: pa.DataType, value: object
) -> None:
    table = await warehouse.table(f"/* {kind}, {kind} */ SELECT {sql} AS x, NULL AS y")
    assert table.schema.types == [arrow, arrow]
    assert [column[0].as_py() for column in table.columns] == [value, None]


@pytest.mark.parametrize(
    ("kind", "sql", "sqlstate"),
    [
        ("int2", "32768", "22003"),
        ("int4", "'1'", "22P02"),
        ("int8", "1.0", "22P02"),
        ("bool", "2", "22P02"),
        ("float8", "1", "22P02"),
        ("numeric", "1.5", "22P02"),
        ("text", "1", "22P02"),
        ("text", "char(97, 0, 98)", "22021"),
        ("date", "'2024-02-30'", "22P02"),
        ("timestamp", "'tomorrow'", "22P02"),
    ],
)
async def test_value_of_another_type(
    warehouse: Warehouse, kind: str, sql: str, sqlstate: str
) -> None:
    with pytest.raises(WarehouseError) as caught:
        await warehouse.table(f"/* {kind} */ SELECT {sql} AS x")
    assert caught.value.sqlstate == sqlstate
    assert await warehouse.values("SELECT 42 AS a") == [42]


@pytest.mark.parametrize(
    ("sqlstate", "sql"),
    [
        ("42703", "SELECT f.absent FROM flights AS f"),
        ("42P01", "SELECT * FROM nowhere"),
        ("42883", "SELECT no_such_function(id) FROM flights"),
        ("42883", "SELECT substr(id, 1, 2, 3) FROM flights"),
        ("42702", "SELECT id FROM flights AS a, flights AS b"),
        ("42601", "SELECT 1 +"),
        ("22003", "SELECT abs(-9223372036854775808) AS a"),
        ("22003", "SELECT sum(id * 1000000000000000) AS a FROM flights"),
        ("22012", "SELECT cubewire_fail('22012', 'division by zero') AS a"),
        ("42P02", "SELECT $1 AS a"),
        ("42501", "SELECT load_extension('x') AS a"),
        ("42501", "ATTACH 'other.sqlite' AS other"),
        ("42501", "PRAGMA user_version"),
    ],
)
async def test_code(warehouse: Warehouse, sqlstate: str, sql: str) -> None:
    with pytest.raises(WarehouseError) as caught:
        await warehouse.table(sql)
    assert caught.value.sqlstate == sqlstate, caught.value.message
    assert await warehouse.values("SELECT 42 AS a") == [42]


async def test_fault_in_the_middle_of_a_stream(warehouse: Warehouse) -> None:
    counted = _COUNTED.format(100_000)
    stream = await warehouse.connector.execute(
        f"{counted} SELECT CASE WHEN i = 90000 THEN abs(-9223372036854775808) ELSE i END AS a"
        " FROM t"
    )
    seen = 0

    async def read() -> None:
        nonlocal seen
        async for batch in stream:
            seen += batch.num_rows

    with pytest.raises(WarehouseError) as caught:
        await read()
    assert caught.value.sqlstate == "22003"
    assert 0 < seen < 90_000


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("bool", True, 1),
        ("int8", -(2**63), -(2**63)),
        ("float8", 0.5, 0.5),
        ("text", "it's \\ \" $1 --", "it's \\ \" $1 --"),
        ("date", datetime.date(1999, 12, 31), "1999-12-31"),
        ("timestamp", datetime.datetime(2024, 2, 29, 12), "2024-02-29 12:00:00.000000"),
        (
            "timestamptz",
            datetime.datetime.fromisoformat("2024-02-29 12:00:00-05:00"),
            "2024-02-29 17:00:00.000000",
        ),
    ],
)
async def test_parameter(warehouse: Warehouse, kind: str, value: object, expected: object) -> None:
    row = await warehouse.values(
        "SELECT $2 AS a, $1 AS b, $2 AS c", [Parameter("text", "x"), Parameter(kind, value)]
    )
    assert row == [expected, "x", expected]


async def test_probe(warehouse: Warehouse) -> None:
    columns = await warehouse.connector.probe(
        "SELECT o.a, o.b, o.c, o.e, o.f, o.h, o.i, o.j, o.k, o.a + 1 AS x FROM odd AS o"
    )
    assert [(column.name, column.type_name) for column in columns] == [
        ("a", "int8"),
        ("b", "text"),
        ("c", "date"),
        ("e", "numeric"),
        ("f", "timestamp"),
        ("h", "float8"),
        ("i", "bytea"),
        ("j", "text"),
        ("k", "unknown"),
        ("x", "unknown"),
    ]


@pytest.mark.parametrize(("column", "says"), [("d", "DECIMAL"), ("g", "POINT")])
async def test_probe_refuses(warehouse: Warehouse, column: str, says: str) -> None:
    with pytest.raises(WarehouseError, match=f'column "{column}" is declared {says}') as caught:
        await warehouse.connector.probe(f"SELECT o.{column} FROM odd AS o")
    assert caught.value.sqlstate == "0A000"
    assert caught.value.hint


async def test_probe_does_not_run(warehouse: Warehouse) -> None:
    columns = await warehouse.connector.probe(warehouse.endless)
    assert [column.name for column in columns] == ["n"]


async def test_no_file(tmp_path: Path) -> None:
    connector = open_connector("sqlite", {"path": str(tmp_path / "nothing.sqlite")})
    with pytest.raises(WarehouseError) as caught:
        await connector.start()
    assert caught.value.sqlstate == "08001"
    await connector.close()
    assert not (tmp_path / "nothing.sqlite").exists()


async def test_full_queue_is_refused(tmp_path: Path) -> None:
    async with _opened(tmp_path, queue_seconds=0.3, quick_threads=1, slow_threads=1) as warehouse:
        slow = [asyncio.create_task(warehouse.table(warehouse.endless)) for _ in range(2)]
        await asyncio.sleep(0.25)
        with pytest.raises(WarehouseError) as caught:
            await warehouse.table("SELECT 1 AS a")
        assert caught.value.sqlstate == "53300"
        await warehouse.connector.health()
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
        assert await warehouse.values("SELECT 42 AS a") == [42]


async def test_closing_the_connector_ends_its_statements(tmp_path: Path) -> None:
    async with _opened(tmp_path) as warehouse:
        running = asyncio.create_task(warehouse.table(warehouse.endless))
        await asyncio.sleep(0.2)
        await warehouse.connector.close()
        with pytest.raises(WarehouseError) as caught:
            await running
        assert caught.value.sqlstate == "57P01"
        with pytest.raises(WarehouseError) as caught:
            await warehouse.table("SELECT 1 AS a")
        assert caught.value.sqlstate == "57P01"
