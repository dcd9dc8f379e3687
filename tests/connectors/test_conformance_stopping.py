"""How every connector stops: cancel, timeout, early close, the connector's own end; and waits."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import statistics
import time
from decimal import Decimal
from pathlib import Path

import pytest

from connectors.base import BatchStream
from connectors.errors import WarehouseError
from tests.connectors.support import (
    EMBEDDED,
    KINDS,
    MARIADB,
    POSTGRES,
    Warehouse,
    open_warehouse,
    processor_seconds,
    resident_bytes,
    server_of,
)
from tests.support.canary import slowness
from tests.support.waiting import until_async

MB = 1024 * 1024


async def _first_row(warehouse: Warehouse, **options: object) -> None:
    stream = await warehouse.connector.execute(warehouse.endless, **options)  # type: ignore[arg-type]
    await _drain(stream)


async def _drain(stream: BatchStream) -> None:
    async for _ in stream:
        pass


async def _answered_in_the_end(warehouse: Warehouse) -> list[object]:
    """An answer, where connections of cancelled statements are being replaced for some moments."""
    for _ in range(20):
        with contextlib.suppress(WarehouseError):
            return await warehouse.values("SELECT 42 AS a")
    return []


async def _assert_at_rest() -> None:
    """Soon nothing computes in this process (DuckDB's threads are here)."""

    async def rests() -> bool:
        before = processor_seconds()
        await asyncio.sleep(0.3)
        return processor_seconds() - before < 0.15

    await until_async(rests)


@pytest.mark.parametrize("delay", [0.0, 0.001, 0.02, 0.3])
async def test_cancel_stops_the_work(warehouse: Warehouse, delay: float) -> None:
    task = asyncio.create_task(_first_row(warehouse))
    await asyncio.sleep(delay)
    started = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - started < 10 * slowness()
    await _assert_at_rest()
    assert await warehouse.values("SELECT 42 AS a") == [42]


async def test_cancel_while_iterating(warehouse: Warehouse) -> None:
    stream = await warehouse.connector.execute(warehouse.numbers(2_000_000_000))
    seen = 0

    async def read() -> None:
        nonlocal seen
        async for batch in stream:
            seen += batch.num_rows

    task = asyncio.create_task(read())
    await until_async(lambda: seen > 0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await _assert_at_rest()
    with pytest.raises(WarehouseError) as caught:
        await anext(aiter(stream))
    assert caught.value.sqlstate == "57014"


async def test_timeout_while_starting(warehouse: Warehouse) -> None:
    started = time.monotonic()
    with pytest.raises(WarehouseError) as caught:
        await _first_row(warehouse, timeout=0.3)
    assert caught.value.sqlstate == "57014"
    assert caught.value.message == "canceling statement due to statement timeout"
    assert 0.25 < time.monotonic() - started < 10 * slowness()
    await _assert_at_rest()


async def test_timeout_spans_the_whole_stream(warehouse: Warehouse) -> None:
    timeout = 0.5 * slowness()
    stream = await warehouse.connector.execute(warehouse.numbers(2_000_000_000), timeout=timeout)
    await anext(aiter(stream))
    await asyncio.sleep(timeout + 0.2)
    with pytest.raises(WarehouseError) as caught:
        await _drain(stream)
    assert caught.value.sqlstate == "57014"
    assert "timeout" in caught.value.message
    await _assert_at_rest()


async def test_timeout_does_not_touch_a_statement_that_ends(warehouse: Warehouse) -> None:
    timeout = 0.3 * slowness()
    assert await warehouse.values("SELECT 1 AS a", timeout=timeout) == [1]
    await asyncio.sleep(timeout + 0.1)
    assert await warehouse.values("SELECT 2 AS a", timeout=timeout) == [2]


async def test_early_close_stops_the_work(warehouse: Warehouse) -> None:
    stream = await warehouse.connector.execute(warehouse.numbers(2_000_000_000))
    await anext(aiter(stream))
    started = time.monotonic()
    await stream.close()
    await stream.close()
    assert time.monotonic() - started < 10 * slowness()
    assert [batch async for batch in stream] == []
    await _assert_at_rest()
    assert await warehouse.values("SELECT 42 AS a") == [42]


async def test_close_from_elsewhere_ends_a_reader(warehouse: Warehouse) -> None:
    stream = await warehouse.connector.execute(warehouse.numbers(2_000_000_000))

    task = asyncio.create_task(_drain(stream))
    await asyncio.sleep(0.2)
    await stream.close()
    # It either saw the end of the stream or was in the middle of a batch.
    (result,) = await asyncio.gather(task, return_exceptions=True)
    assert result is None or (isinstance(result, WarehouseError) and result.sqlstate == "57014")


async def test_unread_stream_computes_nothing(warehouse: Warehouse) -> None:
    stream = await warehouse.connector.execute(warehouse.numbers(2_000_000_000))
    await anext(aiter(stream))
    await asyncio.sleep(0.3)
    memory = resident_bytes()
    await _assert_at_rest()
    assert resident_bytes() - memory < 5 * MB
    await stream.close()


@pytest.mark.slow
async def test_memory_stays_flat(warehouse: Warehouse) -> None:
    rows = {POSTGRES: 3_000_000, MARIADB: 1_000_000}.get(warehouse.kind, 10_000_000)
    assert (await warehouse.table(warehouse.numbers(50_000))).num_rows == 50_000
    idle = peak = resident_bytes()
    stream = await warehouse.connector.execute(warehouse.numbers(rows))
    seen = 0
    async for batch in stream:
        seen += batch.num_rows
        peak = max(peak, resident_bytes())
    assert seen == rows
    assert peak - idle < 200 * MB


async def test_quick_statements_beside_slow_ones(warehouse: Warehouse) -> None:
    slow = [asyncio.create_task(_first_row(warehouse)) for _ in range(4)]
    await asyncio.sleep(0.5)
    times = []
    for _ in range(20):
        started = time.monotonic()
        assert await warehouse.values("SELECT 1 AS a") == [1]
        times.append(time.monotonic() - started)
    for task in slow:
        task.cancel()
    await asyncio.gather(*slow, return_exceptions=True)
    # One of them may meet a busy machine; behind a slow one all of them would wait, for ever.
    assert statistics.median(times) < slowness()


async def test_many_at_once(warehouse: Warehouse) -> None:
    async def one(number: int) -> int:
        (value,) = await warehouse.values(
            f"SELECT count(*) + {number} AS n FROM flights WHERE day = {number % 7}"
        )
        assert isinstance(value, int | Decimal)
        return int(value) - number

    counts = await asyncio.gather(*[one(number) for number in range(60)])
    expected = [sum(1 for i in range(1, 100_001) if i % 7 == day) for day in range(7)]
    assert counts == [expected[number % 7] for number in range(60)]


@pytest.mark.parametrize("kind", KINDS)
async def test_full_queue_is_refused(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server = server_of(kind, request)
    small: dict[str, object] = {"queue_seconds": 0.5}
    small |= {"quick_threads": 1, "slow_threads": 1} if kind in EMBEDDED else {"pool_size": 2}
    async with open_warehouse(kind, tmp_path, server, **small) as warehouse:
        slow = [asyncio.create_task(_first_row(warehouse)) for _ in range(2)]
        await asyncio.sleep(0.25)
        with pytest.raises(WarehouseError) as caught:
            await warehouse.table("SELECT 1 AS a")
        assert caught.value.sqlstate == "53300"
        assert not caught.value.reached
        # What tells whether the warehouse lives does not wait behind statements.
        await warehouse.connector.health()
        waiting = asyncio.create_task(warehouse.table("SELECT 1 AS a"))
        timed = asyncio.create_task(warehouse.table("SELECT 1 AS a", timeout=0.1))
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        with pytest.raises(WarehouseError) as caught:
            await timed
        assert caught.value.sqlstate == "57014"
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
        assert await _answered_in_the_end(warehouse) == [42]


@pytest.mark.parametrize("kind", KINDS)
async def test_closing_the_connector_ends_its_statements(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server = server_of(kind, request)
    async with open_warehouse(kind, tmp_path, server) as warehouse:
        running = asyncio.create_task(_first_row(warehouse))
        open_stream = await warehouse.connector.execute(warehouse.numbers(2_000_000_000))
        await anext(aiter(open_stream))
        await asyncio.sleep(0.2)
        started = time.monotonic()
        await warehouse.connector.close()
        assert time.monotonic() - started < 10 * slowness()
        with pytest.raises(WarehouseError) as caught:
            await running
        assert caught.value.sqlstate == "57P01"
        with pytest.raises(WarehouseError) as caught:
            await _drain(open_stream)
        assert caught.value.sqlstate == "57P01"
        with pytest.raises(WarehouseError) as caught:
            await warehouse.table("SELECT 1 AS a")
        assert caught.value.sqlstate == "57P01"
        await warehouse.connector.close()
    await _assert_at_rest()


async def test_many_random_stops_leave_nothing(warehouse: Warehouse) -> None:
    async def one(number: int) -> None:
        stream = await warehouse.connector.execute(warehouse.numbers(50_000_000))
        async for _ in stream:
            await asyncio.sleep(0)
        raise AssertionError(number)

    tasks = [asyncio.create_task(one(number)) for number in range(40)]
    for number, task in enumerate(tasks):
        await asyncio.sleep(0.002 * (number % 5))
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    # Streams that were not closed are stopped when nobody holds them any more.
    del results, tasks, task
    gc.collect()
    await until_async(lambda: warehouse.running == set())
    assert await warehouse.values("SELECT 42 AS a") == [42]
