"""Connections: how many a second, and what an idle one takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

from tests.bench import client, machine
from tests.bench.pace import Pace, compare, run
from tests.bench.results import Figure
from tests.bench.targets import BUENAVISTA, CUBEWIRE, PGBOUNCER, POSTGRES, RIFFQ, Field, Target

AT_A_TIME = 8
OPENED = {CUBEWIRE: 3000, PGBOUNCER: 3000}
OPENED_SLOWLY = 400
"""By a server with a process or a thread per connection."""
IDLE = (100, 1000)
WARM_UP = 20
BATCH = 16
KILOBYTE = 1000


def rates(field: Field, pace: Pace) -> Iterator[Figure]:
    """Connections per second, logged in and closed again, without a password."""
    targets = field.in_turn(POSTGRES, CUBEWIRE, PGBOUNCER, BUENAVISTA, RIFFQ)
    for at_a_time in (1, AT_A_TIME):

        def once(target: Target) -> float:
            count = OPENED.get(target.name, OPENED_SLOWLY) // (4 if pace.quick else 1)
            return run(open_many(target, count, at_a_time))  # noqa: B023

        yield from compare("connect", f"{at_a_time} at a time", "/s", pace, targets, once)


async def open_many(target: Target, count: int, at_a_time: int) -> float:
    """Open and close so many connections. Returns how many a second."""
    left = count

    async def work() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            connection = await target.connect_async()
            connection.finish()

    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(at_a_time)))
    return count / (time.perf_counter() - began)


def idle(field: Field, pace: Pace) -> Iterator[Figure]:
    """Memory per idle connection, of a server that was just started."""
    field.restart_ours()
    for target in field.in_turn(CUBEWIRE, POSTGRES, PGBOUNCER, BUENAVISTA, RIFFQ):
        counts = [count for count in IDLE if count <= target.most]
        try:
            for count, size in zip(counts, run(_idle(target, counts, "")), strict=True):
                yield Figure("idle", f"per connection of {count}", target.name, size, "KB")
        except (client.ReplyError, OSError) as error:
            yield Figure("idle", "per connection of 100", target.name, None, "KB", error=str(error))
    target = field.restart_ours()
    size = run(_idle(target, [1000], "SELECT status, amount FROM orders_few"))[0]
    yield Figure("idle", "per connection of 1000, after a query", target.name, size, "KB")


async def _idle(target: Target, counts: list[int], sql: str) -> list[float]:
    """KB per connection at each number of connections."""
    for connection in [await target.connect_async() for _ in range(WARM_UP)]:
        if sql:
            await connection.ask(client.simple(sql))
        connection.finish()
    await asyncio.sleep(0.5)
    base = await asyncio.to_thread(machine.settled_memory, target.pid)
    held: list[client.AsyncClient] = []
    sizes = []
    try:
        for count in counts:
            while len(held) < count:
                more = min(BATCH, count - len(held))
                held += await asyncio.gather(*(target.connect_async() for _ in range(more)))
                if sql:
                    for connection in held[-more:]:
                        await connection.ask(client.simple(sql))
            now = await asyncio.to_thread(machine.settled_memory, target.pid)
            sizes.append((now - base) / count / KILOBYTE)
    finally:
        for connection in held:
            connection.close()
    return sizes
