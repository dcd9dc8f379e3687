"""Several statements of one transaction, where the driver blocks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Generic

from connectors.snapshots import snapshot_lost, still_read
from connectors.threaded import LEAVE_SECONDS, Chunk, R, Readers, ThreadedStatement

_NOTHING = Chunk(None, None, finished=True)
Start = Callable[[float | None], ThreadedStatement[R]]
"""A new statement, which has so many seconds."""


@contextlib.asynccontextmanager
async def reader_snapshot(
    readers: Readers[R],
    begin: Callable[[R], None],
    end: Callable[[R], None],
    timeout: float | None,
) -> AsyncIterator[Start[R]]:
    """A reader for statements one after the other, in one transaction.

    Args:
        readers: of the connector.
        begin: starts the transaction.
        end: ends it; where that fails, the reader is closed.
        timeout: of ``begin``.
    """

    def started(reader: R) -> Chunk:
        begin(reader)
        return _NOTHING

    kept = _KeptReader(readers)
    try:
        await kept.statement(timeout).step(started)
        yield kept.statement
    finally:
        await kept.release(end)


class _KeptReader(Generic[R]):
    """A reader that statements use in turn."""

    def __init__(self, readers: Readers[R]) -> None:
        self._readers = readers
        self._reader = readers.take()
        self._is_used = False
        self._is_lost = False

    def statement(self, timeout: float | None) -> ThreadedStatement[R]:
        """A new statement. Raises WarehouseError 55006 and 08006."""
        if self._is_lost:
            raise snapshot_lost()
        if self._is_used:
            raise still_read()
        self._is_used = True
        return self._readers.statement_in(self._reader, self._take_back, timeout)

    async def release(self, end: Callable[[R], None]) -> None:
        """Give the reader back, or close it when the statement at hand has ended.

        An ``end`` that takes longer than ``LEAVE_SECONDS`` is left to itself.
        """
        if self._is_lost or self._is_used:
            self._is_lost = True
            return
        self._is_lost = True
        # Urgent: what is held for the snapshot may keep writers waiting.
        call = self._readers.workers.submit(partial(end, self._reader), urgent=True)
        call.future.add_done_callback(self._ended)
        await asyncio.wait([call.future], timeout=LEAVE_SECONDS)

    def _take_back(self, reader: R, reusable: bool) -> None:
        self._is_used = False
        if not reusable:
            self._is_lost = True
        elif self._is_lost:
            self._readers.discard(reader)

    def _ended(self, future: asyncio.Future[None]) -> None:
        if future.cancelled() or future.exception() is not None:
            self._readers.discard(self._reader)
        else:
            self._readers.keep(self._reader)
