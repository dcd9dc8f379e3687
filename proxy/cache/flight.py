"""One run of a statement whose rows several callers get: single flight within a process.

The caller that starts it, the leader, is given the rows as they come. Those that ask for the same
meanwhile wait for the whole result, so that none of them has sent rows which it could not go on
with. A result that outgrows its limit is the leader's alone; the others run the statement
themselves. A flight ends early when nobody is left who wants it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from connectors.errors import WarehouseError, stop_error
from proxy.cache.memory import Entry, size_of
from proxy.rows.encoded import EncodedRows
from proxy.sources import RowSource

Origin = Callable[[], Awaitable[RowSource]]
"""Opens what the rows come from."""
Keep = Callable[[list[EncodedRows]], Entry | None]
"""Puts a whole result into the cache."""

_OF_ITS_LEADER = ("57", "08", "53")
"""Classes of errors that are one caller's or one moment's: who waited tries for itself."""


@dataclass(slots=True)
class Room:
    """Bytes that the flights of a process may hold together, besides the cache."""

    capacity: int
    used: int = 0


class LandedAloneError(Exception):
    """Who waited for a flight has to run the statement itself."""


@dataclass(slots=True, eq=False)
class Flight:
    """A statement that is being run.

    Attributes:
        limit: bytes of rows beyond which it is not kept.
        ended: told when no more can join.
        too_large: whether it is not kept: it has outgrown the limit, or there is no room now.
        entry: the whole result, once it is in the cache.
    """

    origin: Origin
    keep: Keep
    room: Room
    limit: int
    ended: Callable[[Flight], None]
    too_large: bool = False
    entry: Entry | None = None
    _chunks: list[EncodedRows] = field(default_factory=list)
    _size: int = 0
    _wanted: int = 0
    _led: bool = True
    _source: RowSource | None = None
    _task: asyncio.Task[None] | None = None
    _error: BaseException | None = None
    _over: bool = False
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def start(self) -> None:
        """Begin. Whoever starts it leads it, and is to ``leave`` it."""
        self._wanted += 1
        self._task = asyncio.create_task(self._run(), name="cache fill")

    async def _run(self) -> None:
        try:
            source = self._source = await self.origin()
            while (rows := await source.next_rows()) is not None:
                self._take(rows)
                if self.too_large:
                    return  # the leader reads on, at its own pace
            self.entry = self.keep(self._chunks)
        except asyncio.CancelledError as error:
            self._error = error
            raise
        except Exception as error:  # noqa: BLE001 - it is raised where the rows are wanted
            self._error = error
        finally:
            self._land()
            if not self.too_large or not self._led or self._error is not None:
                await asyncio.shield(self._close())

    def _land(self) -> None:
        self._over = True
        self.ended(self)  # before what it holds is given up
        self._changed.set()
        if not self.too_large:
            self._free()

    def _take(self, rows: EncodedRows) -> None:
        size = size_of(rows)
        self._chunks.append(rows)
        self._size += size
        self.room.used += size
        self.too_large = self.outgrown or self.room.used > self.room.capacity
        self._changed.set()

    @property
    def outgrown(self) -> bool:
        """Whether it is larger than its limit."""
        return self._size > self.limit

    def _free(self) -> None:
        self.room.used -= self._size
        self._size = 0

    async def _close(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            await source.close()

    # ------------------------------------------------------------------------- the leader

    async def chunk(self, number: int) -> EncodedRows | None:
        """The rows of a number, from 0, as soon as they are there; None beyond what is kept."""
        while number >= len(self._chunks):
            if isinstance(self._error, asyncio.CancelledError):
                raise stop_error("shutdown")
            if self._error is not None:
                raise self._error
            if self._over:
                return None
            self._changed.clear()
            await self._changed.wait()
        return self._chunks[number]

    async def rest(self) -> EncodedRows | None:
        """Beyond what is kept: the next rows of a result that is too large to be."""
        self._free()
        return None if self._source is None else await self._source.next_rows()

    async def leave(self) -> None:
        """The leader wants no more rows. Idempotent."""
        if self._led:
            self._led = False
            self._leave()
        if self.too_large:
            self._free()
            if self._over:
                await self._close()

    # ------------------------------------------------------------------------- the others

    async def whole(self) -> Entry:
        """Wait for the result.

        Raises LandedAloneError where there is none to share, and the statement's own error.
        """
        self._wanted += 1
        try:
            while not self._over:
                self._changed.clear()
                await self._changed.wait()
        finally:
            self._leave()
        error = self._error
        if isinstance(error, WarehouseError) and error.sqlstate[:2] not in _OF_ITS_LEADER:
            raise error
        if self.entry is None:
            raise LandedAloneError
        return self.entry

    def _leave(self) -> None:
        self._wanted -= 1
        if self._wanted == 0 and not self._over and self._task is not None:
            self._task.cancel()


class LeaderSource:
    """The rows of a flight for its leader, as they come."""

    def __init__(self, flight: Flight) -> None:
        self._flight = flight
        self._next = 0

    async def next_rows(self) -> EncodedRows | None:
        """See RowSource."""
        rows = await self._flight.chunk(self._next)
        if rows is None:
            return await self._flight.rest()
        self._next += 1
        return rows

    async def close(self) -> None:
        """See RowSource."""
        await self._flight.leave()
