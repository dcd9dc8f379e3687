"""Test 34: more statements than the warehouse takes, and clients that vanish in the middle.

The queue is bounded in time, other users' statements pass it, and no slot is ever lost.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import struct
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from proxy.wire import frontend
from tests.reliability.support import address, dsn, until
from tests.support.canary import slowness
from tests.support.waiting import until_async
from tests.warehouse.support import Scene, scene

LONG = bool(os.environ.get("WAREHOUSE_FAULTS_LONG"))
CLIENTS = 200
SLOTS = 5
QUEUE_SECONDS = 4
DISCONNECTS = 1000 if LONG else 100
AT_ONCE = 16

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def scenery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("exhaustion")
    with scene(folder, pool_size=SLOTS, queue_seconds=QUEUE_SECONDS) as made:
        yield made


async def ask(scenery: Scene, user: str, sql: str, start: asyncio.Barrier) -> tuple[str, float]:
    """What became of a statement, and how long it took since all were let go."""
    connection = await psycopg.AsyncConnection.connect(dsn(scenery.server, user), autocommit=True)
    try:
        # So that the same statement, which is compiled once, is run for each.
        await connection.execute("SET cubewire.cache = 'off'")
        await start.wait()
        started = time.monotonic()
        try:
            rows = await (await connection.execute(sql.encode())).fetchall()
            outcome = f"{len(rows)} row"
        except psycopg.Error as error:
            outcome = error.sqlstate or "lost"
        return outcome, time.monotonic() - started
    finally:
        await connection.close()


async def watch(scenery: Scene, most: Counter[str]) -> None:
    while True:
        found = await asyncio.to_thread(scenery.metrics)
        for name in ("slots_in_use", "waiting"):
            most[name] = max(most[name], int(found[f"cubewire_warehouse_{name}"]))
        await asyncio.sleep(0.1)


async def test_two_hundred_clients_on_five_slots(scenery: Scene) -> None:
    start, most = asyncio.Barrier(CLIENTS + 1), Counter[str]()
    greedy = [
        asyncio.create_task(ask(scenery, "greedy", "SELECT nap FROM blinks", start))
        for _ in range(CLIENTS)
    ]
    modest = await psycopg.AsyncConnection.connect(dsn(scenery.server, "other"), autocommit=True)
    watching = asyncio.create_task(watch(scenery, most))
    await start.wait()
    await until_async(lambda: most["waiting"] > CLIENTS / 4)
    # Behind the crowd it would be refused, as most of those are.
    for number in range(3):
        await modest.execute(f"SELECT nap AS m{number} FROM blinks".encode())
    await modest.close()
    outcomes = await asyncio.gather(*greedy)
    watching.cancel()
    assert {what for what, _ in outcomes} == {"1 row", "53300"}
    refused = [seconds for what, seconds in outcomes if what == "53300"]
    assert len(refused) > CLIENTS / 4
    assert min(refused) >= QUEUE_SECONDS - 0.05
    assert max(refused) < (QUEUE_SECONDS + 6) * slowness()
    assert most["slots_in_use"] <= SLOTS
    assert most["waiting"] <= CLIENTS
    until(lambda: scenery.in_use() == 0)
    metrics = scenery.metrics()
    assert metrics['cubewire_warehouse_refused_totalreason="queue_timeout"'] == len(refused)


def test_clients_that_vanish_at_any_moment_leave_no_slot_taken(scenery: Scene) -> None:
    chance = random.Random(20)
    statements = (
        "SELECT nap AS n{0} FROM blinks",
        "SELECT id, label AS l{0} FROM rows",
        "SELECT label FROM fresh WHERE id > {0} - 100000",
        "SELECT id, label FROM kept",
        "SELECT {0}",
    )
    where = address(scenery.server)

    def vanish(number: int, sql: str, seconds: float, *, reset: bool) -> None:
        client = where.session()
        client.send(frontend.Query(sql.format(number)))
        time.sleep(seconds)
        if reset:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.socket.close()

    with ThreadPoolExecutor(AT_ONCE) as threads:
        ends = [
            threads.submit(
                vanish,
                number,
                chance.choice(statements),
                chance.random() ** 2,
                reset=chance.random() < 0.5,
            )
            for number in range(DISCONNECTS)
        ]
        for end in ends:
            end.result()
    until(lambda: scenery.in_use() == 0)
    busy = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE state = 'active' AND application_name = 'cubewire'"
    )
    until(lambda: scenery.warehouse.run(busy) == 0)
    # All slots are of use: as many statements as there are take no longer than one.
    with scenery.connect() as client:
        assert client.execute("SELECT label FROM fresh").fetchone() == ("kept",)
    started = time.monotonic()
    go = asyncio.Event()
    go.set()

    async def all_at_once() -> list[tuple[str, float]]:
        asked = (ask(scenery, "demo", f"SELECT nap AS a{n} FROM blinks", go) for n in range(SLOTS))
        return await asyncio.gather(*asked)

    assert {what for what, _ in asyncio.run(all_at_once())} == {"1 row"}
    assert time.monotonic() - started < 4 * slowness()
