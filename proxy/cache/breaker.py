"""Keeps a Redis that does not answer from delaying statements."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from redis.exceptions import RedisError, ResponseError

T = TypeVar("T")

# Of the streams beneath the client, which does not translate them: uvloop raises RuntimeError for
# what is written to a connection that has just been lost.
LOST = (asyncio.IncompleteReadError, RuntimeError)
FAILURES = 2
"""In a row, after which nothing is asked of Redis until it has answered a probe."""


class UnavailableError(Exception):
    """Redis did not do what it was asked, in time."""


@dataclass(slots=True)
class Breaker:
    """Runs calls of Redis within a time, and none where the last ones have failed.

    Attributes:
        timeout: seconds that a call may take.
        is_open: whether calls are refused.
    """

    timeout: float
    is_open: bool = False
    _failures: int = 0

    async def call(self, make: Callable[[], Awaitable[T]]) -> T:
        """Run a call. Raises UnavailableError where it fails, or may not be tried."""
        if self.is_open:
            raise UnavailableError
        return await self.probe(make)

    async def probe(self, make: Callable[[], Awaitable[T]]) -> T:
        """Run a call even so: where it succeeds, others may follow."""
        try:
            async with asyncio.timeout(self.timeout):
                answer = await make()
        except ResponseError as error:
            # It answers, though it refuses: its memory is full, or this is not allowed.
            raise UnavailableError(str(error)) from error
        except (*LOST, RedisError, OSError, TimeoutError) as error:
            self._failures += 1
            self.is_open = self._failures >= FAILURES
            raise UnavailableError(str(error) or type(error).__name__) from error
        self._failures = 0
        self.is_open = False
        return answer
