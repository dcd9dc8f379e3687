"""Waiting for a condition instead of for a time."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import psycopg

from tests.support.canary import slowness

LEAST_SECONDS = 20.0
"""That anything is waited for: a machine that does other things too may stand still for seconds."""


def until(condition: Callable[[], object], seconds: float = 30.0) -> float:
    """Wait for something, on a busy machine the longer; returns how long it took."""
    started = time.monotonic()
    while not condition():
        _check(started, seconds)
        time.sleep(0.01)
    return time.monotonic() - started


async def until_async(
    condition: Callable[[], object | Awaitable[object]], seconds: float = 30.0
) -> float:
    """The same, while the event loop goes on."""
    started = time.monotonic()
    while True:
        found = condition()
        if await found if inspect.isawaitable(found) else found:
            return time.monotonic() - started
        _check(started, seconds)
        await asyncio.sleep(0.01)


@contextmanager
def repeating(action: Callable[[], object], first: float, every: float) -> Iterator[None]:
    """Do something meanwhile, after ``first`` seconds and again and again.

    For requests to cancel: one that comes before a busy machine has begun is in vain.
    """
    ended = threading.Event()

    def work() -> None:
        wait = first
        while not ended.wait(wait):
            action()
            wait = every

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def cancelling(
    connection: psycopg.Connection, seconds: float = 0.4
) -> AbstractContextManager[None]:
    """Cancel what the connection runs meanwhile."""
    return repeating(connection.cancel_safe, seconds, seconds)


def _check(started: float, seconds: float) -> None:
    longest = max(seconds, LEAST_SECONDS) * slowness()
    assert time.monotonic() - started < longest, f"not within {longest:.0f} s"
