"""Large results: rate, first byte, and what they take of memory."""

from __future__ import annotations

import statistics
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from connectors.base import BatchStream, RowStream
from proxy.engine import Engine
from proxy.queries import CubeQuery
from tests.bench import client, machine
from tests.bench.data import BIG, ROWS
from tests.bench.engine import caller, open_bench_engine
from tests.bench.pace import Pace, compare, run
from tests.bench.results import Figure
from tests.bench.targets import BUENAVISTA, CUBEWIRE, PGBOUNCER, POSTGRES, RIFFQ, Field, Target

COLUMNS = "id, status, country, amount, created_at"
_ORDERS = f"SELECT {COLUMNS} FROM orders"
MEGABYTE = 1_000_000


def rates(field: Field, pace: Pace) -> Iterator[Figure]:
    """Rows per second of 1M rows of 5 columns, from either warehouse."""
    everyone = field.in_turn(POSTGRES, CUBEWIRE, PGBOUNCER, BUENAVISTA, RIFFQ)
    both = field.in_turn(POSTGRES, CUBEWIRE)
    for source, cube, targets in (
        ("DuckDB", "orders", everyone),
        ("PostgreSQL", "orders_pg", both),
    ):
        for binary in (False, True):

            def once(target: Target) -> float:
                table = cube if target.name == CUBEWIRE else "orders"  # noqa: B023
                streamed = stream(target, f"SELECT {COLUMNS} FROM {table}", ROWS, binary=binary)  # noqa: B023
                return streamed.rows / streamed.seconds

            case = f"{source}, {'binary' if binary else 'text'}"
            yield from compare("stream", case, "rows/s", pace, targets, once)


def stream(target: Target, sql: str, rows: int, *, binary: bool) -> client.Streamed:
    """Read one result to its end on a connection of its own."""
    connection = target.connect()
    try:
        request = client.whole(sql, binary=True) if binary else client.simple(sql)
        return connection.stream(request, rows)
    finally:
        connection.close()


# ------------------------------------------------------------------------------- first byte


def first_bytes(field: Field, pace: Pace) -> Iterator[Figure]:
    """How much later the client has its first row than the connector has its first batch."""
    rounds = 5 if pace.quick else 15
    for source, cube in (("DuckDB", "orders"), ("PostgreSQL", "orders_pg")):
        sql = f"SELECT {COLUMNS} FROM {cube}"
        warehouse, ours = run(_first_bytes(field, sql, rounds))
        postgres = [
            stream(field.postgres, _ORDERS, ROWS, binary=False).first_row_seconds
            for _ in range(rounds)
        ]
        later = [(each - other) * 1000 for each, other in zip(ours, warehouse, strict=True)]
        for case, target, seconds in (
            (f"{source}, first row", CUBEWIRE, ours),
            (f"{source}, first row", POSTGRES, postgres),
            (f"{source}, its first batch alone", CUBEWIRE, warehouse),
        ):
            value = statistics.median(seconds) * 1000
            yield Figure("first-byte", case, target, value, "ms")
        case = f"{source}, later than its first batch"
        yield Figure("first-byte", case, CUBEWIRE, statistics.median(later), "ms")


async def _first_bytes(field: Field, sql: str, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds to the first batch in this process, and to the first row from the server, in turn."""
    alone: list[float] = []
    served: list[float] = []
    async with _compiled(field, sql) as (engine, query):
        stream(field.ours, sql, ROWS, binary=False)
        for _ in range(rounds):
            alone.append(await _first_batch(engine, query))
            served.append(stream(field.ours, sql, ROWS, binary=False).first_row_seconds)
    return alone, served


@asynccontextmanager
async def _compiled(field: Field, sql: str) -> AsyncIterator[tuple[Engine, CubeQuery]]:
    async with open_bench_engine(field) as engine:
        query = await engine.prepare(sql, (), await caller(engine))
        assert isinstance(query, CubeQuery)
        yield engine, query


async def _first_batch(engine: Engine, query: CubeQuery) -> float:
    """Run the compiled statement on its connector. Returns seconds to the first rows."""
    compiled = query.compiled
    connector = engine.connectors[compiled.data_source]
    opened: RowStream | BatchStream
    began = time.perf_counter()
    if connector.capabilities.encoded_rows:
        opened = await connector.stream_rows(compiled.sql, (), [0] * len(compiled.columns))
    else:
        opened = await connector.execute(compiled.sql)
    await anext(aiter(opened))
    seconds = time.perf_counter() - began
    await opened.close()
    return seconds


# ------------------------------------------------------------------------------- memory


def memory(field: Field, pace: Pace) -> Iterator[Figure]:
    """Peak memory above idle while 10M rows go through, on a fresh server each time."""
    cases = [
        ("DuckDB", "orders_big", False),
        ("DuckDB", "orders_big", True),
        ("PostgreSQL", "orders_pg_big", False),
    ]
    for source, cube, binary in cases[: 1 if pace.quick else 3]:
        target = field.restart_ours()
        target.connect().close()
        idle = machine.settled_memory(target.pid)
        sql = f"SELECT {COLUMNS} FROM {cube}"
        with machine.PeakMemory(target.pid) as watch:
            stream(target, sql, ROWS * BIG, binary=binary)
        case = f"10M rows from {source}, {'binary' if binary else 'text'}"
        above = (watch.peak - idle) / MEGABYTE
        yield Figure("memory", case, CUBEWIRE, above, "MB")
    yield Figure("memory", "idle", CUBEWIRE, idle / MEGABYTE, "MB")
