"""Who is told how long a statement waits for its turn at a warehouse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import perf_counter

Observer = Callable[[float, float], None]
"""Given the start and the end of a wait, in seconds of ``time.perf_counter``."""

_observer: ContextVar[Observer | None] = ContextVar("queue", default=None)


def queue_observer() -> Observer | None:
    """Who is to be told, where the wait ends in another task than it began in."""
    return _observer.get()


@contextmanager
def queueing() -> Iterator[None]:
    """What is inside is the wait for a place."""
    started = perf_counter()
    try:
        yield
    finally:
        observer = _observer.get()
        if observer is not None:
            observer(started, perf_counter())


@contextmanager
def waits_told_to(observer: Observer) -> Iterator[None]:
    """Tell somebody of the waits of statements that are begun meanwhile."""
    token = _observer.set(observer)
    try:
        yield
    finally:
        _observer.reset(token)
