"""Waiting for a condition instead of for a time."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

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
def cancelling(connection: psycopg.Connection, seconds: float = 0.4) -> Iterator[None]:
    """Cancel what the connection runs meanwhile.

    Again and again: the first request comes too early where a busy machine has not begun by then.
    """
    ended = threading.Event()

    def cancel() -> None:
        while not ended.wait(seconds):
            connection.cancel_safe()

    thread = threading.Thread(target=cancel)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _check(started: float, seconds: float) -> None:
    longest = max(seconds, LEAST_SECONDS) * slowness()
    assert time.monotonic() - started < longest, f"not within {longest:.0f} s"
