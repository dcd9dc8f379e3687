"""The life of a statement on a link: waiting for one, being stopped, giving it back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Generic, Protocol

from connectors.errors import WarehouseError, stop_error
from connectors.link_pool import Lender, LinkT


class Sender(Protocol):
    """A link of a protocol whose messages are bytes."""

    def send(self, data: bytes) -> None:
        """Write to the server. Raises WarehouseError where the connection is already lost."""


class LinkStatement(Generic[LinkT]):
    """One statement from taking a link until giving it back.

    Whoever stops it (the timer, a cancelled task, ``close``, the connector's end) only says why:
    the reader gets the error at once, and a task cancels the statement in the server and closes the
    link. A link is not used again after that, since a cancel request that is late would hit the
    next statement on it.
    """

    def __init__(self, pool: Lender[LinkT], ended: Callable[[LinkStatement[LinkT]], None]) -> None:
        self._pool = pool
        self._report = ended
        self._link: LinkT | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stopped: str | None = None
        self._cleanup: asyncio.Task[None] | None = None
        self._starting: asyncio.Task[LinkT] | None = None
        self._loop = asyncio.get_running_loop()
        self.ended = False

    def arm(self, timeout: float | None) -> None:
        """Stop the statement ``timeout`` seconds from now."""
        if timeout is not None:
            self._timer = self._loop.call_later(timeout, self.stop, "timeout")

    async def take_link(self) -> None:
        """Wait for a link. Nothing has reached the server before this returns."""
        task = asyncio.create_task(self._pool.take(), name="link-take")
        self._starting = task
        try:
            # The shield leaves this coroutine to say who has stopped the wait.
            link = await asyncio.shield(task)
        except asyncio.CancelledError:
            task.cancel()
            task.add_done_callback(self._return_unused)
            self._end()
            if being_cancelled():
                raise
            self._check()
            raise
        except Exception:
            self._end()
            raise
        finally:
            self._starting = None
        if self._stopped is not None:
            self._pool.give_back(link, reusable=True)
        self._check()
        self._link = link

    def finish(self) -> None:
        """Give the link back after the server was ready for the next statement."""
        link, self._link = self._link, None
        if link is not None:
            self._pool.give_back(link, reusable=True)
        self._end()

    def stop(self, reason: str) -> None:
        """Stop the work, for the first reason given. Returns at once."""
        if self.ended or self._stopped is not None:
            return
        self._stopped = reason
        if self._starting is not None and not self._starting.done():
            self._starting.cancel()
            return
        link = self._link
        if link is None:
            self._end()
            return
        link.fail(stop_error(reason))
        self._abandon(link)

    def forget(self) -> None:
        """Stop the work of a stream that was collected without being closed. Any thread."""
        if not self.ended:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self.stop, "user")

    async def closed(self) -> None:
        """Wait until the link has been given back or closed."""
        if self._cleanup is not None:
            await asyncio.wait([self._cleanup])

    def _check(self) -> None:
        if self._stopped is not None:
            raise stop_error(self._stopped)

    def _live(self) -> LinkT:
        self._check()
        if self._link is None:
            raise WarehouseError("55000", "the statement has ended")
        return self._link

    def _send(self, link: Sender, data: bytes) -> None:
        try:
            link.send(data)
        except WarehouseError:
            self._drop()
            raise

    def _drop(self) -> None:
        """The link is lost, or was failed by ``stop`` (then its task closes it)."""
        link = self._link
        if link is not None and self._stopped is None:
            self._link = None
            self._pool.give_back(link, reusable=False)
            self._end()

    def _abandon(self, link: LinkT) -> None:
        self._cleanup = self._loop.create_task(self._cancel(link), name="link-cancel")
        self._end()

    async def _cancel(self, link: LinkT) -> None:
        try:
            await link.cancel()
        finally:
            self._link = None
            self._pool.give_back(link, reusable=False)
            self._report(self)

    def _return_unused(self, task: asyncio.Task[LinkT]) -> None:
        if not task.cancelled() and task.exception() is None:
            self._pool.give_back(task.result(), reusable=True)

    def _end(self) -> None:
        if self.ended:
            return
        self.ended = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._cleanup is None:
            self._report(self)


def being_cancelled() -> bool:
    """Whether the running task itself is being cancelled, and not only what it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
