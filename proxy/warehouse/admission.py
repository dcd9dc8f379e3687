"""Turns at a data source: so many statements at once, and the others wait, fairly by user."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from connectors.errors import WarehouseError

logger = logging.getLogger("cubewire.warehouse")

LONG_WAIT_SECONDS = 5.0
"""After which a wait is told in the log while it lasts."""


@dataclass(frozen=True, slots=True)
class Entrant:
    """Whose statement wants a slot.

    Attributes:
        role: whose slots it takes one of besides; None where they are not counted.
        role_slots: how many these are.
    """

    user: str
    role: str | None = None
    role_slots: float = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Waiter:
    entrant: Entrant
    admitted: asyncio.Future[None]


@dataclass(slots=True, eq=False)
class Admission:
    """The slots of a data source, and the queue in front of them.

    A slot that becomes free goes to the user who has the fewest; of several to the one who has been
    waiting for a turn the longest. So who sends hundreds of statements at once delays their own.

    Attributes:
        data_source: its name, for messages.
        slots: statements at once; 0 is any number.
        user_slots: of one user at once; 0 is any number.
        queue_seconds: how long a statement may wait.
        queue_size: how many may wait.
        in_use: slots taken.
        waiting: statements in the queue.
        refused: told why a statement is refused.
    """

    data_source: str
    slots: int
    user_slots: int
    queue_seconds: float
    queue_size: int
    refused: Callable[[str], None]
    in_use: int = 0
    waiting: int = 0
    _by_user: Counter[str] = field(default_factory=Counter)
    _by_role: Counter[str] = field(default_factory=Counter)
    _queues: OrderedDict[str, deque[_Waiter]] = field(default_factory=OrderedDict)

    def try_enter(self, entrant: Entrant) -> bool:
        """Take a slot, if one is free and no statement of the same user waits for one."""
        if entrant.user in self._queues or not self._may_enter(entrant):
            return False
        self._take(entrant)
        return True

    async def enter(self, entrant: Entrant) -> None:
        """Wait for a slot. Raises 53300 where none becomes free in time, or too many wait."""
        if self.waiting >= self.queue_size:
            self.refused("queue_full")
            raise self._busy(f"{self.waiting} statements wait for it already", "queue_size")
        waiter = _Waiter(entrant, asyncio.get_running_loop().create_future())
        self._queues.setdefault(entrant.user, deque()).append(waiter)
        self.waiting += 1
        try:
            await self._wait(waiter)
        except BaseException:
            self._withdraw(waiter)
            raise
        if not waiter.admitted.done():
            self._withdraw(waiter)
            self.refused("queue_timeout")
            raise self._busy(
                f"no slot became free within {self.queue_seconds:g} s", "queue_seconds"
            )

    def leave(self, entrant: Entrant) -> None:
        """Give a slot back; whoever is next gets it."""
        self.in_use -= 1
        _less(self._by_user, entrant.user)
        if entrant.role is not None:
            _less(self._by_role, entrant.role)
        while (waiter := self._next()) is not None:
            self._unqueue(waiter)
            if waiter.entrant.user in self._queues:
                self._queues.move_to_end(waiter.entrant.user)
            self._take(waiter.entrant)
            waiter.admitted.set_result(None)

    async def _wait(self, waiter: _Waiter) -> None:
        quiet = min(LONG_WAIT_SECONDS, self.queue_seconds)
        await asyncio.wait([waiter.admitted], timeout=quiet)
        if waiter.admitted.done() or quiet >= self.queue_seconds:
            return
        fields = {
            "data_source": self.data_source,
            "user": waiter.entrant.user,
            "running": self.in_use,
            "waiting": self.waiting,
        }
        logger.warning("a statement waits for its turn", extra={"fields": fields})
        await asyncio.wait([waiter.admitted], timeout=self.queue_seconds - quiet)

    def _withdraw(self, waiter: _Waiter) -> None:
        """Who waited has gone: out of the queue, or out of the slot that was given meanwhile."""
        if waiter.admitted.done():
            self.leave(waiter.entrant)
        else:
            waiter.admitted.cancel()
            self._unqueue(waiter)

    def _unqueue(self, waiter: _Waiter) -> None:
        queue = self._queues[waiter.entrant.user]
        queue.remove(waiter)
        self.waiting -= 1
        if not queue:
            del self._queues[waiter.entrant.user]

    def _next(self) -> _Waiter | None:
        """Who is to enter now; None where there is no room for any who waits."""
        found: _Waiter | None = None
        for user, queue in self._queues.items():
            if not self._may_enter(queue[0].entrant):
                continue
            if found is None or self._by_user[user] < self._by_user[found.entrant.user]:
                found = queue[0]
        return found

    def _may_enter(self, entrant: Entrant) -> bool:
        if self.slots and self.in_use >= self.slots:
            return False
        if self.user_slots and self._by_user[entrant.user] >= self.user_slots:
            return False
        return entrant.role is None or self._by_role[entrant.role] < entrant.role_slots

    def _take(self, entrant: Entrant) -> None:
        self.in_use += 1
        self._by_user[entrant.user] += 1
        if entrant.role is not None:
            self._by_role[entrant.role] += 1

    def _busy(self, reason: str, key: str) -> WarehouseError:
        return WarehouseError(
            "53300",
            f"data source {self.data_source!r} is busy: {reason}",
            hint="Try again later. The administrator can raise "
            f"limits.{self.data_source}.{key}, or the slots.",
            reached=False,
        )


def _less(counts: Counter[str], key: str) -> None:
    counts[key] -= 1
    if not counts[key]:
        del counts[key]
