"""The stages of the statement at hand, timed wherever they happen.

``parse``, ``bind``, ``plan`` and ``emit`` are the compiler's; ``analysis`` is the catalog's;
``queue`` is the wait for a place at the warehouse, ``warehouse`` its work, ``encode`` making
messages of rows, ``write`` waiting for the client to read them.

Whoever begins a statement makes its clock the current one; tasks that are started for it inherit
it. Where there is none, nothing is timed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from time import perf_counter

from connectors.queueing import waits_told_to
from semantic.compiler.progress import observed_by

STAGES = ("parse", "bind", "analysis", "plan", "emit", "queue", "warehouse", "encode", "write")
"""All of them, in the order in which they begin."""


@dataclass(slots=True, eq=False)
class StageClock:
    """The time that each stage of one statement has taken.

    Attributes:
        took: milliseconds by stage, without what other stages inside of it took.
        spans: first start and last end by stage, in seconds of ``time.perf_counter``.
    """

    took: dict[str, float] = field(default_factory=dict)
    spans: dict[str, tuple[float, float]] = field(default_factory=dict)

    def add(self, name: str, started: float, ended: float, waited: float = 0.0) -> None:
        """A stage, or a part of it, is over; ``waited`` seconds of it are another stage's."""
        self.took[name] = self.took.get(name, 0.0) + (ended - started - waited) * 1000
        known = self.spans.get(name)
        self.spans[name] = (started if known is None else known[0], ended)

    def take_over(self, other: StageClock) -> None:
        """Count what was timed before the statement was run: when it was prepared."""
        self.took = {**other.took, **self.took}
        self.spans = {**other.spans, **self.spans}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """What is inside is a stage."""
        started = perf_counter()
        try:
            yield
        finally:
            self.add(name, started, perf_counter())


CURRENT: ContextVar[StageClock | None] = ContextVar("stages", default=None)
"""Of the statement at hand."""


@contextmanager
def stage(name: str) -> Iterator[None]:
    """What is inside is a stage of the statement at hand."""
    clock = CURRENT.get()
    if clock is None:
        yield
    else:
        with clock.stage(name):
            yield


@contextmanager
def at_the_warehouse() -> Iterator[None]:
    """What is inside is the warehouse's work, but for the wait for a place there."""
    clock = CURRENT.get()
    if clock is None:
        yield
        return
    started, waited = perf_counter(), 0.0

    def queued(since: float, until: float) -> None:
        nonlocal waited
        waited += until - since
        clock.add("queue", since, until)

    try:
        with waits_told_to(queued):
            yield
    finally:
        clock.add("warehouse", started, perf_counter(), waited)


@contextmanager
def compiling() -> Iterator[None]:
    """What is inside is the compiler's work, whose stages it tells itself."""
    clock = CURRENT.get()
    if clock is None:
        yield
        return
    mark = perf_counter()

    def reached(name: str) -> None:
        nonlocal mark
        now = perf_counter()
        clock.add(name, mark, now)
        mark = now

    with observed_by(reached):
        yield
