"""The PostgreSQL that answers introspection is killed, again and again, under load.

No client connection is lost; a statement that was on its way is answered, or fails with an error of
its own and leaves a session that goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator

import psutil
import psycopg
import pytest

from tests.reliability.support import address, dsn, serving, until
from tests.support.raw_client import RawClient
from tests.support.server import RunningServer

STATEMENTS = (
    "SELECT 1",
    "SELECT COUNT(*) FROM tiny",
    "SELECT id, label FROM numbers LIMIT 3000",
    "SELECT count(*) FROM pg_class",
    "SELECT nothing FROM tiny",
    "SET TimeZone = 'Europe/Rome'",
)
LOST = {"57P01", "57P02", "57P03", "08006", "08000", "08003", "08001"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with serving(tmp_path_factory.mktemp("catalog")) as running:
        yield running


def postmaster(server: RunningServer) -> psutil.Process:
    found: list[psutil.Process] = []

    def look() -> bool:
        for child in psutil.Process(server.pid).children():
            with contextlib.suppress(psutil.Error):
                if child.name() == "postgres":
                    found.append(child)
                    return True
        return False

    until(look)
    return found[0]


async def client(server: RunningServer, number: int, stop: asyncio.Event) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    connection = await psycopg.AsyncConnection.connect(dsn(server), autocommit=True)
    async with connection:
        turn = number
        while not stop.is_set():
            sql = STATEMENTS[turn % len(STATEMENTS)]
            turn += 1
            try:
                cursor = await connection.execute(sql.encode())
                if sql.startswith("SELECT id"):
                    assert len(await cursor.fetchall()) == 3000
                outcomes["ok"] += 1
            except psycopg.Error as error:
                outcomes[error.sqlstate or f"closed: {error}"] += 1
            await asyncio.sleep(0.01)
        row = await (await connection.execute("SHOW TimeZone")).fetchone()
        assert row in (("Europe/Rome",), ("UTC",))
    return outcomes


@pytest.mark.parametrize("what", ["postmaster", "backends"])
async def test_killed_under_load(server: RunningServer, what: str) -> None:
    stop = asyncio.Event()
    tasks = [asyncio.create_task(client(server, number, stop)) for number in range(12)]
    killed = 0
    for _ in range(4):
        await asyncio.sleep(1.2)
        process = await asyncio.to_thread(postmaster, server)
        victims = [process] if what == "postmaster" else process.children()
        for victim in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim.pid, signal.SIGKILL)
                killed += 1
    await asyncio.sleep(1.5)
    stop.set()
    outcomes = sum(await asyncio.gather(*tasks), Counter[str]())
    assert killed >= 4
    assert outcomes["ok"] > 50
    assert outcomes["42703"] > 0
    assert set(outcomes) - LOST == {"ok", "42703"}, outcomes
    assert sum(outcomes[code] for code in LOST) < 12 * killed


def test_a_stopped_one_is_not_waited_for_by_others(server: RunningServer) -> None:
    """SIGSTOP: what needs it waits, a cube query that is known does not, and all go on after."""
    with address(server).session() as known, address(server).session() as waiting:
        for _ in range(3):
            known.query("SELECT COUNT(*) FROM tiny")
        family = [postmaster(server), *postmaster(server).children()]
        for process in family:
            process.suspend()
        try:
            started = time.monotonic()
            assert rows(known, "SELECT COUNT(*) FROM tiny") == 1
            assert time.monotonic() - started < 10
            waiting.socket.settimeout(0.7)
            with pytest.raises(TimeoutError):
                waiting.query("SELECT count(*) FROM pg_class")
        finally:
            for process in family:
                with contextlib.suppress(psutil.Error):
                    process.resume()
        waiting.socket.settimeout(60)
        waiting.ready()
        assert rows(waiting, "SELECT 1") == 1


def rows(client: RawClient, sql: str) -> int:
    return sum(type(each).__name__ == "DataRow" for each in client.query(sql))
