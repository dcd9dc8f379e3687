"""Waiting for a condition instead of for a time."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.support.canary import slowness


def until(condition: Callable[[], object], seconds: float = 30.0) -> float:
    """Wait for something, on a busy machine the longer; returns how long it took."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds * slowness(), f"not within {seconds} s"
        time.sleep(0.01)
    return time.monotonic() - started
