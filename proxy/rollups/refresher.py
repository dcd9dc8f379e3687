"""Builds what is due, again and again, in one process at a time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from connectors.errors import WarehouseError
from proxy.rollups.builder import PROBLEMS, Builder, PartOutcome, Report, ignore
from proxy.rollups.planning import RollupPlan
from proxy.rollups.schedule import pause_before_look
from proxy.rollups.stores import Place
from semantic.compiler.rollups.api import RollupDefinition

logger = logging.getLogger("cubewire.rollups")

FIRST_RETRY_SECONDS = 30.0
LAST_RETRY_SECONDS = 3600.0


@dataclass(slots=True)
class _Failure:
    """A rollup that could not be built: tried again later, and later each time.

    Attributes:
        retry_at: monotonic seconds.
    """

    text: str
    delay: float
    retry_at: float


@dataclass(frozen=True, slots=True)
class RefreshSettings:
    """How the refresher works.

    Attributes:
        interval: seconds between looks for what is due, where no refresh key asks more often.
        grace: seconds that replaced tables stay.
        lead: only while this process is the one that leads a store; else always.
    """

    interval: float
    grace: float
    lead: bool = True


async def nothing() -> None:
    """Tell nobody."""


class Refresher:
    """One process's part in keeping pre-aggregations fresh.

    Args:
        builder: of the model.
        settings: how.
        changed: told whenever something has been built.
        report: told what became of each part.
    """

    def __init__(
        self,
        builder: Builder,
        settings: RefreshSettings,
        changed: Callable[[], Awaitable[None]] = nothing,
        report: Report = ignore,
    ) -> None:
        self._builder = builder
        self._settings = settings
        self._changed = changed
        self._report = report
        self._failures: dict[str, _Failure] = {}

    async def run(self) -> None:
        """Refresh until cancelled."""
        async with asyncio.TaskGroup() as group:
            for place in self._builder.stores.all():
                group.create_task(self._run_place(place), name=f"refresh {place.name}")

    async def run_once(self) -> Sequence[PartOutcome]:
        """Build everything that is due now, wherever it is kept. Raises what planning raises."""
        outcomes: list[PartOutcome] = []
        for definition in self._scheduled():
            plan = await self._builder.plan(definition)
            outcomes += await self._builder.run(plan, self._report)
        for place in self._builder.stores.all():
            await place.store.collect(self._settings.grace)
        return outcomes

    async def _run_place(self, place: Place) -> None:
        while True:
            try:
                async with AsyncExitStack() as stack:
                    leads = not self._settings.lead or await stack.enter_async_context(
                        place.store.lead()
                    )
                    while leads:
                        await self._pass(place)
                        await asyncio.sleep(self._pause(place))
            except WarehouseError as error:
                logger.warning(
                    "a store of pre-aggregations cannot be refreshed",
                    extra={"fields": {"store": place.name, "detail": error.message}},
                )
            await asyncio.sleep(self._settings.interval)

    async def _pass(self, place: Place) -> None:
        for definition in self._scheduled():
            failure = self._failures.get(definition.name)
            waits = failure is not None and time.monotonic() < failure.retry_at
            if self._builder.stores.of(definition) is place and not waits:
                await self._refresh(definition)
        await place.store.collect(self._settings.grace)

    def _pause(self, place: Place) -> float:
        keys = (
            definition.refresh_key
            for definition in self._scheduled()
            if self._builder.stores.of(definition) is place
        )
        return pause_before_look(keys, time.time(), self._settings.interval)

    async def _refresh(self, definition: RollupDefinition) -> None:
        try:
            plan = await self._builder.plan(definition)
        except PROBLEMS as error:
            self._failed(definition, str(error))
            return
        if not _has_work(plan):
            return
        outcomes = await self._builder.run(plan, self._report)
        failed = [each.error for each in outcomes if each.error is not None]
        if failed:
            self._failed(definition, failed[0])
        else:
            self._failures.pop(definition.name, None)
        if any(each.status == "built" for each in outcomes) or plan.outside:
            await self._changed()

    def _failed(self, definition: RollupDefinition, text: str) -> None:
        before = self._failures.get(definition.name)
        delay = FIRST_RETRY_SECONDS
        if before is not None:
            delay = min(before.delay * 2, LAST_RETRY_SECONDS)
        if before is None or before.text != text:
            logger.error(
                "a pre-aggregation cannot be refreshed",
                extra={"fields": {"rollup": definition.name, "detail": text}},
            )
        self._failures[definition.name] = _Failure(text, delay, time.monotonic() + delay)

    def _scheduled(self) -> list[RollupDefinition]:
        return [
            each
            for each in self._builder.definitions.values()
            if each.is_built and each.scheduled_refresh
        ]


def _has_work(plan: RollupPlan) -> bool:
    parts = any(part.verdict.builds or part.verdict.name == "ASK" for part in plan.parts)
    return parts or bool(plan.outside) or bool(plan.superseded)
