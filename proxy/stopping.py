"""Stopping on a signal: graceful with the first, at once with the second."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine
from contextlib import suppress

logger = logging.getLogger("cubewire.server")

Stop = Callable[[float], Coroutine[None, None, None]]
"""Stops within so many seconds."""


class StopSignals:
    """SIGTERM and SIGINT, taken from the moment this is made.

    One that comes while the server starts cancels the start, so that what is half started is taken
    down again; later the first asks to stop, and a second one to stop at once.
    """

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self._ends: asyncio.Task[None] | None = asyncio.current_task()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)
        # One that comes while the server starts means what it loads anyhow.
        loop.add_signal_handler(signal.SIGHUP, lambda: None)

    def end_next(self, task: asyncio.Task[None] | None) -> None:
        """What the next signal cancels."""
        self._ends = task

    def _on_signal(self) -> None:
        self.asked.set()
        if self._ends is not None:
            self._ends.cancel()


async def run_until_stopped(stop: Stop, signals: StopSignals, grace: float) -> None:
    """Serve until SIGTERM or SIGINT; a second one ends everything at once."""
    signals.end_next(None)
    await signals.asked.wait()
    logger.info("stopping")
    stopping = asyncio.get_running_loop().create_task(stop(grace), name="graceful stop")
    signals.end_next(stopping)
    with suppress(asyncio.CancelledError):
        await stopping
    if stopping.cancelled():
        await stop(0.0)
