"""Row sources: batches in order, at most one ahead, and nothing left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pyarrow as pa
import pytest

from connectors.errors import WarehouseError
from proxy.rows.encoder import RowEncoder
from proxy.sources import ENCODE_INLINE_ROWS, BatchSource, WarehouseSource

LARGE = ENCODE_INLINE_ROWS + 1


class FakeStream:
    """Batches of given sizes; the one at ``stuck`` never comes, the one at ``broken`` fails."""

    def __init__(self, sizes: list[int], *, stuck: int = -1, broken: int = -1) -> None:
        self._sizes = sizes
        self._stuck = stuck
        self._broken = broken
        self.made = 0
        self.interrupted = False
        self.closed = 0

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([("n", pa.int64())])

    def __aiter__(self) -> AsyncIterator[pa.RecordBatch]:
        return self

    async def __anext__(self) -> pa.RecordBatch:
        number = self.made
        if number == self._broken:
            raise WarehouseError("57014", "too slow")
        if number == self._stuck:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                self.interrupted = True
                raise
        if number == len(self._sizes):
            raise StopAsyncIteration
        self.made += 1
        return pa.record_batch({"n": pa.array([number] * self._sizes[number], pa.int64())})

    async def close(self) -> None:
        self.closed += 1


def source(stream: FakeStream) -> WarehouseSource:
    return WarehouseSource(stream, RowEncoder(["int8"], (0,)))


async def test_rows_in_order() -> None:
    opened = source(FakeStream([LARGE, 3, LARGE, LARGE]))
    rows = []
    while (encoded := await opened.next_rows()) is not None:
        rows.append((encoded.rows, bytes(encoded.data[:12])[-1:]))
    assert rows == [(LARGE, b"0"), (3, b"1"), (LARGE, b"2"), (LARGE, b"3")]
    await opened.close()


async def test_one_batch_ahead_and_no_more() -> None:
    stream = FakeStream([LARGE] * 5)
    opened = source(stream)
    await opened.next_rows()
    for _ in range(5):
        await asyncio.sleep(0)
    assert stream.made == 2
    await opened.close()
    assert stream.closed == 1


async def test_small_batches_are_not_fetched_ahead() -> None:
    stream = FakeStream([1, 1])
    opened = source(stream)
    await opened.next_rows()
    await asyncio.sleep(0)
    assert stream.made == 1


async def test_close_stops_the_batch_ahead() -> None:
    stream = FakeStream([LARGE], stuck=1)
    opened = source(stream)
    await opened.next_rows()
    await opened.close()
    await opened.close()
    assert stream.interrupted
    assert stream.closed == 2


async def test_error_of_the_batch_ahead_comes_with_its_batch() -> None:
    opened = source(FakeStream([LARGE], broken=1))
    first = await opened.next_rows()
    assert first is not None
    assert first.rows == LARGE
    with pytest.raises(WarehouseError):
        await opened.next_rows()
    await opened.close()


async def test_error_of_the_batch_ahead_is_no_ones_after_close() -> None:
    opened = source(FakeStream([LARGE], broken=1))
    await opened.next_rows()
    await asyncio.sleep(0.01)
    await opened.close()


async def test_cancelling_the_reader_stops_the_batch_ahead() -> None:
    stream = FakeStream([LARGE], stuck=1)
    opened = source(stream)
    await opened.next_rows()
    reader = asyncio.create_task(opened.next_rows())
    await asyncio.sleep(0.01)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert stream.interrupted
    await opened.close()


async def test_batches_as_they_are() -> None:
    opened = BatchSource(FakeStream([2, 4]))
    first = await opened.next_batch()
    opened.fetch_ahead()
    second = await opened.next_batch()
    assert first is not None
    assert second is not None
    assert (first.num_rows, second.num_rows) == (2, 4)
    assert await opened.next_batch() is None
