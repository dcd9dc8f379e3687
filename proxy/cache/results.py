"""The result cache: what is looked up where, who runs a statement, and who waits for it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

import pyarrow as pa

from connectors.errors import stop_error
from proxy.cache.flight import Flight, LandedAloneError, LeaderSource, Room
from proxy.cache.memory import Entry, Key, MemoryStore
from proxy.rows.encoded import EncodedRows
from proxy.rows.encoder import RowEncoder
from proxy.sources import RowSource

logger = logging.getLogger("cubewire.cache")

Mode = Literal["on", "off", "refresh", "only"]
Outcome = Literal["memory", "stale", "joined", "redis", "miss", "bypass"]
"""Where rows came from: this process, the same though due to be asked anew, somebody else's run
of the same statement, Redis, the warehouse, and the warehouse without the cache having a say."""

KeepBatch = Callable[[pa.RecordBatch], None]
Run = Callable[[KeepBatch | None], Awaitable[RowSource]]
"""Runs a statement on its warehouse; the function given sees every batch before it is encoded."""

_REMEMBERED = 1024


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """A statement whose result may be shared.

    Attributes:
        key: of what the warehouse is asked, and of the state of its data.
        shared_key: the same, for Redis.
        form: how rows are written.
        cubes: whose data it reads.
        lifetime: seconds for which rows may be served.
        until: monotonic seconds at which the state of the data has to be looked at again.
        encoder: writes the warehouse's batches; None where it sends rows already written.
        timeout: seconds that this caller waits at most, None for no limit.
    """

    key: bytes
    shared_key: bytes
    form: bytes
    cubes: tuple[str, ...]
    lifetime: float
    until: float
    run: Run
    encoder: RowEncoder | None
    timeout: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Rows and where they come from.

    Attributes:
        entry: the whole result, where it is in this process' memory.
        until: monotonic seconds up to which that may be served.
        rollups: the pre-aggregations that the statement reads.
    """

    source: RowSource
    outcome: Outcome
    entry: Entry | None = None
    until: float = 0.0
    rollups: tuple[str, ...] = ()


class NotCachedError(Exception):
    """Only cached results were asked for, and there is none."""


class Shared(Protocol):
    """Level 2, as the cache uses it."""

    @property
    def is_available(self) -> bool:
        """Whether it answers."""

    @property
    def refused_marks(self) -> int:
        """Marks of invalidations in it that were not believed."""

    async def open(self, request: Request, *, refresh: bool) -> SharedRows:
        """The rows of a statement: from Redis, or of the warehouse and on their way to Redis."""

    async def find(self, request: Request) -> SharedRows | None:
        """The rows of a statement if they are in Redis."""


@dataclass(frozen=True, slots=True, eq=False)
class SharedRows:
    """What level 2 came up with; ``age`` is None for rows of the warehouse's."""

    source: RowSource
    age: float | None = None


class EntrySource:
    """The rows of an entry."""

    def __init__(self, entry: Entry) -> None:
        self._chunks = iter(entry.chunks)

    async def next_rows(self) -> EncodedRows | None:
        """See RowSource."""
        return next(self._chunks, None)

    async def close(self) -> None:
        """See RowSource."""


@dataclass(slots=True, eq=False)
class _Fill:
    """One flight's way to its rows, and of what age they are."""

    cache: ResultCache
    request: Request
    refresh: bool
    stored: float = 0.0
    outcome: Outcome = "miss"

    async def origin(self) -> RowSource:
        self.stored = self.cache.clock()
        shared = self.cache.shared
        if shared is None:
            return await self.request.run(None)
        found = await shared.open(self.request, refresh=self.refresh)
        if found.age is not None:
            self.outcome = "redis"
            self.stored -= found.age
        else:
            self.stored = self.cache.clock()
        return found.source

    def keep(self, chunks: list[EncodedRows]) -> Entry | None:
        request = self.request
        return self.cache.memory.put(
            (request.key, request.form), chunks, self.stored, request.cubes
        )


