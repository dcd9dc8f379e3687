"""How long to measure, and rounds that give every server the same minute."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import uvloop

from tests.bench.client import ReplyError
from tests.bench.results import Figure
from tests.bench.targets import POSTGRES, Target

T = TypeVar("T")

SLOW_SECONDS = 10.0
"""A server that needs longer than this for its turn has only one."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How thorough a run is.

    Attributes:
        rounds: times that each server has its turn.
        seconds: of load per turn.
    """

    rounds: int = 5
    seconds: float = 1.0
    quick: bool = False

    @classmethod
    def hurried(cls) -> Pace:
        return cls(2, 0.5, quick=True)


def run(work: Coroutine[object, object, T]) -> T:
    """Run a coroutine on uvloop, as the server does."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def compare(
    measure: str,
    case: str,
    unit: str,
    pace: Pace,
    targets: Sequence[Target],
    once: Callable[[Target], float],
) -> Iterator[Figure]:
    """Measure the targets in turn, several rounds.

    The value is the median of the rounds, the ratio the median of the rounds' own ratios: what
    disturbs the machine for a while disturbs both sides of a ratio. A target that fails keeps its
    error and is left out of the rounds that follow.
    """
    values: dict[str, list[float]] = {target.name: [] for target in targets}
    errors: dict[str, str] = {}
    left = list(targets)
    for _ in range(pace.rounds):
        for target in tuple(left):
            began = time.monotonic()
            try:
                values[target.name].append(once(target))
            except (ReplyError, OSError, TimeoutError) as error:
                errors[target.name] = str(error) or type(error).__name__
                left.remove(target)
                continue
            if time.monotonic() - began > SLOW_SECONDS:
                left.remove(target)
    base = values.get(POSTGRES, [])
    for name, got in values.items():
        if name in errors:
            yield Figure(measure, case, name, None, unit, error=errors[name])
            continue
        ratios = [value / other for value, other in zip(got, base, strict=False)]
        ratio = statistics.median(ratios) if ratios and name != POSTGRES else None
        yield Figure(measure, case, name, statistics.median(got), unit, ratio)
