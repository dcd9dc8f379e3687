"""asyncpg: everything prepared, everything binary."""

from __future__ import annotations

import asyncio
import datetime
import io
from collections.abc import Awaitable, Callable
from decimal import Decimal

import asyncpg
import pytest

from tests.e2e.targets import Pair, Target

FLIGHTS = (
    "SELECT flight_id, flight_number, carrier, flight_date, scheduled_hour, scheduled_departure,"
    " month, departure_delay, distance_km, is_cancelled, average_arrival_delay, on_time_rate,"
    " carriers FROM flights WHERE flight_id <= $1 ORDER BY flight_id"
)
VALUES = (
    "SELECT 1::int2, -2::int4, 3::int8, 1.5::float4, 2.5::float8, 12.340::numeric, 'x'::text,"
    " 'y'::varchar(3), 'z'::char(3), true, NULL::text, '\\x00ff'::bytea, date '2024-02-29',"
    " time '12:34:56.789', timestamp '2024-02-29 23:59:59.999999', timestamptz '2024-02-29 23:59Z',"
    " interval '1 year 2 mons 3 days 04:05:06.7', '{\"a\": [1, null]}'::jsonb, '[1]'::json,"
    " 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid, ARRAY[1, NULL, 3], ARRAY['a,b', '\"', NULL],"
    " 'name'::name, timetz '12:00+02', ARRAY[date '2024-01-01'], ARRAY[1.5, 2]"
)
Connection = asyncpg.Connection


async def same(pair: Pair, run: Callable[[Connection], Awaitable[object]]) -> object:
    """What ``run`` returns, the same from both servers."""
    found = []
    for target in (pair.ours, pair.postgres):
        connection = await asyncpg.connect(target.dsn, timeout=10)
        try:
            found.append(await run(connection))
        except asyncpg.PostgresError as error:
            found.append((type(error), error.sqlstate, error.message, error.position))
        finally:
            await connection.close()
    assert repr(found[0]) == repr(found[1])
    return found[0]


async def test_rows(pair: Pair) -> None:
    async def run(connection: Connection) -> object:
        statement = await connection.prepare(FLIGHTS)
        return (
            statement.get_parameters(),
            statement.get_attributes(),
            await statement.fetch(50),
            statement.get_statusmsg(),
        )

    parameters, _, rows, status = await same(pair, run)  # type: ignore[misc]
    assert (parameters[0].name, len(rows), status) == ("int8", 50, "SELECT 50")


async def test_values_of_all_types(pair: Pair) -> None:
    async def run(connection: Connection) -> object:
        return await connection.fetch(VALUES)

    await same(pair, run)


PARAMETERS: list[tuple[str, list[object]]] = [
    ("SELECT count(*) FROM flights WHERE flight_id <= 2000 AND distance > $1", [1000]),
    ("SELECT count(*) FROM flights WHERE flight_id <= 2000 AND month = $1", [1]),
    ("SELECT count(*) FROM flights WHERE flight_id <= $1", [1999]),
    ("SELECT count(*) FROM flights WHERE flight_id <= 2000 AND carrier = $1", ["UA"]),
    ("SELECT count(*) FROM flights WHERE flight_id <= 2000 AND carrier = ANY($1)", [["UA", "AA"]]),
    ("SELECT count(*) FROM flights WHERE flight_id = ANY($1::bigint[])", [[1, 2, None]]),
    (
        "SELECT count(*) FROM flights WHERE flight_id <= 2000 AND distance_km > $1",
        [Decimal("999.9")],
    ),
    ("SELECT count(*) FROM flights WHERE flight_id <= 2000 AND on_time_rate > $1", [0.5]),
    ("SELECT count(*) FROM flights WHERE flight_id <= 2000 AND is_cancelled = $1", [False]),
    (
        "SELECT count(*) FROM flights WHERE flight_id <= 2000 AND flight_date = $1",
        [datetime.date(2013, 1, 2)],
    ),
    (
        "SELECT count(*) FROM flights WHERE flight_id <= 2000 AND scheduled_departure >= $1",
        [datetime.datetime(2013, 1, 2, 12, 30)],
    ),
    (
        "SELECT count(*) FROM flights WHERE flight_id <= 2000 AND scheduled_hour < $1",
        [datetime.datetime(2013, 1, 2, tzinfo=datetime.UTC)],
    ),
    (
        "SELECT count(*) FROM flights WHERE flight_id <= 2000 AND flight_date + $1 > $2",
        [datetime.timedelta(days=1), datetime.datetime(2013, 1, 2)],
    ),
    ("SELECT count(*) FROM flights WHERE flight_id <= 2000 AND carrier = $1", [None]),
    ("SELECT name FROM airlines WHERE carrier = $1 OR name = $1", ["UA"]),
    ("SELECT carrier FROM airlines ORDER BY carrier LIMIT $1 OFFSET $2", [3, 2]),
    (
        "SELECT $1::text, $2::int[], $3::jsonb, $4::interval",
        ["ä", [1, 2], "{}", datetime.timedelta(1)],
    ),
    ("SELECT relname FROM pg_class WHERE relname = $1 AND relkind = 'r'", ["flights"]),
    ("SELECT nope FROM flights WHERE flight_id = $1", [1]),
    ("SELECT name FROM airlines WHERE carrier = $1::text::int", ["x"]),
]


