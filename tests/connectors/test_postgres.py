"""What only the PostgreSQL connector does: rows as sent, sessions, stopping in the server."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator
from decimal import Decimal

import psycopg
import pytest
import uvloop

from connectors.base import Parameter
from connectors.errors import WarehouseError
from connectors.postgres_connector import PostgresConnector, PostgresOptions
from tests.connectors.support import fetch
from tests.support.oracle import OraclePostgres
from tests.support.waiting import until_async

WIDE = (
    "SELECT true AS a, -1::int2 AS b, 0.1::float8 AS c, 1e10::numeric AS d, '\\xff'::bytea AS e,"
    " timestamptz '2024-07-01 12:00Z' AS f, interval '1 mon -2 days' AS g, NULL::text AS h,"
    " array[1, NULL] AS i, 'é'::text AS j, 'infinity'::float4 AS k, now()::date - now()::date AS l"
)


@pytest.fixture
async def connector(postgres_server: OraclePostgres) -> AsyncIterator[PostgresConnector]:
    opened = PostgresConnector(PostgresOptions(dsn=postgres_server.dsn, pool_size=4))
    await opened.start()
    yield opened
    await opened.close()


@pytest.mark.parametrize("binary", [False, True])
async def test_rows_are_what_postgres_sends(
    connector: PostgresConnector, postgres_server: OraclePostgres, binary: bool
) -> None:
    rows = await fetch(connector, WIDE, formats=(int(binary),), time_zone="Europe/Berlin")
    with psycopg.connect(postgres_server.dsn) as plain:
        plain.execute("SET TimeZone = 'Europe/Berlin'")
        result = plain.pgconn.exec_params(WIDE.encode(), [], result_format=int(binary))
        assert rows == [[result.get_value(0, column) for column in range(result.nfields)]]


async def test_formats_by_column(connector: PostgresConnector) -> None:
    sql = "SELECT 1::int4 AS a, 2::int4 AS b, $1::int8 AS c"
    rows = await fetch(connector, sql, (Parameter("int8", 3),), (0, 1, 1))
    assert rows == [[b"1", b"\x00\x00\x00\x02", b"\x00" * 7 + b"\x03"]]


@pytest.mark.parametrize(
    ("type_name", "value", "text"),
    [
        ("bool", False, b"f"),
        ("float8", float("-inf"), b"-Infinity"),
        ("float4", float("nan"), b"NaN"),
        ("float8", 0.1 + 0.2, b"0.30000000000000004"),
        ("numeric", Decimal("NaN"), b"NaN"),
        ("numeric", Decimal("1E+3"), b"1000"),
        ("numeric", Decimal("-0.00"), b"0.00"),
        ("date", "infinity", b"infinity"),
        ("time", datetime.time(23, 59, 59, 999999), b"23:59:59.999999"),
        ("interval", datetime.timedelta(days=-1, seconds=3), b"-1 days +00:00:03"),
        ("timestamptz", datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC),
         b"2024-01-01 00:00:00+00"),
        ("jsonb", '{"a": [1]}', b'{"a": [1]}'),
        ("_numeric", [Decimal("1.50"), None], b"{1.50,NULL}"),
        ("_bytea", [b"\x00\\"], b'{"\\\\x005c"}'),
        ("_text", [["a", "b"], ["c", 'd"']], b'{{a,b},{c,"d\\""}}'),
        ("_timestamp", [datetime.datetime(2024, 1, 1)], b'{"2024-01-01 00:00:00"}'),
        ("citext", "x", b"x"),
    ],
)  # fmt: skip
async def test_parameter_text(
    connector: PostgresConnector, type_name: str, value: object, text: bytes
) -> None:
    cast = (
        type_name[1:] + "[]" if type_name.startswith("_") else type_name.replace("citext", "text")
    )
    rows = await fetch(connector, f"SELECT $1::{cast} AS a", (Parameter(type_name, value),))
    assert rows == [[text]]


async def test_zero_byte_in_a_parameter(connector: PostgresConnector) -> None:
    with pytest.raises(WarehouseError) as caught:
        await fetch(connector, "SELECT $1::text AS a", (Parameter("text", "a\x00b"),))
    assert caught.value.sqlstate == "22021"
    assert not caught.value.reached


async def test_errors_pass_through(connector: PostgresConnector) -> None:
    with pytest.raises(WarehouseError) as caught:
        await fetch(connector, "SELECT iD, idd FROM flights")
    assert caught.value.sqlstate == "42703"
    assert caught.value.message == 'column "idd" does not exist'
    assert caught.value.hint == 'Perhaps you meant to reference the column "flights.id".'
    assert caught.value.position == 12


async def test_column_types_are_told(connector: PostgresConnector) -> None:
    stream = await connector.stream_rows("SELECT 1::int2 AS a, 'x'::text AS b", (), (0,))
    assert stream.type_oids == (21, 25)
    await stream.close()


async def test_sessions_do_not_inherit_settings(
    connector: PostgresConnector, postgres_server: OraclePostgres
) -> None:
    show = "SELECT current_setting('DateStyle') AS a, current_setting('TimeZone') AS b"
    sneaky = "SELECT set_config('DateStyle', 'German', false) AS a"
    await fetch(connector, sneaky, time_zone="Asia/Tokyo")
    await fetch(connector, "SELECT set_config('TimeZone', 'Asia/Kabul', false) AS a")
    await fetch(connector, "SELECT set_config('default_transaction_read_only', 'off', false) AS a")
    assert await fetch(connector, show) == [[b"ISO, MDY", b"UTC"]]
    with pytest.raises(WarehouseError) as caught:
        await fetch(connector, "CREATE TABLE made()")
    assert caught.value.sqlstate == "25006"


async def test_time_zone_survives_a_failed_statement(connector: PostgresConnector) -> None:
    zone = "SELECT current_setting('TimeZone') AS a"
    with pytest.raises(WarehouseError):
        await fetch(connector, "SELECT 1 / 0 AS a", time_zone="Asia/Tokyo")
    assert await fetch(connector, zone, time_zone="Asia/Tokyo") == [[b"Asia/Tokyo"]]
    assert await fetch(connector, zone) == [[b"UTC"]]


def _running(dsn: str) -> int:
    with psycopg.connect(dsn, autocommit=True) as admin:
        row = admin.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE application_name = 'cubewire' AND state = 'active'"
        ).fetchone()
        assert row is not None
        return int(row[0])


async def _until_running(server: OraclePostgres, statements: int) -> None:
    async def are_running() -> bool:
        return await asyncio.to_thread(_running, server.dsn) == statements

    await until_async(are_running)


@pytest.mark.parametrize("way", ["cancel", "timeout", "close"])
async def test_stopped_statement_leaves_the_server(
    connector: PostgresConnector, postgres_server: OraclePostgres, way: str
) -> None:
    endless = "SELECT count(*) FROM (SELECT generate_series(1, 100000000000) AS i) AS t"
    rows = "SELECT generate_series(1, 100000000000) AS i"
    if way == "close":
        stream = await connector.stream_rows(rows, (), (0,))
        await anext(aiter(stream))
        await _until_running(postgres_server, 1)
        await stream.close()
    else:
        timeout = 2.0 if way == "timeout" else None
        task = asyncio.create_task(connector.stream_rows(endless, (), (0,), timeout=timeout))
        await _until_running(postgres_server, 1)
        if way == "cancel":
            task.cancel()
        with pytest.raises((WarehouseError, asyncio.CancelledError)):
            await task
    await _until_running(postgres_server, 0)


async def test_server_waits_for_a_reader_that_waits(
    connector: PostgresConnector, postgres_server: OraclePostgres
) -> None:
    stream = await connector.stream_rows(
        "SELECT repeat('x', 1000) AS a FROM (SELECT generate_series(1, 10000000)) AS t", (), (0,)
    )
    await anext(aiter(stream))

    def is_waiting() -> bool:
        with psycopg.connect(postgres_server.dsn) as admin:
            waits = admin.execute(
                "SELECT wait_event FROM pg_stat_activity WHERE query LIKE 'SELECT repeat%'"
            ).fetchall()
        return waits == [("ClientWrite",)]

    await until_async(lambda: asyncio.to_thread(is_waiting))
    await asyncio.sleep(0.2)
    assert await asyncio.to_thread(is_waiting)
    await stream.close()


@pytest.mark.slow
async def test_ten_million_rows_in_little_memory(connector: PostgresConnector) -> None:
    from tests.connectors.support import resident_bytes

    idle = peak = resident_bytes()
    stream = await connector.stream_rows(
        "SELECT i::int8 AS a, i * 2 AS b, i::float8 / 3 AS c, 'text ' || i AS d, i % 7 = 0 AS e"
        " FROM (SELECT generate_series(1, 10000000) AS i) AS t",
        (),
        (0,),
    )
    seen = 0
    async for _, rows in stream:
        seen += rows
        peak = max(peak, resident_bytes())
    assert seen == 10_000_000
    assert peak - idle < 50 * 1024 * 1024


async def test_links_are_reused(connector: PostgresConnector) -> None:
    pids = {(await fetch(connector, "SELECT pg_backend_pid() AS a"))[0][0] for _ in range(10)}
    assert len(pids) == 1


async def test_terminated_backend(
    connector: PostgresConnector, postgres_server: OraclePostgres
) -> None:
    task = asyncio.create_task(fetch(connector, "SELECT pg_sleep(30) AS a"))
    await _until_running(postgres_server, 1)

    def terminate() -> None:
        with psycopg.connect(postgres_server.dsn, autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'cubewire'"
            )

    await asyncio.to_thread(terminate)
    with pytest.raises(WarehouseError) as caught:
        await task
    assert caught.value.sqlstate == "57P01"
    # Idle connections were ended too: the next statement gets a new one.
    assert await fetch(connector, "SELECT 42 AS a") == [[b"42"]]
    await connector.health()


def test_on_uvloop(postgres_server: OraclePostgres) -> None:
    """The transport that is taken over differs between event loops."""

    async def main() -> None:
        connector = PostgresConnector(PostgresOptions(dsn=postgres_server.dsn))
        await connector.start()
        rows = await fetch(connector, "SELECT generate_series(1, 100000) AS i")
        assert [int(row[0] or 0) for row in rows] == list(range(1, 100_001))
        task = asyncio.create_task(fetch(connector, "SELECT pg_sleep(30) AS a"))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await connector.close()

    uvloop.run(main())
