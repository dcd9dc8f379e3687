"""What serves one version of a model, put together from the configuration.

A start does it once, a reload again; whatever is wrong is told before anything is replaced.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

from connectors.base import Connector
from connectors.registry import open_connector
from connectors.stage import StageOptions
from proxy.catalog.profiles import ProfileCatalogs
from proxy.config import Config
from proxy.config.sources import DuckdbSource
from proxy.configured_functions import FunctionsError, configured_functions
from proxy.generation import Generation
from proxy.plugins import open_source
from proxy.rollups.sketching import sketches_of
from proxy.rollups.stores import needs_store, rollup_folder
from proxy.scopes import Decide, Operates, Scopes
from proxy.tenants import NO_MODEL, has_tenant_models, load_tenant_models
from proxy.warehouse.opening import check_limits
from semantic.compiler.compiler import Compiler
from semantic.compiler.probe import probe_statements
from semantic.compiler.publish import publish
from semantic.compiler.rollups.api import ROLLUP_STORE
from semantic.model.functions import ConfiguredFunction
from semantic.model.loader import load_model
from semantic.model.model import Model
from semantic.model.published import PublishedModel
from semantic.security.access import Access, RowTenancy, decide
from semantic.security.context import SecurityContext
from semantic.security.visibility import profile_of

MEMORY_PERCENT = 50
"""What all workers' DuckDB may take of the machine, where nothing is configured: it spills beyond.

DuckDB's own 80 % is for a process that has the machine to itself.
"""


STAGE_PERCENT = 25
"""The same of the stages, which are idle on most machines."""


class StartupError(Exception):
    """The server cannot start, or cannot take a new model; ``str`` is a report for the terminal.

    Attributes:
        problems: the same one by one.
    """

    def __init__(self, report: str, problems: Sequence[str] = ()) -> None:
        super().__init__(report)
        self.problems = tuple(problems) or (report,)


def read_model(config: Config, environment: Mapping[str, str]) -> Model:
    """Load the model folder. Raises StartupError with every problem found."""
    report = load_model(config.models, environment)
    if report.model is None:
        problems = [f"{each.location}: {each.text}" for each in report.problems]
        raise StartupError(report.render_text(), problems)
    return report.model


def read_models(config: Config, environment: Mapping[str, str]) -> tuple[Model, dict[str, Model]]:
    """The model, and those of tenants. Raises StartupError with every problem found."""
    if not has_tenant_models(config):
        return read_model(config, environment), {}
    tenants, problems = load_tenant_models(config, environment)
    if problems:
        raise StartupError("\n".join(problems), problems)
    return NO_MODEL, tenants


async def start_connectors(
    config: Config,
    models: Sequence[Model],
    stack: AsyncExitStack,
    known: Collection[str] = (),
) -> dict[str, Connector]:
    """Open the warehouses that the models' cubes name, without those that are open already.

    Raises StartupError for one that is not configured, and what opening it does.
    """
    connectors: dict[str, Connector] = {}
    named = {cube.data_source for model in models for cube in model.cubes}
    for name in sorted(named.difference(known)):
        source = config.data_sources.get(name)
        if source is None:
            configured = ", ".join(config.data_sources) or "none"
            raise StartupError(
                f"the model reads data source {name!r}, which is not configured "
                f"(known: {configured})"
            )
        options = source.options()
        if options.get("memory_limit") == "":
            options["memory_limit"] = f"{max(1, MEMORY_PERCENT // config.server.workers)}%"
        if isinstance(source, DuckdbSource):
            folder = str(rollup_folder(config, name))
            options["allowed_directories"] = [*source.allowed_directories, folder]
            options["resident_folder"] = folder
            options["resident_bytes"] = config.rollups.memory_bytes
        connector = open_source(source, options)
        check_limits(name, config.limits.get(name), connector)
        await connector.start()
        stack.push_async_callback(connector.close)
        connectors[name] = connector
    if ROLLUP_STORE not in known and needs_store(config, models):
        connectors[ROLLUP_STORE] = await _start_store(config, stack)
    return connectors


async def _start_store(config: Config, stack: AsyncExitStack) -> Connector:
    """What reads the pre-aggregations that are kept apart from their warehouses."""
    if ROLLUP_STORE in config.data_sources:
        raise StartupError(f"data source {ROLLUP_STORE!r} has the name of the pre-aggregations'")
    folder = str(rollup_folder(config, ROLLUP_STORE))
    options = {
        "memory_limit": f"{max(1, MEMORY_PERCENT // config.server.workers)}%",
        "allowed_directories": [folder],
        "resident_folder": folder,
        "resident_bytes": config.rollups.memory_bytes,
    }
    connector = open_connector("duckdb", options)
    await connector.start()
    stack.push_async_callback(connector.close)
    return connector


def stage_options(config: Config) -> StageOptions:
    """What the stage of one worker may take."""
    staging = config.staging
    limit = staging.memory_limit or f"{max(1, STAGE_PERCENT // config.server.workers)}%"
    return StageOptions(
        staging.max_rows,
        staging.max_bytes,
        limit,
        staging.temp_directory,
        staging.max_temp_size,
    )


async def publish_model(model: Model, connectors: Mapping[str, Connector]) -> PublishedModel:
    """Ask the warehouses for the types of all members (rule R4), and for what they can merge."""
    dialects = {name: connector.dialect for name, connector in connectors.items()}
    probed: dict[str, Sequence[tuple[str, str, int]]] = {}
    for name, probe in probe_statements(model, dialects).items():
        columns = await connectors[probe.data_source].probe(probe.sql)
        probed[name] = [(column.name, column.type_name, column.modifier) for column in columns]
    published = await asyncio.to_thread(publish, model, probed, dialects)
    return replace(published, sketches=await sketches_of(model, connectors))


async def make_generation(
    connectors: Mapping[str, Connector], functions: tuple[ConfiguredFunction, ...], model: Model
) -> Generation:
    """A model as those know it who may see all of it."""
    published = replace(await publish_model(model, connectors), functions=functions)
    dialects = {name: connector.dialect for name, connector in connectors.items()}

    def make() -> Generation:
        return Generation.of(model, published, Compiler(model, published, dialects))

    return await asyncio.to_thread(make)


def decider(config: Config, generation: Generation) -> Decide:
    """Decides what callers may see of a model.

    Raises StartupError where the configured tenancy speaks of what the model does not have, and
    where the configured catalog cannot hide what the model hides.
    """
    tenancy = None
    if config.tenancy.mode == "row":
        found = config.tenancy
        tenancy = RowTenancy(found.dimension, found.members, frozenset(found.shared))
        problems = list(tenancy.problems(generation.model))
        if problems:
            raise StartupError("\n".join(f"tenancy: {problem}" for problem in problems))

    def decision(generation: Generation, context: SecurityContext) -> Access:
        return decide(
            generation.model,
            generation.types,
            context,
            default=config.security.default,
            tenancy=tenancy,
        )

    check_catalog(config, generation, decision)
    return decision


def operators(config: Config) -> Operates:
    """Who is shown the server's own tables."""
    grants = config.system_tables

    def operates(context: SecurityContext) -> bool:
        return grants.admit(context.user, context.groups, context.roles)

    return operates