@pytest.mark.parametrize(("statement", "values"), PARAMETERS)
async def test_parameters(pair: Pair, statement: str, values: list[object]) -> None:
    async def run(connection: Connection) -> object:
        prepared = await connection.prepare(statement)
        shape = [item.name for item in prepared.get_parameters()], prepared.get_attributes()
        return shape, await prepared.fetch(*values), await connection.fetch(statement, *values)

    await same(pair, run)


async def test_cursors(pair: Pair) -> None:
    async def run(connection: Connection) -> object:
        found: list[object] = []
        async with connection.transaction():
            cursor = await connection.cursor(FLIGHTS, 40)
            found += [await cursor.fetchrow(), await cursor.fetch(7), await cursor.forward(5)]
            found.append(await cursor.fetch(100))
            numbers = [row[0] async for row in connection.cursor(FLIGHTS, 40, prefetch=9)]
            found.append(numbers)
        return found

    assert (await same(pair, run))[-1] == list(range(1, 41))  # type: ignore[index]


async def test_transactions(pair: Pair) -> None:
    async def run(connection: Connection) -> object:
        found: list[object] = []
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            found.append(await connection.fetchval("SHOW transaction_isolation"))
            try:
                async with connection.transaction():
                    await connection.fetch("SELECT nope FROM airlines")
            except asyncpg.UndefinedColumnError as error:
                found.append(error.message)
            found.append(await connection.fetchval("SELECT count(*) FROM airlines"))
        found.append(connection.is_in_transaction())
        return found

    await same(pair, run)


async def test_execute_and_many(pair: Pair) -> None:
    async def run(connection: Connection) -> object:
        found: list[object] = [
            await connection.execute("SELECT 1; SELECT count(*) FROM airlines"),
            await connection.execute("SELECT count(*) FROM airlines WHERE carrier = $1", "UA"),
            await connection.fetchmany(
                "SELECT name FROM airlines WHERE carrier = $1", [("UA",), ("AA",)]
            ),
        ]
        await connection.executemany(
            "SELECT name FROM airlines WHERE carrier = $1", [("UA",), ("DL",)]
        )
        return found

    await same(pair, run)


async def test_copy(pair: Pair) -> None:
    async def run(connection: Connection) -> object:
        found = []
        for options in ({}, {"format": "csv", "header": True}, {"format": "binary"}):
            data = io.BytesIO()
            statement = "SELECT carrier, name FROM airlines WHERE carrier <> $1 ORDER BY carrier"
            found.append(await connection.copy_from_query(statement, "UA", output=data, **options))
            found.append(data.getvalue())
        data = io.BytesIO()
        found.append(await connection.copy_from_table("airlines", columns=["name"], output=data))
        found.append(sorted(data.getvalue().splitlines()))
        return found

    await same(pair, run)


async def test_types_looked_up(pair: Pair) -> None:
    """A type that asyncpg does not know starts a query over pg_type with a list of OIDs."""

    async def run(connection: Connection) -> object:
        return (
            await connection.fetchval("SELECT '[1,5)'::int4range"),
            await connection.fetchval("SELECT '{[1,2),[3,4)}'::int4multirange::text"),
            await connection.fetchval("SELECT 'public.flights'::regclass::text"),
            await connection.fetchval("SELECT ARRAY[daterange('2024-01-01', '2024-01-02')]"),
            await connection.fetchval("SELECT box '(1,2),(3,4)'"),
            await connection.fetchval("SELECT inet '10.0.0.1/8'"),
            await connection.fetchval("SELECT ROW(1, 'x')"),
        )

    await same(pair, run)


async def test_reset(ours: Target) -> None:
    """A pool's connection comes back clean."""
    async with asyncpg.create_pool(ours.dsn, min_size=1, max_size=1) as pool:
        async with pool.acquire() as connection:
            await connection.execute("SET TimeZone TO 'Asia/Tokyo'")
            await connection.execute("DECLARE c CURSOR WITH HOLD FOR SELECT * FROM airlines")
            process = connection.get_server_pid()
        async with pool.acquire() as connection:
            assert connection.get_server_pid() == process
            assert await connection.fetchval("SHOW TimeZone") == "UTC"
            with pytest.raises(asyncpg.InvalidCursorNameError):
                await connection.execute("FETCH 1 FROM c")


async def test_many_at_once(ours: Target) -> None:
    async with asyncpg.create_pool(ours.dsn, min_size=4, max_size=8) as pool:
        statement = "SELECT count(*) FROM flights WHERE carrier = $1"
        codes = ["UA", "AA", "DL", "B6"] * 8
        found = await asyncio.gather(*(pool.fetchval(statement, code) for code in codes))
        assert found == found[:4] * 8
        assert sum(found[:4]) == 58665 + 32729 + 48110 + 54635


async def test_timeout_cancels(ours: Target) -> None:
    connection = await asyncpg.connect(ours.dsn)
    with pytest.raises(TimeoutError):
        await connection.fetch("SELECT count(*) FROM generate_series(1, 2000000000)", timeout=0.3)
    assert await connection.fetchval("SELECT count(*) FROM airlines") == 16
    await connection.close()


async def test_cancelled_task(ours: Target) -> None:
    connection = await asyncpg.connect(ours.dsn)
    statement = "SELECT count(*) FROM generate_series(1, 2000000000)"
    task = asyncio.create_task(connection.fetch(statement))
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await connection.fetchval("SELECT 1") == 1
    await connection.close()
