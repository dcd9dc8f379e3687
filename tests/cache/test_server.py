"""The result cache as clients see it: what is shared, what is not, and for how long."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.cache.support import connect, serving, value
from tests.support.oracle import OraclePostgres
from tests.support.server import RunningServer

ASKED = "SELECT asked FROM counted"


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, oracle: OraclePostgres
) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("cached")
    with serving(folder, oracle, memory_bytes=8_000_000, max_entry_bytes=1_000_000) as running:
        yield running


def test_a_result_is_shared_by_sessions_and_protocols(server: RunningServer) -> None:
    with connect(server) as one, connect(server, "other") as two:
        first = value(one, ASKED)
        assert value(two, ASKED) == first
        assert two.execute(ASKED.encode(), prepare=True).fetchone() == (first,)
        with one.cursor(binary=True) as binary, two.cursor(binary=True) as other:
            # Rows written in another format are another entry.
            expected = binary.execute(ASKED.encode()).fetchone()
            assert other.execute(ASKED.encode()).fetchone() == expected


def test_modes_of_a_session(server: RunningServer) -> None:
    with connect(server) as one:
        sql = "SELECT asked AS modes FROM counted"
        one.execute("SET cubewire.cache = 'only'")
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
            value(one, sql)
        one.execute("SET cubewire.cache = 'off'")
        first = value(one, sql)
        assert value(one, sql) > first
        one.execute("SET cubewire.cache = 'on'")
        cached = value(one, sql)
        assert cached > first
        assert value(one, sql) == cached
        one.execute("SET cubewire.cache = 'refresh'")
        refreshed = value(one, sql)
        assert refreshed > cached
        one.execute("SET cubewire.cache = 'only'")
        assert value(one, sql) == refreshed
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
            value(one, "SELECT asked FROM plain")
        one.execute("RESET cubewire.cache")
        assert value(one, "SHOW cubewire.cache") == "on"
        with pytest.raises(psycopg.errors.InvalidParameterValue):
            one.execute("SET cubewire.cache = 'maybe'")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT asked FROM plain",
        "SELECT asked, now() FROM counted",
        "SELECT asked, current_date FROM counted",
        "SELECT asked, random() FROM counted",
        "SELECT asked FROM counted WHERE 'today'::date > '2000-01-01'",
        "SELECT c.asked FROM counted AS c JOIN plain AS p ON c.id = p.id",
    ],
)
def test_what_is_not_cached(server: RunningServer, sql: str) -> None:
    with connect(server) as one:
        assert value(one, sql) < value(one, sql)


def test_a_snapshot_is_not_made_of_cached_results(server: RunningServer) -> None:
    with connect(server) as one:
        cached = value(one, ASKED)
        one.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        assert value(one, ASKED) > cached
        one.execute("COMMIT")
        assert value(one, ASKED) == cached
        one.execute("BEGIN")
        assert value(one, ASKED) == cached
        one.execute("ROLLBACK")


def test_every(server: RunningServer) -> None:
    sql = "SELECT asked FROM brief"
    with connect(server) as one:
        first, began = value(one, sql), time.monotonic()
        again = value(one, sql)
        assert again == first or time.monotonic() - began > 1
        time.sleep(1.05)
        assert value(one, sql) > first


def test_a_refresh_key_of_sql(server: RunningServer, oracle: OraclePostgres) -> None:
    sql = "SELECT asked FROM keyed"
    with connect(server) as one, psycopg.connect(oracle.dsn, autocommit=True) as warehouse:
        first = value(one, sql)
        assert value(one, sql) == first
        warehouse.execute("UPDATE cached.state SET version = version + 1")
        second = value(one, sql)
        assert second > first
        assert value(one, sql) == second


def test_cursors_and_portions_read_cached_rows(server: RunningServer) -> None:
    sql = "SELECT id, asked FROM slow ORDER BY id"
    with connect(server) as one:
        whole = one.execute(sql.encode()).fetchall()
        with one.transaction(), one.cursor(name="named") as cursor:
            cursor.itersize = 2
            assert cursor.execute(sql.encode()).fetchall() == whole


def test_errors_are_not_cached_nor_parts_of_results(server: RunningServer) -> None:
    with connect(server) as one:
        for _ in range(2):
            with pytest.raises(psycopg.errors.DivisionByZero):
                one.execute("SELECT id, asked, broken FROM failing")
        # Rows before the error came, but none of them stayed.
        one.execute("SET cubewire.cache = 'only'")
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
            one.execute("SELECT id, asked, broken FROM failing")


def test_a_result_larger_than_the_limit_is_whole_and_not_kept(server: RunningServer) -> None:
    with connect(server) as one:
        sql = b"SELECT id, asked, filler FROM many"
        first = one.execute(sql).fetchall()
        assert len(first) == 20_000
        assert one.execute(sql).fetchall()[0][1] > first[0][1]


async def test_callers_at_once_share_one_run(server: RunningServer) -> None:
    sql = b"SELECT id, asked AS at_once FROM slow"

    async def ask() -> list[tuple[object, ...]]:
        async with await psycopg.AsyncConnection.connect(
            host=server.host, port=server.port, dbname="cubewire", user="demo", password="demo"
        ) as connection:
            return await (await connection.execute(sql)).fetchall()

    answers = await asyncio.gather(*(ask() for _ in range(12)))
    assert len({tuple(answer) for answer in answers}) == 1


async def test_the_first_callers_cancel_is_its_own(server: RunningServer) -> None:
    sql = b"SELECT id, asked AS cancelled FROM slower"
    login = f"host={server.host} port={server.port} dbname=cubewire user=demo password=demo"
    one = await psycopg.AsyncConnection.connect(login)
    two = await psycopg.AsyncConnection.connect(login)
    async with one, two:
        first = asyncio.create_task(one.execute(sql))
        await asyncio.sleep(0.5)
        second = asyncio.create_task(two.execute(sql))
        await asyncio.sleep(0.5)
        one.cancel()
        with pytest.raises(psycopg.errors.QueryCanceled):
            await first
        assert len(await (await second).fetchall()) == 1


def test_explain_says_where_the_rows_came_from(server: RunningServer) -> None:
    sql = b"EXPLAIN (ANALYZE, FORMAT JSON) SELECT asked AS explained FROM counted"
    with connect(server) as one:
        for expected in ("miss", "memory"):
            row = one.execute(sql).fetchone()
            assert row is not None
            assert row[0][0]["Cache"] == expected


def test_the_log_says_where_the_rows_came_from(oracle: OraclePostgres, tmp_path: Path) -> None:
    with serving(tmp_path, oracle, "logged") as running, connect(running) as one:
        for _ in range(3):
            value(one, ASKED)
        value(one, "SELECT asked FROM plain")
    told = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    states = [line.get("cache") for line in told if line.get("kind") == "cube"]
    assert states == ["miss", "memory", "memory", "bypass"]