@dataclass(slots=True, eq=False)
class ResultCache:
    """The results of one process.

    Attributes:
        memory: level 1.
        shared: level 2, None where there is no Redis.
        max_entry_bytes: of a result in level 1.
        stale: seconds for which an old result is still served while it is being asked anew.
    """

    memory: MemoryStore
    max_entry_bytes: int
    stale: float = 0.0
    shared: Shared | None = None
    clock: Callable[[], float] = time.monotonic
    _flights: dict[Key, Flight] = field(default_factory=dict)
    _large: OrderedDict[Key, None] = field(default_factory=OrderedDict)
    _room: Room = field(init=False)
    _renewals: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._room = Room(self.memory.capacity)

    async def open(self, request: Request, mode: Mode) -> Found:
        """The rows of a statement, from wherever they can be had.

        Raises NotCachedError in mode ``only``, and whatever running the statement raises.
        """
        key = (request.key, request.form)
        if mode == "refresh":
            return await self._lead(request, key, refresh=True)
        while True:
            found = self._remembered(request, key)
            if found is not None:
                return found
            if mode == "only":
                return await self._only(request)
            flight = self._flights.get(key)
            if flight is None:
                return await self._lead(request, key)
            try:
                async with asyncio.timeout(request.timeout):
                    entry = await flight.whole()
                return _found(entry, "joined", request)
            except TimeoutError:
                raise stop_error("timeout") from None
            except LandedAloneError:
                continue

    def _remembered(self, request: Request, key: Key) -> Found | None:
        entry = self.memory.get(key)
        if entry is None:
            return None
        age = self.clock() - entry.stored
        if age < request.lifetime:
            return _found(entry, "memory", request)
        if age < request.lifetime + self.stale:
            self._renew(request, key)
            return _found(entry, "stale", request)
        return None

    async def _only(self, request: Request) -> Found:
        found = None if self.shared is None else await self.shared.find(request)
        if found is None:
            raise NotCachedError
        return Found(found.source, "redis")

    async def _lead(self, request: Request, key: Key, *, refresh: bool = False) -> Found:
        fill = _Fill(self, request, refresh)
        large = key in self._large
        flight = Flight(
            fill.origin,
            fill.keep,
            self._room,
            0 if large else self.max_entry_bytes,
            lambda flight: self._landed(key, flight),
        )
        if not large and not refresh:
            self._flights[key] = flight
        flight.start()
        source = LeaderSource(flight)
        try:
            # An error of the statement is raised here, before anything is said of its rows.
            await flight.chunk(0)
        except BaseException:
            await source.close()
            raise
        return Found(source, fill.outcome)

    def _landed(self, key: Key, flight: Flight) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
        if flight.outgrown:
            self._large[key] = None
            if len(self._large) > _REMEMBERED:
                self._large.popitem(last=False)

    def _renew(self, request: Request, key: Key) -> None:
        """Ask for a result anew, unless somebody does already."""
        if key not in self._flights:
            task = asyncio.create_task(self._renewed(request, key), name="cache renewal")
            self._renewals.add(task)
            task.add_done_callback(self._renewals.discard)

    async def _renewed(self, request: Request, key: Key) -> None:
        if key in self._flights:
            return
        try:
            found = await self._lead(request, key)
            try:
                while await found.source.next_rows() is not None:
                    pass
            finally:
                await found.source.close()
        except Exception as error:  # noqa: BLE001 - nobody waits for it; the old result is served on
            logger.info("a result could not be renewed", extra={"fields": {"reason": str(error)}})

    @property
    def used(self) -> int:
        """Bytes of level 1."""
        return self.memory.used

    @property
    def evictions(self) -> int:
        """Results that had to make room in it."""
        return self.memory.evictions

    @property
    def redis_available(self) -> bool | None:
        """Whether level 2 answers; None where there is none."""
        return None if self.shared is None else self.shared.is_available

    @property
    def redis_refused_marks(self) -> int:
        """Marks of invalidations in level 2 that were not believed."""
        return 0 if self.shared is None else self.shared.refused_marks

    async def close(self) -> None:
        """Stop what runs for nobody but the cache."""
        tasks = list(self._renewals)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _found(entry: Entry, outcome: Outcome, request: Request) -> Found:
    until = min(entry.stored + request.lifetime, request.until)
    return Found(EntrySource(entry), outcome, entry, until)
