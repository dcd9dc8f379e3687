"""A bounded pool of links: hands out live ones, opens new ones, forgets dead ones."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

from connectors.errors import WarehouseError, stop_error
from connectors.queueing import queueing

# What a server says while it starts, stops or has no place left: it never saw a statement of ours.
_RETRIED = {"08006", "57P03", "57P01", "53300"}
FIRST_DELAY_SECONDS = 0.05
LAST_DELAY_SECONDS = 0.5


class Link(Protocol):
    """One connection to a warehouse, used by one statement at a time."""

    @property
    def lost(self) -> bool:
        """Whether the connection is of no more use."""

    @property
    def altered(self) -> bool:
        """Whether a statement has left a setting that the next must not meet."""

    def idle_alive(self) -> bool:
        """Whether nothing has come from the server while the link was idle, such as its end."""

    def fail(self, error: WarehouseError) -> None:
        """Make whoever waits for a message get ``error``; the link is of no more use."""

    async def cancel(self) -> None:
        """Ask the server to stop the running statement. Never raises."""

    def terminate(self) -> None:
        """Close the connection at once."""


LinkT = TypeVar("LinkT", bound=Link)


class Lender(Protocol[LinkT]):
    """Where a statement has its link from."""

    async def take(self) -> LinkT:
        """A live link, for the caller alone until ``give_back``."""

    def give_back(self, link: LinkT, *, reusable: bool) -> None:
        """End the use of a link."""


class LinkPool(Generic[LinkT]):
    """At most ``size`` links. Connecting is tried again for a while; statements never are."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[LinkT]],
        size: int,
        queue_seconds: float,
        retry_seconds: float,
    ) -> None:
        self._connect = connect
        self._places = asyncio.Semaphore(size)
        self._queue_seconds = queue_seconds
        self._retry_seconds = retry_seconds
        self._idle: list[LinkT] = []
        self._closed = False

    async def take(self) -> LinkT:
        """A live link, for the caller alone until ``give_back``."""
        if self._closed:
            raise stop_error("shutdown")
        try:
            with queueing():
                async with asyncio.timeout(self._queue_seconds):
                    await self._places.acquire()
        except TimeoutError:
            raise WarehouseError(
                "53300",
                "the data source is busy: no connection became free in time",
                hint="Raise pool_size or queue_seconds of the data source.",
                reached=False,
            ) from None
        while self._idle:
            link = self._idle.pop()
            if link.idle_alive():
                return link
            link.terminate()
        # Connecting goes on when the caller is cancelled: the link is then ready for the next one.
        opening = asyncio.create_task(self._open(), name="link-open")
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(self._keep)
            raise
        except BaseException:
            self._places.release()
            raise

    def give_back(self, link: LinkT, *, reusable: bool) -> None:
        """End the use of a link."""
        if reusable and not self._closed and not link.lost and not link.altered:
            self._idle.append(link)
        else:
            link.terminate()
        self._places.release()

    def close(self) -> None:
        """Close idle links; those in use are closed when they are given back."""
        self._closed = True
        while self._idle:
            self._idle.pop().terminate()

    def _keep(self, opening: asyncio.Task[LinkT]) -> None:
        if opening.cancelled() or opening.exception() is not None:
            self._places.release()
        else:
            self.give_back(opening.result(), reusable=True)

    async def _open(self) -> LinkT:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._retry_seconds
        delay = FIRST_DELAY_SECONDS
        while True:
            try:
                link = await self._connect()
            except WarehouseError as error:
                if error.sqlstate not in _RETRIED or loop.time() + delay > deadline:
                    raise
            else:
                if self._closed:
                    link.terminate()
                    raise stop_error("shutdown")
                return link
            # With jitter, so that a fleet of servers does not return to a warehouse in step.
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))
            delay = min(delay * 2, LAST_DELAY_SECONDS)
