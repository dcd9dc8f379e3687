"""The version of the data that a statement reads, as the cubes' refresh keys have it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field

from proxy.cache.freshness import FOREVER, CubeFreshness
from proxy.cache.keys import digest

logger = logging.getLogger("cubewire.cache")

Ask = Callable[[str, str], Awaitable[str]]
"""Runs a refresh key's query on a data source; returns its answer as text."""


@dataclass(frozen=True, slots=True)
class DataVersion:
    """The state of the data of some cubes.

    Attributes:
        token: differs between any two states that are known to differ.
        lifetime: seconds for which rows that were read in it may be served.
        until: monotonic seconds at which it has to be determined anew.
    """

    token: bytes
    lifetime: float
    until: float


@dataclass(slots=True, eq=False)
class _Answer:
    """The answer of one refresh key's query.

    Attributes:
        text: None where it is not known.
        asked: monotonic seconds when the last try began.
        told: monotonic seconds when the last one that succeeded began.
        failed: whether the last one did not.
    """

    text: str | None = None
    asked: float = -FOREVER
    told: float = -FOREVER
    failed: bool = False
    task: asyncio.Task[None] | None = None


@dataclass(slots=True)
class DataVersions:
    """Versions of cubes, asking the warehouses as rarely as the refresh keys allow.

    Attributes:
        cubes: the freshness of each.
        grace: seconds for which a version is still used while it is determined anew, or cannot be.
    """

    cubes: Mapping[str, CubeFreshness]
    ask: Ask
    grace: float = 0.0
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    _answers: dict[tuple[str, str], _Answer] = field(default_factory=dict)

    async def of(self, cubes: Iterable[str]) -> DataVersion | None:
        """The version of the data of these cubes together.

        None where one of them is not to be cached, or its version cannot be told: a refresh key's
        query has failed.
        """
        lifetime, until = FOREVER, FOREVER
        parts: list[bytes] = []
        for name in sorted(cubes):
            cube = self.cubes.get(name)
            if cube is None or cube.lifetime <= 0:
                return None
            lifetime = min(lifetime, cube.lifetime)
            if cube.cron is not None:
                now = self.wall()
                parts.append(f"{name} cron {cube.cron.last(now)}".encode())
                until = min(until, self.clock() + cube.cron.next(now) - now)
            if cube.sql is not None:
                answer = await self._answer(cube.data_source, cube.sql, cube.every)
                # Where it cannot be told, what it was stands as long as old results are served.
                kept = answer.told + cube.every + self.grace
                if answer.text is None or (answer.failed and self.clock() >= kept):
                    return None
                parts.append(f"{name} sql {answer.text}".encode())
                until = min(until, answer.asked + cube.every)
        return DataVersion(digest(parts), lifetime, until) if cubes else None

    async def _answer(self, source: str, sql: str, every: float) -> _Answer:
        answer = self._answers.setdefault((source, sql), _Answer())
        age = self.clock() - answer.asked
        if age < every:
            if answer.task is not None and answer.text is None:
                await asyncio.shield(answer.task)
            return answer
        if answer.task is None:
            answer.task = asyncio.create_task(self._ask(answer, source, sql), name="refresh key")
        if answer.text is None or age >= every + self.grace:
            await asyncio.shield(answer.task)
        return answer

    async def _ask(self, answer: _Answer, source: str, sql: str) -> None:
        began = self.clock()
        try:
            answer.text = await self.ask(source, sql)
            answer.told, answer.failed = began, False
        except Exception as error:  # noqa: BLE001 - whatever it is, the data's version is unknown
            answer.failed = True
            logger.warning(
                "a refresh key could not be evaluated",
                extra={"fields": {"data_source": source, "reason": str(error)}},
            )
        finally:
            answer.asked = began
            answer.task = None

    def forget(self) -> None:
        """Ask every refresh key anew."""
        for answer in self._answers.values():
            answer.asked = answer.told = -FOREVER

    async def close(self) -> None:
        """Stop what is being asked."""
        tasks = [answer.task for answer in self._answers.values() if answer.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
