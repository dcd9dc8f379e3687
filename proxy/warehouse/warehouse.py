"""A data source as the engine sees it: a connector behind turns, limits and health."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

from connectors.base import (
    BatchStream,
    Connector,
    Estimator,
    Parameter,
    Reader,
    Replicated,
    RowStream,
    Severable,
    SnapshotReader,
    Snapshotter,
)
from connectors.errors import WarehouseError
from connectors.queueing import queueing
from connectors.tags import Tag, tagged
from proxy.config.limits import SourceLimits
from proxy.progress import Progress
from proxy.warehouse.admission import Admission, Entrant
from proxy.warehouse.health import Health, is_connection_fault, jittered
from proxy.warehouse.limits import NO_LIMIT, Limits, exceeded, limits_for
from proxy.warehouse.streams import Begin, HeldBatches, HeldRows, may_be_begun_again
from proxy.warehouse.ticket import Ticket

logger = logging.getLogger("cubewire.warehouse")

T = TypeVar("T")

AGAIN_SECONDS = 0.2
"""Before a statement is begun a second time, at most: the first one may have been one of many."""
OUTAGE_SECONDS = 3.0
"""How long a statement waits for a source that is down, as one is that starts anew."""
MOST_KINDS = 1000
"""Of callers whose limits are remembered."""


class WarehouseObserver(Protocol):
    """Counts what happens at the data sources: the metrics."""

    def warehouse_wait(self, data_source: str, seconds: float) -> None:
        """A statement got its turn after so long."""

    def warehouse_refused(self, data_source: str, reason: str) -> None:
        """A statement was refused or ended by a limit, by a full queue, or by an outage."""

    def warehouse_retry(self, data_source: str) -> None:
        """A statement was begun a second time."""


@dataclass(frozen=True, slots=True)
class Asking:
    """One statement for a warehouse, and on whose behalf.

    Attributes:
        user: whose statements take turns with those of others.
        roles: that limits are looked up for.
        timeout: seconds, None for no limit.
        progress: told whether it waits.
        late: it may be read from a copy of the warehouse that lags a little.
        cubes: whose tables it reads.
    """

    sql: str
    parameters: Sequence[Parameter]
    user: str
    roles: frozenset[str]
    time_zone: str = "UTC"
    timeout: float | None = None
    progress: Progress | None = None
    late: bool = True
    cubes: tuple[str, ...] = ()

    @property
    def tag(self) -> Tag:
        """What the warehouse may be told of it."""
        return Tag(self.user, self.cubes, self.sql)


class Warehouse:
    """One data source.

    A statement waits for its turn, is estimated where its limits want it, and runs. Where the
    connection breaks before its first row it is begun once more: it only reads. A second break is
    its error, since it may be what breaks the warehouse.
    """

    def __init__(
        self,
        name: str,
        connector: Connector,
        limits: SourceLimits,
        slots: int,
        observer: WarehouseObserver,
    ) -> None:
        """Nothing runs before ``start``.

        Args:
            name: of the data source.
            connector: open already.
            limits: as configured.
            slots: statements at once; 0 is any number.
            observer: counts.
        """
        self.name = name
        self._connector = connector
        self._copies = connector.reader() if isinstance(connector, Replicated) else connector
        self._config = limits
        self._observer = observer
        self.admission = Admission(
            name, slots, limits.user_slots, limits.queue_seconds, limits.queue_size, self._refused
        )
        sever = connector.sever if isinstance(connector, Severable) else None
        self.health = Health(name, connector.health, limits.health_seconds, sever)
        self._limits: dict[frozenset[str], Limits] = {}
        self._watch: asyncio.Task[None] | None = None

    @property
    def is_up(self) -> bool:
        """Whether it answers."""
        return self.health.is_up

    @property
    def slots(self) -> int:
        """Statements at once; 0 is any number."""
        return self.admission.slots

    @property
    def in_use(self) -> int:
        """Statements that run."""
        return self.admission.in_use

    @property
    def waiting(self) -> int:
        """Statements that wait for their turn."""
        return self.admission.waiting

    @property
    def copies(self) -> Mapping[str, int]:
        """How many of its copies are in which state."""
        return self._connector.copies() if isinstance(self._connector, Replicated) else {}

    def start(self) -> None:
        """Look after its health from now on, unless nobody is to."""
        if not self._config.health_seconds:
            return
        self._watch = asyncio.create_task(self.health.run(), name=f"health of {self.name}")

    async def close(self) -> None:
        """Look no more. The connector is closed by who has opened it."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])

    async def execute(self, asking: Asking) -> BatchStream:
        """See ``Connector.execute``. Raises 53300, 53400, 57014 and 08006 besides."""
        ticket = self._ticket(asking)

        async def begin() -> BatchStream:
            with tagged(asking.tag):
                return await self._reader(asking).execute(
                    asking.sql, asking.parameters, time_zone=asking.time_zone, timeout=ticket.left
                )

        stream = await self._admitted(ticket, (asking,), begin)
        keeps = self._connector.capabilities.exclusive_streams
        return HeldBatches(stream, ticket, self._again(begin, ticket), self, keeps_slot=keeps)

    async def stream_rows(self, asking: Asking, result_formats: Sequence[int]) -> RowStream:
        """See ``Connector.stream_rows``. Raises as ``execute``."""
        ticket = self._ticket(asking)

        async def begin() -> RowStream:
            with tagged(asking.tag):
                return await self._reader(asking).stream_rows(
                    asking.sql,
                    asking.parameters,
                    result_formats,
                    time_zone=asking.time_zone,
                    timeout=ticket.left,
                )

        stream = await self._admitted(ticket, (asking,), begin)
        keeps = self._connector.capabilities.exclusive_streams
        return HeldRows(stream, ticket, self._again(begin, ticket), self, keeps_slot=keeps)

    @asynccontextmanager
    async def snapshot(
        self, askings: Sequence[Asking]
    ) -> AsyncIterator[Sequence[Begin[BatchStream]]]:
        """Statements of one caller that see one state of the data, in one slot.

        Gives what starts each of them. The next is to be started when the one before has ended, and
        none is begun again: that could be in another state. Only where ``capabilities.snapshots``.
        Raises as ``execute``, and as ``Snapshotter.snapshot``.
        """
        first = askings[0]
        ticket, reader = self._ticket(first), self._reader(first)
        assert isinstance(reader, Snapshotter)  # which its capabilities say
        async with AsyncExitStack() as stack:
            stack.callback(ticket.leave)

            async def begin() -> SnapshotReader:
                return await stack.enter_async_context(reader.snapshot(timeout=ticket.left))

            snapshot = await self._admitted(ticket, askings, begin)
            yield [partial(self._start_in, snapshot, ticket, asking) for asking in askings]

    async def _start_in(
        self, snapshot: SnapshotReader, ticket: Ticket, asking: Asking
    ) -> BatchStream:
        own = ticket.within()
        try:
            with tagged(asking.tag):
                stream = await snapshot.execute(
                    asking.sql, asking.parameters, time_zone=asking.time_zone, timeout=own.left
                )
        except WarehouseError as error:
            self._is_fault(error)
            raise own.told(error) from None
        return HeldBatches(stream, own, None, self, keeps_slot=True)

    # ------------------------------------------------------------------------- before it runs

    def _reader(self, asking: Asking) -> Reader:
        return self._copies if asking.late else self._connector

    def _ticket(self, asking: Asking) -> Ticket:
        limits = self._limits.get(asking.roles)
        if limits is None:
            if len(self._limits) >= MOST_KINDS:
                self._limits.clear()
            limits = self._limits[asking.roles] = limits_for(self._config, asking.roles)
        entrant = Entrant(asking.user, limits.role, limits.role_slots)
        return Ticket(self.name, limits, asking.timeout, self.admission, entrant)

    async def _admitted(
        self, ticket: Ticket, askings: Sequence[Asking], begin: Callable[[], Awaitable[T]]
    ) -> T:
        """What has been begun for one or more statements, holding the ticket's slot."""
        await self._up(ticket)
        if ticket.try_enter():
            self._observer.warehouse_wait(self.name, 0.0)
        else:
            await self._wait(ticket, askings[0].progress)
        try:
            if ticket.limits.needs_estimate:
                for asking in askings:
                    await self._estimate(ticket, asking)
            try:
                return await begin()
            except WarehouseError as error:
                if not self._is_fault(error) or not may_be_begun_again(error):
                    raise
                return await self._again(begin, ticket)()
        except BaseException as error:
            ticket.leave()
            if isinstance(error, WarehouseError):
                raise ticket.told(error) from None
            raise

    async def _up(self, ticket: Ticket) -> None:
        if self.health.is_up:
            return
        left = ticket.left
        seconds = OUTAGE_SECONDS if left is None else min(OUTAGE_SECONDS, left)
        try:
            await self.health.wait_until_up(seconds)
        except WarehouseError:
            self._refused("down")
            raise

    async def _wait(self, ticket: Ticket, progress: Progress | None) -> None:
        if progress is not None:
            progress.entered("waiting")
        began = time.monotonic()
        with queueing():
            await ticket.enter()
        self._observer.warehouse_wait(self.name, time.monotonic() - began)
        if progress is not None:
            progress.entered("running")

    async def _estimate(self, ticket: Ticket, asking: Asking) -> None:
        """Raises 53400 for a statement that is expected to take more than it may."""
        connector, limits = self._connector, ticket.limits
        assert isinstance(connector, Estimator)  # which the configuration was checked for
        estimate = await connector.estimate(
            asking.sql, asking.parameters, time_zone=asking.time_zone, timeout=ticket.left
        )
        for value, most, key, what in (
            (estimate.cost, limits.max_cost, "max_cost", "units of cost"),
            (estimate.bytes, limits.max_scanned_bytes, "max_scanned_bytes", "bytes read"),
        ):
            if most < NO_LIMIT and (value is None or value > most):
                self._refused("cost")
                raise exceeded(self.name, what, key, most)

    # ------------------------------------------------------------------------- faults

    def _again(
        self, begin: Callable[[], Awaitable[T]], ticket: Ticket
    ) -> Callable[[], Awaitable[T]]:
        async def second() -> T:
            self._observer.warehouse_retry(self.name)
            await asyncio.sleep(jittered(AGAIN_SECONDS))
            await self._up(ticket)
            return await begin()

        return second

    def _is_fault(self, error: WarehouseError) -> bool:
        if is_connection_fault(error):
            self.lost(error)
            return True
        return False

    def heard(self) -> None:
        """See ``proxy.warehouse.streams.Watcher``."""
        self.health.heard()

    def lost(self, error: WarehouseError) -> None:
        """See ``proxy.warehouse.streams.Watcher``."""
        self.health.suspect()
        fields = {"data_source": self.name, "sqlstate": error.sqlstate, "reason": error.message}
        logger.info("a statement lost its connection", extra={"fields": fields})

    def _refused(self, reason: str) -> None:
        self._observer.warehouse_refused(self.name, reason)


class DataSources:
    """The data sources of a process, by name, as they are first asked.

    Attributes:
        opened: those that have been.
    """

    def __init__(self, make: Callable[[str], Warehouse]) -> None:
        self._make = make
        self.opened: dict[str, Warehouse] = {}

    def of(self, name: str) -> Warehouse:
        """The data source of a name, which the model reads and which is open."""
        found = self.opened.get(name)
        if found is None:
            found = self.opened[name] = self._make(name)
            found.start()
        return found

    async def close(self) -> None:
        """Look after none any more."""
        for warehouse in self.opened.values():
            await warehouse.close()
