"""Keeps an engine's view of what is stored up to date."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from contextlib import suppress

from connectors.errors import WarehouseError
from proxy.rollups.promises import Promises
from proxy.rollups.stores import RollupStores
from proxy.rollups.view import NO_PROMISES, RollupView
from semantic.compiler.rollups.api import RollupDefinition

logger = logging.getLogger("cubewire.rollups")

START_SECONDS = 5.0
"""How long a start waits for the stores: without them, statements are answered by the sources."""


class RollupService:
    """The view of a process, and the task that reads the stores for it.

    Attributes:
        view: what statements may be answered from.
    """

    def __init__(
        self,
        definitions: Mapping[str, RollupDefinition],
        stores: RollupStores,
        poll: float,
        promises: Promises = NO_PROMISES,
    ) -> None:
        self.view = RollupView(definitions, time.time, promises)
        self.stores = stores
        self._poll = poll
        self._task: asyncio.Task[None] | None = None
        self._reachable = True

    async def start(self) -> None:
        """Read the stores once, then again and again."""
        with suppress(TimeoutError):
            async with asyncio.timeout(START_SECONDS):
                await self.look()
        self._task = asyncio.create_task(self._watch(), name="rollups watch")

    async def close(self) -> None:
        """Stop reading."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def look(self) -> None:
        """Read the stores now. What cannot be read leaves the view as it is, and a line."""
        try:
            self.view.publish(await self.stores.read())
        except WarehouseError as error:
            if self._reachable:
                logger.warning(
                    "the state of pre-aggregations cannot be read",
                    extra={"fields": {"sqlstate": error.sqlstate, "detail": error.message}},
                )
            self._reachable = False
        else:
            self._reachable = True

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._poll)
            await self.look()
