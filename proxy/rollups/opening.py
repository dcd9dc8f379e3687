"""Puts the parts together: stores, builder and view of one model."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from connectors.base import Connector
from proxy.config import Config
from proxy.generation import Generation
from proxy.rollups.builder import Builder, Report, ignore
from proxy.rollups.promises import model_promises
from proxy.rollups.refresher import Refresher, RefreshSettings
from proxy.rollups.service import RollupService
from proxy.rollups.stores import open_stores
from semantic.compiler.api import SessionSettings


@dataclass(frozen=True, slots=True, eq=False)
class Rollups:
    """A model's pre-aggregations, open.

    Attributes:
        service: the view of what is stored; not started.
        builder: what builds them.
    """

    service: RollupService
    builder: Builder
    config: Config

    def refresher(self, report: Report = ignore) -> Refresher:
        """What keeps them fresh, telling the view, and what became of each part."""
        config = self.config.rollups
        settings = RefreshSettings(config.interval, config.grace, config.refresh != "always")
        return Refresher(self.builder, settings, self.service.look, report)


async def open_rollups(
    config: Config,
    generation: Generation,
    connectors: Mapping[str, Connector],
    stack: AsyncExitStack,
) -> Rollups:
    """Open the stores of the pre-aggregations that a model has.

    Raises WarehouseError where a store cannot be made, ValueError for a folder it cannot have.
    """
    compiler = generation.compiler
    definitions = compiler.rollups()
    stores = await open_stores(config, definitions, connectors, stack)
    promises = model_promises(generation.model.cubes, config.cache.refresh_every)
    service = RollupService(definitions, stores, config.rollups.poll, promises)
    stack.push_async_callback(service.close)
    # What a build truncates and compares is by the clock of UTC, whoever asks for it.
    settings = SessionSettings("cubewire", config.database, time_zone="UTC")
    limit = config.rollups.build_timeout or None
    builder = Builder(compiler, connectors, stores, settings, config.rollups.parallel, limit)
    return Rollups(service, builder, config)
