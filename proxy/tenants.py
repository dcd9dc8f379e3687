"""Tenants with a data source, or a model, of their own: each has its own scopes.

Nothing is shared between tenants but what is equal in every respect: compiled statements are kept
by the model's version, which the tenant's data source is a part of, and results by data source.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from connectors.errors import WarehouseError
from proxy.catalog.errors import CatalogError
from proxy.config import Config
from proxy.errors import SessionError
from proxy.generation import Generation
from proxy.scopes import Scope, Scopes
from proxy.tenant_folders import tenant_folders
from semantic.model.loader import load_model
from semantic.model.model import Model
from semantic.security.context import SecurityContext

logger = logging.getLogger("cubewire.tenants")

NO_MODEL = Model(())
"""What exists for whoever belongs to no tenant."""

MakeScopes = Callable[[Model], Awaitable[Scopes]]


class TenantScopes:
    """The scopes of callers by their tenants, each made when its first caller comes.

    Args:
        nobody: the generation of no tenant.
        models: by tenant.
        make: asks the warehouses for the types of a tenant's model.
    """

    def __init__(self, nobody: Generation, models: Mapping[str, Model], make: MakeScopes) -> None:
        self.generation = nobody
        self._models = models
        self._make = make
        self._scopes: dict[str, asyncio.Task[Scopes]] = {}

    async def open(self, context: SecurityContext) -> Scope:
        """What exists for a caller.

        Raises SessionError 28000 where they belong to no tenant that is configured, 57P03 where the
        tenant's data source cannot be reached.
        """
        tenant = context.tenant
        model = None if tenant is None else self._models.get(tenant)
        if tenant is None or model is None:
            raise SessionError("28000", f'role "{context.user}" belongs to no tenant')
        making = self._scopes.get(tenant)
        if making is None:
            making = asyncio.create_task(self._begin(tenant, model), name="scopes of a tenant")
            self._scopes[tenant] = making
        try:
            scopes = await asyncio.shield(making)
        except (WarehouseError, CatalogError, OSError) as error:
            raise SessionError(
                "57P03",
                "the data of this tenant cannot be reached",
                hint="Connect again; the server's log tells the reason.",
            ) from error
        return await scopes.open(context)

    async def with_models(self, models: Mapping[str, Model]) -> TenantScopes:
        """The same over other models.

        What has been made of a model that is the same stays. Of the others it is made now for those
        tenants who are here, so that one that cannot be read is found out. Raises as ``make``.
        """
        after = TenantScopes(self.generation, models, self._make)
        for tenant, made in list(self._scopes.items()):
            model = models.get(tenant)
            if model is None or not made.done() or made.exception() is not None:
                continue
            if model.version != self._models[tenant].version:
                made = asyncio.create_task(after._begin(tenant, model), name="scopes of a tenant")
            after._scopes[tenant] = made
            await made
        return after

    async def _begin(self, tenant: str, model: Model) -> Scopes:
        try:
            return await self._make(model)
        except BaseException as error:
            # The next caller tries again.
            del self._scopes[tenant]
            if isinstance(error, WarehouseError | CatalogError | OSError):
                fields = {"tenant": tenant, "reason": str(error)}
                logger.warning("a tenant's model cannot be read", extra={"fields": fields})
            raise


def has_tenant_models(config: Config) -> bool:
    """Whether each tenant has a model for itself."""
    return config.tenancy.mode in ("data_source", "models")


def load_tenant_models(
    config: Config, environment: Mapping[str, str]
) -> tuple[dict[str, Model], list[str]]:
    """The models of all tenants, and the reports of those that have problems."""
    models: dict[str, Model] = {}
    reports: list[str] = []
    if config.tenancy.mode == "models":
        for tenant, folder in tenant_folders(config.models).items():
            report = load_model(folder, environment)
            if report.model is None:
                reports.append(report.render_text())
            else:
                models[tenant] = _without_rollups(report.model)
        if not models and not reports:
            reports.append(f"tenancy: {config.models} has no folder, so there is no tenant")
        return models, reports
    report = load_model(config.models, environment)
    if report.model is None:
        return {}, [report.render_text()]
    for tenant, source in config.tenancy.data_sources.items():
        models[tenant] = _over(_without_rollups(report.model), config.tenancy.replaces, source)
    return models, reports


def _over(model: Model, replaced: str, source: str) -> Model:
    """A model whose cubes of one data source are read from another."""
    cubes = (
        replace(cube, data_source=source) if cube.data_source == replaced else cube
        for cube in model.cubes
    )
    return replace(model, cubes=tuple(cubes))


def _without_rollups(model: Model) -> Model:
    """A model of whose pre-aggregations none is taken: they are built for one model alone."""
    cubes = tuple(replace(cube, pre_aggregations=()) for cube in model.cubes)
    return replace(model, cubes=cubes)
