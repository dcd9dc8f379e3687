"""Who is told how far the compiler has come, for those who time it: it has no clock itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_observer: ContextVar[Callable[[str], None] | None] = ContextVar("compiler progress", default=None)


def reached(stage: str) -> None:
    """The stage of this name is over: ``parse``, ``bind``, ``plan`` or ``emit``."""
    observer = _observer.get()
    if observer is not None:
        observer(stage)


@contextmanager
def observed_by(observer: Callable[[str], None]) -> Iterator[None]:
    """Tell somebody of the stages of what is compiled meanwhile."""
    token = _observer.set(observer)
    try:
        yield
    finally:
        _observer.reset(token)
