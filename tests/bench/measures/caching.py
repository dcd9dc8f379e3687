"""The result cache: tiny results by the number of clients, large ones, and a crowd before it."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Iterator
from dataclasses import replace

from tests.bench import client, machine
from tests.bench.data import KEPT, ROWS
from tests.bench.measures.streams import COLUMNS, stream
from tests.bench.measures.throughput import CLIENTS, MOST_ROUNDS, STATEMENT, load_requests
from tests.bench.pace import Pace, compare, run
from tests.bench.results import Figure
from tests.bench.targets import CUBEWIRE, PGBOUNCER, POSTGRES, Field, Target
from tests.conftest import free_port
from tests.support.redis_server import RedisServer

_KEPT = "SELECT status, country, amount FROM orders_kept"
PROBES = 2_000
CROWD, DASHBOARD = 200, 20
WIDE, WIDE_ROWS = 32, 500_000


def hits(field: Field, pace: Pace) -> Iterator[Figure]:
    """Queries per second whose results are in memory, beside PostgreSQL and pgbouncer.

    A pgbouncer in transaction mode has no prepared statements: there its extended queries count.
    """
    everyone = field.in_turn(POSTGRES, PGBOUNCER, CUBEWIRE)
    pace = replace(pace, rounds=min(pace.rounds, MOST_ROUNDS))
    bouncers: dict[int, float] = {}
    for name, prepared, request in (
        ("simple", "", client.simple(_KEPT)),
        ("extended", "", client.whole(_KEPT)),
        ("prepared", _KEPT, client.execute(STATEMENT)),
    ):
        targets = [each for each in everyone if not prepared or each.name != PGBOUNCER]
        for clients in CLIENTS:

            def once(target: Target) -> float:
                work = load_requests(target, prepared, request, KEPT, clients, pace.seconds)  # noqa: B023
                return run(work)

            case = f"hit, {name}, {clients} client{'s' * (clients > 1)}"
            figures = list(compare("cache", case, "q/s", pace, targets, once))
            yield from figures
            values = {figure.target: figure.value for figure in figures}
            bouncers[clients] = values.get(PGBOUNCER) or bouncers.get(clients, 0.0)
            if values[CUBEWIRE] and bouncers[clients]:
                times = values[CUBEWIRE] / bouncers[clients]
                yield Figure("cache", f"{case}, to pgbouncer", CUBEWIRE, times, "times")


def costs(field: Field, pace: Pace) -> Iterator[Figure]:
    """Processor time per query, of all processes of a server: what others do to it matters less."""
    processes = {
        POSTGRES: (field.postgres.pid,),
        PGBOUNCER: (field.postgres.pid, *(each.pid for each in field.in_turn(PGBOUNCER))),
        CUBEWIRE: (field.ours.pid,),
    }
    for name, request in (("simple", client.simple(_KEPT)), ("extended", client.whole(_KEPT))):
        spent: dict[str, float] = {}
        for target in field.in_turn(POSTGRES, PGBOUNCER, CUBEWIRE):
            rounds = [
                run(_cost(target, request, processes[target.name], pace.seconds * 2))
                for _ in range(pace.rounds)
            ]
            spent[target.name] = value = statistics.median(rounds)
            yield Figure("cache-cost", f"hit, {name}, 32 clients", target.name, value, "us")
        if PGBOUNCER in spent:
            times = spent[CUBEWIRE] / spent[PGBOUNCER]
            case = f"hit, {name}, 32 clients, to pgbouncer and its server"
            yield Figure("cache-cost", case, CUBEWIRE, times, "times")


async def _cost(
    target: Target, request: bytes, processes: tuple[int, ...], seconds: float
) -> float:
    clients = [await target.connect_async() for _ in range(32)]
    try:
        await clients[0].ask(request, KEPT)
        sink: list[float] = []
        before = sum(map(machine.processor_seconds, processes))
        until = time.perf_counter() + seconds
        await asyncio.gather(*(each.repeat(request, KEPT, until, sink) for each in clients))
        # While they are connected: what a process has spent goes with it.
        spent = sum(map(machine.processor_seconds, processes)) - before
        return spent / len(sink) * 1_000_000
    finally:
        for each in clients:
            each.close()


def latencies(field: Field, pace: Pace) -> Iterator[Figure]:
    """Milliseconds of one tiny result for one client: from memory, and from Redis."""
    bare = _probe(field.postgres, "SELECT 1", 1)
    yield from _percentiles("PostgreSQL's select 1", POSTGRES, bare)
    yield from _percentiles("from memory", CUBEWIRE, _probe(field.ours, _KEPT, KEPT))
    redis = RedisServer(free_port())
    redis.start()
    field.on_close(redis.kill)
    another = field.start_another(
        memory_bytes=0, max_entry_bytes=0, redis={"url": redis.url, "timeout": 1.0}
    )
    _await_outcome(another, _KEPT, "redis")
    yield from _percentiles("from Redis", CUBEWIRE, _probe(another, _KEPT, KEPT))


def _probe(target: Target, sql: str, rows: int) -> list[float]:
    connection = target.connect()
    try:
        request = client.simple(sql)
        for _ in range(50):
            connection.ask(request, rows)
        return [connection.ask(request, rows) for _ in range(PROBES)]
    finally:
        connection.close()


def _percentiles(case: str, target: str, took: list[float]) -> Iterator[Figure]:
    for percent in (50, 99):
        value = machine.percentile(took, percent) * 1000
        yield Figure("cache-latency", f"{case}, p{percent}", target, value, "ms")


def _await_outcome(target: Target, sql: str, outcome: str) -> None:
    """Ask until EXPLAIN says that the rows come from where they should."""
    connection = target.connect()
    explain = client.simple(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}")
    try:
        deadline = time.monotonic() + 10
        while json.dumps(outcome).encode() not in connection.reply_to(explain):
            if time.monotonic() > deadline:
                raise client.ReplyError(f"the rows never came from {outcome}")
    finally:
        connection.close()


def rates(field: Field, pace: Pace) -> Iterator[Figure]:
    """Rows per second of 1M rows of 5 columns that are in memory."""
    targets = field.in_turn(POSTGRES, CUBEWIRE)
    for binary in (False, True):

        def once(target: Target) -> float:
            table = "orders_all_kept" if target.name == CUBEWIRE else "orders"
            streamed = stream(target, f"SELECT {COLUMNS} FROM {table}", ROWS, binary=binary)  # noqa: B023
            return streamed.rows / streamed.seconds

        once(field.ours)
        case = f"from the cache, {'binary' if binary else 'text'}"
        yield from compare("cache-stream", case, "rows/s", pace, targets, once)
    yield from _wide(pace, targets)


def _wide(pace: Pace, targets: list[Target]) -> Iterator[Figure]:
    """The same of 32 columns, fewer rows of them."""
    names = ", ".join(f"{name} AS c{n}" for n, name in enumerate((COLUMNS.split(", ") * 7)[:WIDE]))

    def once(target: Target) -> float:
        table = "orders_all_kept" if target.name == CUBEWIRE else "orders"
        sql = f"SELECT {names} FROM {table} WHERE id <= {WIDE_ROWS}"
        streamed = stream(target, sql, WIDE_ROWS, binary=False)
        return streamed.rows / streamed.seconds

    case = f"from the cache, {WIDE} columns"
    for target in targets:
        once(target)
    yield from compare("cache-stream", case, "rows/s", pace, targets, once)


def crowd(field: Field, pace: Pace) -> Iterator[Figure]:
    """200 clients replay a dashboard of 20 statements nobody has asked before."""
    rounds = 1 if pace.quick else 3
    seconds, runs = [], []
    for number in range(rounds):
        texts = [
            f"SELECT country, SUM(amount) AS a{number}_{n} FROM orders_all_kept GROUP BY 1"
            for n in range(DASHBOARD)
        ]
        before = _misses(field)
        seconds.append(run(_replay(field.ours, texts)))
        time.sleep(0.2)
        runs.append((_misses(field) - before) / DASHBOARD)
    case = f"{CROWD} clients, {DASHBOARD} statements, cold"
    yield Figure("crowd", case, CUBEWIRE, statistics.median(seconds), "s")
    yield Figure("crowd", f"{case}: runs of each", CUBEWIRE, max(runs), "runs")


async def _replay(target: Target, texts: list[str]) -> float:
    clients = [await target.connect_async() for _ in range(CROWD)]
    requests = [client.simple(text) for text in texts]

    async def one(each: client.AsyncClient, first: int) -> None:
        for number in range(len(requests)):
            await each.ask(requests[(first + number) % len(requests)], 10)

    began = time.perf_counter()
    await asyncio.gather(*(one(each, number) for number, each in enumerate(clients)))
    seconds = time.perf_counter() - began
    for each in clients:
        each.close()
    return seconds


def _misses(field: Field) -> int:
    """Statements that went to the warehouse, of those the cache had a say in, as logged."""
    return (field.directory / "cubewire.log").read_text().count(" cache=miss ")
