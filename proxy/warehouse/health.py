"""Whether a data source answers: looked at regularly, and at once when a statement fails."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from connectors.errors import WarehouseError

logger = logging.getLogger("cubewire.warehouse")

LOOK_SECONDS = 5.0
"""Between two looks at a source that answers."""
SILENCES = 3
"""Looks in a row that had no answer in time, after which a source counts as down. One that refuses
to be connected to is down at once."""
FIRST_DELAY_SECONDS = 0.1
LAST_DELAY_SECONDS = 1.5
"""Between two looks at a source that does not answer: growing, and with jitter, so that a fleet of
servers does not return to it in step."""
SEVER_SECONDS = 10.0
"""How long a source is down before its running statements are given up."""

_UNREACHABLE = ("08", "57P")


def is_connection_fault(error: WarehouseError) -> bool:
    """Whether an error is of the way to a warehouse, or of its starting and stopping."""
    return error.sqlstate.startswith(_UNREACHABLE)


def jittered(delay: float) -> float:
    """A pause of up to ``delay`` seconds, and of half of that at least."""
    return delay * random.uniform(0.5, 1.0)


@dataclass(slots=True, eq=False)
class Health:
    """The health of one data source.

    Attributes:
        data_source: its name, for the log.
        look: one round trip; raises WarehouseError.
        answer_seconds: what that may take.
        sever: gives up the statements that wait for its answer; None where that is not offered.
        is_up: whether it answers.
    """

    data_source: str
    look: Callable[[], Awaitable[None]]
    answer_seconds: float
    sever: Callable[[], None] | None = None
    is_up: bool = True
    _silences: int = 0
    _down_since: float = 0.0
    _suspected: asyncio.Event = field(default_factory=asyncio.Event)
    _up: asyncio.Event = field(default_factory=asyncio.Event)

    def suspect(self) -> None:
        """A statement has lost its connection: look at once."""
        self._suspected.set()

    def heard(self) -> None:
        """Rows have come from it: it is up, whatever a look says that waits behind others."""
        if not self.is_healthy:
            self._answered()

    async def wait_until_up(self, seconds: float) -> None:
        """Wait for a source that is down. Raises 08006 where it stays so."""
        if self.is_up:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._up.wait()
        except TimeoutError:
            raise WarehouseError(
                "08006",
                f"data source {self.data_source!r} does not answer",
                hint="Try again later. Results that are cached are served meanwhile.",
                reached=False,
            ) from None

    async def run(self) -> None:
        """Look, for ever."""
        delay = FIRST_DELAY_SECONDS
        while True:
            await self._pause(LOOK_SECONDS if self.is_healthy else jittered(delay))
            delay = min(delay * 2, LAST_DELAY_SECONDS)
            await self._look()
            if self.is_healthy:
                delay = FIRST_DELAY_SECONDS

    @property
    def is_healthy(self) -> bool:
        """Whether it is up, and has answered the last time it was looked at."""
        return self.is_up and not self._silences

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                if self.is_healthy:
                    await self._suspected.wait()
                else:
                    await asyncio.sleep(seconds)
        except TimeoutError:
            pass
        self._suspected.clear()

    async def _look(self) -> None:
        try:
            async with asyncio.timeout(self.answer_seconds):
                await self.look()
        except TimeoutError:
            self._silences += 1
            if self._silences >= SILENCES:
                self._down("no answer in time")
        except WarehouseError as error:
            if is_connection_fault(error):
                self._silences += 1
                self._down(error.message)
            else:
                self._answered()  # it answers, though it refuses
        else:
            self._answered()

    def _answered(self) -> None:
        self._silences = 0
        if not self.is_up:
            self.is_up = True
            logger.info("a data source answers again", extra=self._fields())
        self._up.set()

    def _down(self, reason: str) -> None:
        now = asyncio.get_running_loop().time()
        if self.is_up:
            self.is_up = False
            self._up.clear()
            self._down_since = now
            logger.error("a data source does not answer", extra=self._fields(reason=reason))
        elif self.sever is not None and now - self._down_since >= SEVER_SECONDS:
            self._down_since = now
            self.sever()

    def _fields(self, **more: str) -> dict[str, dict[str, str]]:
        return {"fields": {"data_source": self.data_source, **more}}
