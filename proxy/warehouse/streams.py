"""Streams of a warehouse whose statement holds a slot, is counted, and may be begun again once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Generic, Protocol, TypeVar

import pyarrow as pa

from connectors.base import BatchStream, RowStream
from connectors.errors import WarehouseError
from proxy.warehouse.health import is_connection_fault
from proxy.warehouse.ticket import Ticket

ItemT = TypeVar("ItemT")
StreamT = TypeVar("StreamT", bound="Stream")


class Stream(Protocol):
    """What both kinds of streams have."""

    async def close(self) -> None:
        """Stop the work in the warehouse."""


class Watcher(Protocol):
    """Who wants to know how a warehouse is."""

    def heard(self) -> None:
        """Rows have come from it."""

    def lost(self, error: WarehouseError) -> None:
        """A connection to it broke."""


SMALL_BYTES = 65_536
"""Batches whose buffers take less are counted with all of them."""

Begin = Callable[[], Awaitable[StreamT]]
"""Starts the statement."""


def may_be_begun_again(error: WarehouseError) -> bool:
    """Whether a statement that failed before its first row may be run a second time.

    The connection broke, or there was none. Who was ended by an administrator of the warehouse
    (57P01) is not brought back, unless the statement had not come that far.
    """
    return is_connection_fault(error) and (not error.reached or error.sqlstate != "57P01")


class _Held(Generic[StreamT, ItemT]):
    """The part that does not depend on what the items are.

    Args:
        begin: starts the statement again, after a connection fault before the first item; None
            where it must not be.
        watcher: told of rows, and of a connection fault.
        keeps_slot: whether the slot is kept while the stream is open; else until its first item.
    """

    def __init__(
        self,
        stream: StreamT,
        ticket: Ticket,
        begin: Begin[StreamT] | None,
        watcher: Watcher,
        *,
        keeps_slot: bool,
    ) -> None:
        self._stream = stream
        self._ticket = ticket
        self._begin = begin
        self._watcher = watcher
        self._keeps_slot = keeps_slot
        self._items = self._iterate(stream)

    def __aiter__(self) -> AsyncIterator[ItemT]:
        return self

    async def __anext__(self) -> ItemT:
        try:
            item = await self._next()
            self._ticket.count(*self._measure(item))
        except WarehouseError as error:
            await self.close()
            raise self._ticket.told(error) from None
        except BaseException:  # its end among them
            await self.close()
            raise
        self._watcher.heard()
        if not self._keeps_slot:
            self._ticket.leave()
        return item

    async def close(self) -> None:
        """See the protocols of streams."""
        self._begin = None
        try:
            await self._stream.close()
        finally:
            self._ticket.leave()

    async def _next(self) -> ItemT:
        begin, self._begin = self._begin, None
        if begin is None:
            return await self._followed()
        try:
            return await anext(self._items)
        except WarehouseError as error:
            if not is_connection_fault(error):
                raise
            self._watcher.lost(error)
            if not may_be_begun_again(error):
                raise
            before, stream = self._stream, await begin()
            await before.close()
            self._stream, self._items = stream, self._iterate(stream)
            if not self._is_alike(before, stream):
                raise
            return await anext(self._items)

    async def _followed(self) -> ItemT:
        try:
            return await anext(self._items)
        except WarehouseError as error:
            if is_connection_fault(error):
                self._watcher.lost(error)
            raise

    def _iterate(self, stream: StreamT) -> AsyncIterator[ItemT]:
        raise NotImplementedError

    def _measure(self, item: ItemT) -> tuple[int, int]:
        raise NotImplementedError

    def _is_alike(self, before: StreamT, after: StreamT) -> bool:
        raise NotImplementedError


class HeldBatches(_Held[BatchStream, pa.RecordBatch]):
    """See ``BatchStream``."""

    @property
    def schema(self) -> pa.Schema:
        """See ``BatchStream``."""
        return self._stream.schema

    def _iterate(self, stream: BatchStream) -> AsyncIterator[pa.RecordBatch]:
        return aiter(stream)

    def _measure(self, item: pa.RecordBatch) -> tuple[int, int]:
        # What its buffers take is more than its rows do where it is a piece of them. But the exact
        # number costs a turn of the interpreter's lock, which is more than all else for a few rows.
        size = item.get_total_buffer_size()
        return item.num_rows, item.nbytes if size > SMALL_BYTES else size

    def _is_alike(self, before: BatchStream, after: BatchStream) -> bool:
        return bool(before.schema == after.schema)


class HeldRows(_Held[RowStream, tuple[bytes, int]]):
    """See ``RowStream``."""

    @property
    def type_oids(self) -> tuple[int, ...]:
        """See ``RowStream``."""
        return self._stream.type_oids

    def _iterate(self, stream: RowStream) -> AsyncIterator[tuple[bytes, int]]:
        return aiter(stream)

    def _measure(self, item: tuple[bytes, int]) -> tuple[int, int]:
        return item[1], len(item[0])

    def _is_alike(self, before: RowStream, after: RowStream) -> bool:
        return before.type_oids == after.type_oids