async def tenant_scopes(
    generate: Callable[[Model], Awaitable[Generation]],
    profiles: ProfileCatalogs,
    decision: Decide,
    operates: Operates,
    model: Model,
) -> Scopes:
    """The scopes of one tenant's callers. Raises what asking the warehouses does."""
    generation = await generate(model)
    catalog = profiles.of(profile_of(generation.published), generation.published)
    return Scopes(generation, catalog, profiles, decision, operates)


def check_catalog(config: Config, generation: Generation, decision: Decide) -> None:
    """Raises StartupError where the configured catalog cannot hide what the model hides.

    An external catalog is one database, which shows one set of relations to everybody; databases
    beside it would go by other names than the one that clients connect to.
    """
    if config.catalog.dsn is None:
        return
    if config.system_tables.admit_somebody:
        raise StartupError(
            "catalog.dsn cannot be used with system_tables: an external catalog shows the same "
            "relations to everybody."
        )
    nobody = SecurityContext.of("")
    if has_tenant_models(config) or not decision(generation, nobody).is_open:
        raise StartupError(
            "catalog.dsn cannot be used with access policies, nor with tenants who have a model "
            "each: an external catalog shows the same relations to everybody.\n"
            "Leave out catalog.dsn, so that each group of users gets a catalog of its own."
        )


def read_functions(config: Config) -> tuple[ConfiguredFunction, ...]:
    """The warehouses' functions that are configured. Raises StartupError."""
    try:
        return configured_functions(config)
    except FunctionsError as error:
        raise StartupError(str(error)) from None
