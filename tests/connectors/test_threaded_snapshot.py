"""Snapshots where the driver blocks: a connection whose end does not come is left to itself."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest

from connectors.errors import WarehouseError
from connectors.threaded import Chunk, Readers
from connectors.threaded_snapshot import reader_snapshot
from connectors.workers import Lanes, Workers
from tests.support.canary import slowness
from tests.support.waiting import until_async


class SilentReader:
    """A connection to a warehouse that does not answer the end of a transaction."""

    def __init__(self) -> None:
        self.answers = threading.Event()
        self.stopping = False
        self.closed = False

    def begin(self) -> None:
        """Start the transaction."""

    def finish(self) -> None:
        """End it, which takes for ever."""
        self.answers.wait()
        raise ConnectionError

    def interrupt(self) -> None:
        """Nobody hears it."""

    def next(self, _rows: int) -> Chunk:
        raise AssertionError

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def reader() -> Iterator[SilentReader]:
    made = SilentReader()
    yield made
    made.answers.set()


async def test_an_end_that_does_not_come_is_not_waited_for(reader: SilentReader) -> None:
    workers = Workers("silent", Lanes(quick=1, slow=1, wait_seconds=1))
    readers = Readers(workers, lambda: reader, lambda error: WarehouseError("08006", str(error)))
    began = time.monotonic()
    async with asyncio.timeout(20 * slowness()):
        async with reader_snapshot(readers, SilentReader.begin, SilentReader.finish, None):
            pass
    assert time.monotonic() - began < 10 * slowness()
    assert not reader.closed
    reader.answers.set()
    await until_async(lambda: reader.closed)
    await readers.close()
