"""Threads for verifiers that block: a few for each, so that none starves another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Unavailable(Exception):  # noqa: N818 - a state, not a fault of ours
    """Whoever was asked did not answer in time, or not at all. The text is for the log."""


class Bulkhead:
    """At most so many calls at once, each at most so long; more wait for their turn in that time.

    A call that takes longer keeps its thread until it ends by itself, which it must: every call has
    a time limit of its own on what it waits for.
    """

    def __init__(self, name: str, *, threads: int, seconds: float) -> None:
        self._name = name
        self._seconds = seconds
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=f"login {name}")

    async def run(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Call a function that blocks, outside the event loop.

        Raises:
            Unavailable: no answer in time.
        """
        future = self._threads.submit(function, *arguments, **named)
        try:
            async with asyncio.timeout(self._seconds):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise Unavailable(f"{self._name} did not answer in {self._seconds:g} s") from None

    def close(self) -> None:
        """Take no more calls; those that wait are dropped."""
        self._threads.shutdown(wait=False, cancel_futures=True)
