"""Results that several servers share through a real Redis, and what becomes of damaged ones."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.cache.support import configuration, connect, running, value
from tests.conftest import free_port
from tests.reliability.support import until
from tests.support.oracle import OraclePostgres
from tests.support.redis_server import RedisServer
from tests.support.server import RunningServer

TOKEN = "a token for tests"
REFUSED = "are taken for invalidations"
SMALL_MEMORY = 1_000_000
"""Results larger than this are in Redis alone."""


@dataclass(frozen=True)
class Family:
    one: RunningServer
    two: RunningServer
    redis: RedisServer
    admin_port: int
    config: Path


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory, oracle: OraclePostgres) -> Iterator[Family]:
    folder = tmp_path_factory.mktemp("family")
    with RedisServer(free_port()) as redis:
        config = configuration(
            folder,
            oracle,
            "shared",
            memory_bytes=8 * SMALL_MEMORY,
            max_entry_bytes=SMALL_MEMORY,
            redis={"url": redis.url, "secret": "of the tests", "timeout": "2s"},
        )
        config["server"] |= {"admin_port": free_port(), "admin_token": TOKEN}
        (folder / "two").mkdir()
        other = json.loads(json.dumps(config))
        other["log"]["file"] = str(folder / "two" / "log")
        other["server"]["admin_port"] = 0
        with running(folder, config) as one, running(folder / "two", other) as two:
            port = config["server"]["admin_port"]
            yield Family(one, two, redis, port, folder / "cubewire.yml")


def outcome(server: RunningServer, sql: str) -> str:
    with connect(server) as client:
        row = client.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}".encode()).fetchone()
    assert row is not None
    return str(row[0][0]["Cache"])


def stored(family: Family, sql: str) -> str:
    """Run a statement so that Redis has its result; returns the name of the entry."""
    client = family.redis.client()
    before = set(client.keys("cubewire:{*}"))
    with connect(family.one) as one:
        one.execute(sql.encode()).fetchall()
    until(lambda: set(client.keys("cubewire:{*}")) - before != set())
    (name,) = set(client.keys("cubewire:{*}")) - before
    return str(name.decode())


def test_another_server_has_the_result(family: Family) -> None:
    sql = "SELECT asked AS shared FROM counted"
    stored(family, sql)
    assert outcome(family.two, sql) == "redis"
    assert outcome(family.two, sql) == "memory"
    with connect(family.one) as one, connect(family.two) as two:
        assert value(one, sql) == value(two, sql)


async def test_two_servers_run_a_statement_once(family: Family) -> None:
    sql = b"SELECT id, asked AS once FROM slow"

    async def ask(server: RunningServer) -> list[Any]:
        login = f"host={server.host} port={server.port} dbname=cubewire user=demo password=demo"
        async with await psycopg.AsyncConnection.connect(login) as connection:
            return await (await connection.execute(sql)).fetchall()

    servers = (family.one, family.two) * 3
    answers = await asyncio.gather(*(ask(server) for server in servers))
    assert len({tuple(answer) for answer in answers}) == 1


def test_a_large_result_comes_in_chunks(family: Family) -> None:
    sql = b"SELECT id, asked, filler FROM many ORDER BY id"
    with connect(family.one) as one, connect(family.two) as two:
        rows = one.execute(sql).fetchall()
        client = family.redis.client()
        until(lambda: len(client.keys("cubewire:{*}:*:*")) >= 2)
        until(lambda: two.execute(sql).fetchall() == rows)
        assert one.execute(sql).fetchall() == rows


def damage(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_a_damaged_entry_is_a_miss(family: Family) -> None:
    client = family.redis.client()
    for number, at in enumerate((0, 5, 40, -1)):
        sql = f"SELECT asked AS damaged{number} FROM counted"
        name = stored(family, sql)
        data = client.get(name)
        client.set(name, damage(data, at % len(data)), px=60_000)
        assert outcome(family.two, sql) == "miss"
    sql = "SELECT asked AS cut FROM counted"
    name = stored(family, sql)
    client.set(name, client.get(name)[:20], px=60_000)
    assert outcome(family.two, sql) == "miss"


def test_a_swapped_entry_is_a_miss(family: Family) -> None:
    client = family.redis.client()
    mine, others = "SELECT asked AS mine FROM counted", "SELECT asked AS others FROM counted"
    name, other = stored(family, mine), stored(family, others)
    client.set(name, client.get(other), px=60_000)
    assert outcome(family.two, mine) == "miss"


def test_an_entry_with_a_missing_chunk_is_a_miss(family: Family) -> None:
    sql = b"SELECT id, asked, filler, 'x' AS missing FROM many"
    client = family.redis.client()
    before = set(client.keys("cubewire:{*}"))
    with connect(family.one) as one, connect(family.two) as two:
        first = one.execute(sql).fetchall()
        until(lambda: any(client.exists(n) for n in set(client.keys("cubewire:{*}")) - before))
        chunks = set(client.keys("cubewire:{*}:*:*"))
        client.delete(*chunks)
        second = two.execute(sql).fetchall()
        assert len(second) == len(first)
        assert second[0][1] > first[0][1]


def test_an_entry_grows_old_however_long_redis_keeps_it(family: Family) -> None:
    """Who can write to Redis can have it keep an entry for ever."""
    sql = "SELECT asked AS kept FROM brief"
    name = stored(family, sql)
    client = family.redis.client()
    end = time.monotonic() + 1.2
    while time.monotonic() < end:
        assert client.pexpire(name, 900)
        time.sleep(0.02)
    assert outcome(family.two, sql) == "miss"


def test_a_mark_is_not_put_back(family: Family) -> None:
    sql = "SELECT asked AS marked FROM counted"
    client = family.redis.client()
    with connect(family.two) as two:
        stored(family, sql)
        before, old = value(two, sql), client.hgetall("cubewire:marks")
        assert invalidate(family, "?cube=counted")[0] == 200
        after = -1

        def follows() -> bool:
            nonlocal after
            after = value(two, sql)
            return bool(after > before)

        until(follows, 5)
        client.hset("cubewire:marks", "counted", old[b"counted"])
        until(lambda: value(two, sql) > after, 5)
        until(lambda: client.hget("cubewire:marks", "counted") != old[b"counted"], 5)
    logs = [family.config.with_name("log"), family.config.parent / "two" / "log"]
    until(lambda: any(REFUSED in log.read_text() for log in logs), 5)
    # Who is first puts another in its place, so that the other finds nothing to refuse.
    assert (refused_marks(family) > 0) == (REFUSED in logs[0].read_text())


def refused_marks(family: Family) -> float:
    """What the first server says of itself."""
    with urllib.request.urlopen(f"http://127.0.0.1:{family.admin_port}/metrics", timeout=10) as got:
        text = got.read().decode()
    name = "cubewire_redis_refused_marks_total "
    (line,) = (line for line in text.splitlines() if line.startswith(name))
    return float(line.removeprefix(name))


def invalidate(family: Family, query: str = "", token: str = TOKEN) -> tuple[int, str]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{family.admin_port}/cache/invalidate{query}",
        headers={"Authorization": f"Bearer {token}"},
        method="POST",
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_invalidation_reaches_every_server(family: Family) -> None:
    counted, slow = "SELECT asked AS invalid FROM counted", "SELECT max(asked) AS other FROM slow"
    with connect(family.one) as one, connect(family.two) as two:
        # Redis has it before the other asks, who would else run it for itself and keep that.
        stored(family, counted)
        first, untouched = value(one, counted), value(one, slow)
        # The other may still have to hear of what the tests before this one have invalidated.
        until(lambda: value(two, counted) == first)
        assert invalidate(family, "?cube=counted")[0] == 200
        stored(family, counted)
        second = value(one, counted)
        assert second > first
        until(lambda: value(two, counted) == second)
        assert value(one, slow) == untouched
        status, _ = invalidate(family)
        assert status == 200
        assert value(one, slow) > untouched


def test_invalidation_needs_the_token_and_a_cube(family: Family) -> None:
    assert invalidate(family, token="wrong")[0] == 401
    assert invalidate(family, "?cube=none")[0] == 404


def test_the_command(family: Family) -> None:
    with connect(family.one) as one:
        first = value(one, "SELECT asked AS commanded FROM counted")
        command = [str(Path(sys.executable).parent / "cubewire"), "cache", "invalidate"]
        done = subprocess.run(
            [*command, "--cube", "counted", "--config", str(family.config)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, "invalidated: counted\n"), done.stderr
        assert value(one, "SELECT asked AS commanded FROM counted") > first
