"""Logged-in connections to the catalog, each client's user having its own, bounded in number."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Mapping

from proxy.catalog.connection import ChildConnection
from proxy.catalog.errors import CatalogError

Connector = Callable[[str], Awaitable[ChildConnection]]


class Slot:
    """A place in the pool with its connection.

    Attributes:
        applied: the settings its session has, None when they are unknown.
        idle_since: loop time of its return.
    """

    __slots__ = ("applied", "connection", "idle_since", "user")

    def __init__(self, user: str, connection: ChildConnection) -> None:
        self.user = user
        self.connection = connection
        self.applied: dict[str, str] | None = {}
        self.idle_since = 0.0


class Pool:
    """Connections by user. Who waits is served in order of arrival."""

    def __init__(
        self, connect: Connector, capacity: int, lease_timeout: float, idle_timeout: float
    ) -> None:
        self._connect = connect
        self._capacity = capacity
        self._lease_timeout = lease_timeout
        self._idle_timeout = idle_timeout
        self._idle: list[Slot] = []  # longest unused first
        self._open_slots: set[Slot] = set()
        self._total = 0
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._sweeper: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def total(self) -> int:
        """Connections open or being opened."""
        return self._total

    @property
    def idle(self) -> int:
        """Connections waiting for use."""
        return len(self._idle)

    def connections(self) -> list[ChildConnection]:
        """All open connections, in use or not."""
        return [slot.connection for slot in self._open_slots]

    async def acquire(self, user: str, wanted: Mapping[str, str]) -> Slot:
        """A connection of ``user``, one with the wanted settings if there is one.

        Raises CatalogError 53300 after the lease timeout.
        """
        until = asyncio.get_running_loop().time() + self._lease_timeout
        if self._waiters:
            await self._wait(until)
        while True:
            slot = self._take_idle(user, wanted)
            if slot is not None:
                return slot
            if self._total >= self._capacity and self._idle:
                self._discard(self._idle.pop(0))
            if self._total < self._capacity:
                return await self._open(user)
            await self._wait(until)

    def release(self, slot: Slot) -> None:
        """Give a connection back."""
        if slot.connection.closed or self._closed:
            self._discard(slot)
        else:
            slot.idle_since = asyncio.get_running_loop().time()
            self._idle.append(slot)
            if self._sweeper is None:
                self._sweeper = asyncio.create_task(self._sweep(), name="catalog-pool-sweeper")
        self._wake()

    async def replace(self, slot: Slot) -> Slot:
        """A new connection in the place of a lost one; the place is freed when that fails."""
        slot.connection.abort()
        self._open_slots.discard(slot)
        self._total -= 1
        return await self._open(slot.user)

    async def close(self) -> None:
        """Close what is idle; what is in use closes when it is given back."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeper
        while self._idle:
            self._discard(self._idle.pop())
        for waiter in self._waiters:
            waiter.cancel()

    def _take_idle(self, user: str, wanted: Mapping[str, str]) -> Slot | None:
        choice: Slot | None = None
        for slot in reversed(self._idle):
            if slot.user != user:
                continue
            if choice is None or slot.applied == wanted:
                choice = slot
            if slot.applied == wanted:
                break
        if choice is None:
            return None
        self._idle.remove(choice)
        if choice.connection.closed:
            self._discard(choice)
            return self._take_idle(user, wanted)
        return choice

    async def _open(self, user: str) -> Slot:
        self._total += 1
        try:
            slot = Slot(user, await self._connect(user))
        except BaseException:
            self._total -= 1
            self._wake()
            raise
        self._open_slots.add(slot)
        return slot

    def _discard(self, slot: Slot) -> None:
        slot.connection.close()
        self._open_slots.discard(slot)
        self._total -= 1

    async def _wait(self, until: float) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout_at(until):
                await waiter
        except TimeoutError:
            self._forget(waiter)
            raise CatalogError(
                "53300",
                "too many catalog statements at one time",
                detail=f"All {self._capacity} connections of the catalog are in use.",
                hint="Try again later, or raise the catalog's number of backends.",
            ) from None
        except BaseException:
            self._forget(waiter)
            raise

    def _forget(self, waiter: asyncio.Future[None]) -> None:
        if waiter in self._waiters:
            self._waiters.remove(waiter)
        else:
            # It was this one's turn: pass it on.
            self._wake()

    def _wake(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._idle_timeout / 2)
            oldest = loop.time() - self._idle_timeout
            expired = [slot for slot in self._idle if slot.idle_since <= oldest]
            for slot in expired:
                self._idle.remove(slot)
                self._discard(slot)
