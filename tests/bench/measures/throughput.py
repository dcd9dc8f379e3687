"""Tiny queries per second, by the number of clients."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace

from tests.bench import client
from tests.bench.data import FEW
from tests.bench.pace import Pace, compare, run
from tests.bench.results import Figure
from tests.bench.targets import BUENAVISTA, CUBEWIRE, PGBOUNCER, POSTGRES, RIFFQ, Field, Target

CLIENTS = (1, 8, 32, 128)
STATEMENT = "bench"
_CONSTANT = "SELECT 1"
_CUBE = "SELECT status, country, amount FROM orders_few"
_SYSTEM = "SELECT relname FROM pg_catalog.pg_class WHERE oid = 1259"
TIMEOUT_SECONDS = 30.0
MOST_ROUNDS = 3


def measure(field: Field, pace: Pace) -> Iterator[Figure]:
    """Figures per kind of query and number of clients, in queries per second."""
    targets = field.in_turn(POSTGRES, CUBEWIRE, PGBOUNCER, BUENAVISTA, RIFFQ)
    pace = replace(pace, rounds=min(pace.rounds, MOST_ROUNDS))
    cases = (
        ("select 1", _CONSTANT, 1, False),
        ("5 rows", _CUBE, FEW, False),
        ("5 rows, prepared", _CUBE, FEW, True),
        ("pg_class", _SYSTEM, 1, False),
    )
    for name, sql, rows, prepared in cases:
        for clients in CLIENTS:

            def once(target: Target) -> float:
                return run(load(target, sql, rows, clients, pace.seconds, prepared=prepared))  # noqa: B023

            case = f"{name}, {clients} client{'s' * (clients > 1)}"
            yield from compare("throughput", case, "q/s", pace, targets, once)


async def load(
    target: Target, sql: str, rows: int, clients: int, seconds: float, *, prepared: bool
) -> float:
    """Queries per second of so many clients, each asking again as soon as it has its answer."""
    request = client.execute(STATEMENT) if prepared else client.simple(sql)
    return await load_requests(target, sql if prepared else "", request, rows, clients, seconds)


async def load_requests(
    target: Target, prepared: str, request: bytes, rows: int, clients: int, seconds: float
) -> float:
    """The same of any request; ``prepared`` is what to prepare before, if anything."""
    connected = [await target.connect_async() for _ in range(clients)]
    try:
        async with asyncio.timeout(seconds + TIMEOUT_SECONDS):
            if prepared:
                for each in connected:
                    await each.ask(client.parse(prepared, STATEMENT))
            sink: list[float] = []
            began = time.perf_counter()
            until = began + seconds
            await asyncio.gather(*(each.repeat(request, rows, until, sink) for each in connected))
            return len(sink) / (time.perf_counter() - began)
    finally:
        for each in connected:
            each.close()
