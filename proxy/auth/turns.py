"""Takes attempts on one account from one address a few at a time.

Were a hundred passwords looked at together, a hundred guesses would be made before the first
failure counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

_AT_ONCE = 4


@dataclass(slots=True)
class _Queue:
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))
    users: int = 0


class Turns:
    """A short queue for each key that somebody waits for, and nothing for all others."""

    def __init__(self) -> None:
        self._queues: dict[tuple[str, str], _Queue] = {}

    @asynccontextmanager
    async def turn(self, key: tuple[str, str]) -> AsyncIterator[None]:
        """Wait for a turn, and have it."""
        queue = self._queues.setdefault(key, _Queue())
        queue.users += 1
        try:
            async with queue.slots:
                yield
        finally:
            queue.users -= 1
            if not queue.users:
                del self._queues[key]
