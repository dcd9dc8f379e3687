"""Taking the model folder as it is now into service.

All that can fail is done before anything is replaced: reading, checking, asking the warehouses for
types. Then the catalog for everybody is altered in place, in one transaction, and the engine gets
the new version in one step.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial

from connectors.errors import WarehouseError
from connectors.options import ConnectorOptionsError
from proxy.assembly import (
    StartupError,
    decider,
    make_generation,
    operators,
    read_functions,
    read_models,
    start_connectors,
)
from proxy.cache.schedule import ScheduleError
from proxy.caching import CacheSettingsError, data_versions
from proxy.catalog import Catalog
from proxy.catalog.errors import CatalogError
from proxy.catalog.profiles import ProfileCatalogs
from proxy.config import Config
from proxy.engine import Engine
from proxy.generation import Generation
from proxy.reload.folder import read_whole
from proxy.rollups.opening import open_rollups
from proxy.scopes import Scopes, ScopeSource
from proxy.tenants import TenantScopes
from semantic.errors import SemanticError
from semantic.model.model import Model

logger = logging.getLogger("cubewire.reload")

PASSING = (WarehouseError, CatalogError, OSError)
"""Problems that may be over by themselves, without a change of the model."""

PROBLEMS = (
    *PASSING,
    StartupError,
    ConnectorOptionsError,
    ScheduleError,
    CacheSettingsError,
    SemanticError,
)
"""What speaks against taking a model into service."""


@dataclass(slots=True, eq=False)
class ModelReload:
    """Replaces the model that an engine serves.

    Args:
        environment: variables that the model's files may read.
        profiles: the catalogs of callers who see less.
        models: that are served: the model, then those of tenants.
        stack: what is opened for a new model and stays open is closed with it.
    """

    config: Config
    environment: Mapping[str, str]
    engine: Engine
    profiles: ProfileCatalogs
    models: tuple[Model, ...]
    stack: AsyncExitStack
    _stores: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def version(self) -> str:
        """Of the model in service: its content's hash; of several, one hash each."""
        return ",".join(sorted({model.version for model in self.models}))

    async def load(self) -> bool:
        """Take the model folder into service; False where it is what is served already.

        Raises one of ``PROBLEMS``: what was served then still is.
        """
        config = self.config
        if config.catalog.dsn is not None and config.server.workers > 1:
            raise StartupError(
                "several workers share the catalog of catalog.dsn, which can show one model only: "
                "restart the server"
            )
        read = partial(read_models, config, self.environment)
        model, tenants = await asyncio.to_thread(read_whole, config.models, read)
        models = (model, *tenants.values())
        if [each.version for each in models] == [each.version for each in self.models]:
            return False
        async with AsyncExitStack() as fresh:
            engine, connectors = self.engine, self.engine.connectors
            opened = await start_connectors(config, models, fresh, connectors)
            available = {**connectors, **opened}
            generation = await make_generation(available, read_functions(config), model)
            versions = data_versions(config.cache, models, available)
            scopes = await self._scopes(generation, tenants)
            async with AsyncExitStack() as stored:
                rollups = await open_rollups(config, generation, available, stored)
                await rollups.service.start()
                former = engine.rollups
                async with engine.scopes.changing():
                    await _show(engine.catalog, generation)
                    connectors.update(opened)
                    self.profiles.expect_others()
                    engine.serve(scopes, rollups, versions)
                self.models = models
                self.stack.push_async_exit(fresh.pop_all())
                await former.service.close()
                former_stores, self._stores = self._stores, stored.pop_all()
        await former_stores.aclose()
        return True

    async def _scopes(self, generation: Generation, tenants: Mapping[str, Model]) -> ScopeSource:
        engine = self.engine
        former = engine.scopes.source
        decision = decider(self.config, generation)
        if isinstance(former, TenantScopes):
            return await former.with_models(tenants)
        operates = operators(self.config)
        return Scopes(generation, engine.catalog, self.profiles, decision, operates)

    async def close(self) -> None:
        """Close what belongs to the model in service alone."""
        await self._stores.aclose()


async def _show(catalog: Catalog, generation: Generation) -> None:
    """Let the catalog show a model, or what it showed before. Raises CatalogError."""
    before = catalog.model
    try:
        await catalog.deploy(generation.published)
    except BaseException:
        # It is one transaction; but whether it was committed is not known if its end was not heard.
        if before is not None:
            await catalog.restore(before)
        raise
