"""Notices that the system's clock has been set back.

Ages are counted by the monotonic clock, which nobody sets. What is named by moments of the day, as
results of a cron line are, would be found again under names of before.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

STEP_SECONDS = 30.0
"""Less than the minute of cron lines; what NTP corrects little by little is far less."""


@dataclass(slots=True)
class ClockSteps:
    """Compares the clock of the day with the monotonic one, since it was made."""

    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    _ahead: float = field(init=False)

    def __post_init__(self) -> None:
        self._ahead = self.wall() - self.clock()

    def back(self) -> bool:
        """Whether the clock has been set back since this was last asked."""
        before, self._ahead = self._ahead, self.wall() - self.clock()
        return self._ahead < before - STEP_SECONDS
