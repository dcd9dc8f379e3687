"""Putting a server together: model, warehouses, catalog, engine, login and log."""

from __future__ import annotations

import asyncio
import datetime as dt
import gc
import logging
import os
import tempfile
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from connectors.base import Connector
from connectors.registry import open_connector
from proxy.audit.opening import open_trail
from proxy.auth.certificate import self_signed
from proxy.auth.opening import open_authenticator
from proxy.auth.secret import login_secret
from proxy.auth.tls import TlsContext, load_tls
from proxy.caching import open_cache
from proxy.catalog import Catalog, CatalogOptions
from proxy.catalog.profiles import ProfileCatalogs
from proxy.catalog.quota import PrivateQuota
from proxy.config import Config
from proxy.config.models import DuckdbSource, options_of
from proxy.configured_functions import FunctionsError, configured_functions
from proxy.engine import Engine
from proxy.engine_observer import EngineObserver
from proxy.generation import Generation
from proxy.observability.log import open_log
from proxy.observability.metrics import Metrics
from proxy.parse_worker import ParseWorker
from proxy.rollups.opening import Rollups, open_rollups
from proxy.rollups.stores import rollup_folder
from proxy.scopes import Decide, Scopes, ScopeSource
from proxy.server import OnReady, Parts, Server, StopSignals, open_admin, run_until_stopped
from proxy.tenants import NO_MODEL, TenantScopes, has_tenant_models, load_tenant_models
from proxy.version import VERSION
from semantic.compiler.compiler import Compiler
from semantic.compiler.guard import GuardLimits
from semantic.compiler.probe import probe_statements
from semantic.compiler.publish import publish
from semantic.model.functions import ConfiguredFunction
from semantic.model.loader import load_model
from semantic.model.model import Model
from semantic.model.published import PublishedModel
from semantic.security.access import Access, RowTenancy, decide
from semantic.security.context import SecurityContext
from semantic.security.visibility import profile_of

logger = logging.getLogger("cubewire.startup")

STATEMENT_BYTES = 16_384
"""What a compiled statement of ordinary length takes in the statement cache."""

MEMORY_PERCENT = 50
"""What all workers' DuckDB may take of the machine, where nothing is configured: it spills beyond.

DuckDB's own 80 % is for a process that has the machine to itself.
"""


class StartupError(Exception):
    """The server cannot start; ``str`` is a whole report for the terminal."""


def read_model(config: Config, environment: Mapping[str, str]) -> Model:
    """Load the model folder. Raises StartupError with every problem found."""
    report = load_model(config.models, environment)
    if report.model is None:
        raise StartupError(report.render_text())
    return report.model


def read_models(config: Config, environment: Mapping[str, str]) -> tuple[Model, dict[str, Model]]:
    """The model, and those of tenants. Raises StartupError with every problem found."""
    if not has_tenant_models(config):
        return read_model(config, environment), {}
    tenants, problems = load_tenant_models(config, environment)
    if problems:
        raise StartupError("\n".join(problems))
    return NO_MODEL, tenants


async def start_connectors(
    config: Config, models: Iterable[Model], stack: AsyncExitStack
) -> dict[str, Connector]:
    """Open the warehouses that the models' cubes name."""
    connectors: dict[str, Connector] = {}
    for name in sorted({cube.data_source for model in models for cube in model.cubes}):
        source = config.data_sources.get(name)
        if source is None:
            known = ", ".join(config.data_sources) or "none"
            raise StartupError(
                f"the model reads data source {name!r}, which is not configured (known: {known})"
            )
        options = options_of(source)
        if options.get("memory_limit") == "":
            options["memory_limit"] = f"{max(1, MEMORY_PERCENT // config.server.workers)}%"
        if isinstance(source, DuckdbSource):
            folder = str(rollup_folder(config, name))
            options["allowed_directories"] = [*source.allowed_directories, folder]
        connector = open_connector(source.type, options)
        await connector.start()
        stack.push_async_callback(connector.close)
        connectors[name] = connector
    return connectors


async def publish_model(model: Model, connectors: Mapping[str, Connector]) -> PublishedModel:
    """Ask the warehouses for the types of all members (rule R4)."""
    dialects = {name: connector.dialect for name, connector in connectors.items()}
    probed: dict[str, Sequence[tuple[str, str, int]]] = {}
    for name, probe in probe_statements(model, dialects).items():
        columns = await connectors[probe.data_source].probe(probe.sql)
        probed[name] = [(column.name, column.type_name, column.modifier) for column in columns]
    return publish(model, probed, dialects)


async def make_generation(
    connectors: Mapping[str, Connector], functions: tuple[ConfiguredFunction, ...], model: Model
) -> Generation:
    """A model as those know it who may see all of it."""
    published = replace(await publish_model(model, connectors), functions=functions)
    dialects = {name: connector.dialect for name, connector in connectors.items()}
    return Generation.of(model, published, Compiler(model, published, dialects))


@asynccontextmanager
async def open_model(
    config: Config, environment: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[Generation, dict[str, Connector]]]:
    """The configured model and its warehouses, without catalog and server.

    Raises StartupError where the model has problems, and the parts' own errors.
    """
    async with AsyncExitStack() as stack:
        model, _ = await asyncio.to_thread(read_models, config, environment or os.environ)
        connectors = await start_connectors(config, (model,), stack)
        yield await make_generation(connectors, _functions(config), model), connectors


@asynccontextmanager
async def open_model_rollups(
    config: Config, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Rollups]:
    """The configured model's pre-aggregations, without a server around them.

    Raises StartupError where the model has problems, and the parts' own errors.
    """
    async with (
        open_model(config, environment) as (generation, connectors),
        AsyncExitStack() as stack,
    ):
        yield await open_rollups(config, generation.compiler, connectors, stack)


@contextmanager
def _no_collecting() -> Iterator[ExitStack]:
    """Keep the garbage collector from going again and again through a model that only grows.

    It takes half of the time of a large one. Closing what is given ends it early.
    """
    with ExitStack() as stack:
        if gc.isenabled():
            gc.disable()
            stack.callback(gc.enable)
        yield stack


def catalog_options(config: Config) -> CatalogOptions:
    """The catalog's part of the configuration."""
    return CatalogOptions(
        dsn=config.catalog.dsn,
        directory=config.catalog.directory,
        template_directory=config.catalog.template_directory,
        binaries=config.catalog.postgres,
        database=config.database,
        run_as=config.catalog.run_as,
        backends=config.catalog.max_backends,
        private_backends=config.temporary_tables.max_sessions,
        lease_timeout=config.catalog.lease_timeout,
        deadline=config.catalog.deadline,
        memory_limit_mb=config.catalog.memory_limit_mb,
    )


def guard_limits(config: Config) -> GuardLimits:
    """What a statement's text may cost."""
    parser = config.parser
    return GuardLimits(
        inline_length=parser.inline_sql_bytes,
        max_length=parser.max_sql_bytes,
        max_depth=parser.max_depth,
    )


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


async def _tenant_scopes(
    generate: Callable[[Model], Awaitable[Generation]],
    profiles: ProfileCatalogs,
    decision: Decide,
    model: Model,
) -> Scopes:
    generation = await generate(model)
    catalog = profiles.of(profile_of(generation.published), generation.published)
    return Scopes(generation, catalog, profiles, decision)


def check_catalog(config: Config, generation: Generation, decision: Decide) -> None:
    """Raises StartupError where the configured catalog cannot hide what the model hides.

    An external catalog is one database, which shows one set of relations to everybody; databases
    beside it would go by other names than the one that clients connect to.
    """
    if config.catalog.dsn is None:
        return
    nobody = SecurityContext.of("")
    if has_tenant_models(config) or not decision(generation, nobody).is_open:
        raise StartupError(
            "catalog.dsn cannot be used with access policies, nor with tenants who have a model "
            "each: an external catalog shows the same relations to everybody.\n"
            "Leave out catalog.dsn, so that each group of users gets a catalog of its own."
        )


@asynccontextmanager
async def open_engine(
    config: Config,
    environment: Mapping[str, str] | None = None,
    observer: EngineObserver | None = None,
) -> AsyncIterator[Engine]:
    """An engine over the configured model, warehouses and catalog.

    Raises StartupError where the model has problems, and the parts' own errors.
    """
    async with AsyncExitStack() as stack:
        collecting = stack.enter_context(_no_collecting())
        options = catalog_options(config)
        quota = PrivateQuota(options.private_backends)
        catalog = Catalog(options, quota)
        starting = asyncio.create_task(catalog.start(), name="catalog start")
        stack.push_async_callback(catalog.close)
        try:
            model, tenants = await asyncio.to_thread(read_models, config, environment or os.environ)
            connectors = await start_connectors(config, (model, *tenants.values()), stack)
            generate = partial(make_generation, connectors, _functions(config))
            generation = await generate(model)
        finally:
            await asyncio.gather(starting, return_exceptions=True)
        starting.result()
        await catalog.deploy(generation.published)
        rollups = await open_rollups(config, generation.compiler, connectors, stack)
        await rollups.service.start()
        limits = guard_limits(config)
        collecting.close()
        worker = ParseWorker(limits, config.parser.parse_deadline)
        stack.push_async_callback(worker.close)
        profiles = ProfileCatalogs(options, config.catalog.max_profiles_live, quota)
        stack.push_async_callback(profiles.close)
        decision = decider(config, generation)
        observer = observer or Metrics(VERSION)
        cached, invalidation = await open_cache(
            config.cache,
            (model, *tenants.values()),
            connectors,
            observer.result_cache,
            lambda: login_secret(config.state_directory),
            stack,
        )
        scopes: ScopeSource = Scopes(generation, catalog, profiles, decision)
        if tenants:
            make = partial(_tenant_scopes, generate, profiles, decision)
            scopes = TenantScopes(generation, tenants, make)
        yield Engine(
            scopes,
            catalog,
            connectors,
            worker,
            limits,
            config.parser.cached_statements * STATEMENT_BYTES,
            observer,
            cached,
            invalidation,
            rollups,
        )


def _functions(config: Config) -> tuple[ConfiguredFunction, ...]:
    try:
        return configured_functions(config)
    except FunctionsError as error:
        raise StartupError(str(error)) from None


def open_tls(config: Config) -> TlsContext | None:
    """The configured certificate, or one of our own making; None where TLS is off."""
    tls = config.tls
    if tls.mode == "off":
        return None
    certificate, key = tls.certificate, tls.key
    if certificate is None or key is None:
        names = ("localhost", "127.0.0.1", "::1")
        certificate, key = self_signed(
            config.state_directory / "tls", names, dt.datetime.now(dt.UTC)
        )
    return load_tls(certificate, key, client_ca=tls.client_ca, client_crl=tls.client_crl)


@asynccontextmanager
async def refreshing(config: Config, rollups: Rollups, metrics: Metrics) -> AsyncIterator[None]:
    """Keep pre-aggregations fresh meanwhile, where this process is to."""
    if config.rollups.refresh == "off" or not rollups.builder.stores.all():
        yield
        return
    refresher = rollups.refresher(lambda outcome: metrics.rollup_build(outcome.status))
    task = asyncio.create_task(refresher.run(), name="refresher")
    task.add_done_callback(_report_end)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def _report_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        logger.error("pre-aggregations are refreshed no more", exc_info=task.exception())


async def serve(
    config: Config, *, on_ready: OnReady, worker: int = 0, run_directory: Path | None = None
) -> None:
    """Serve until SIGTERM.

    Args:
        config: everything.
        on_ready: called with the DSN once clients are taken.
        worker: this process's number among those that share the port, from 0.
        run_directory: where the workers find each other; None where there is one alone.
    """
    signals = StopSignals()
    log = open_log(config.log)
    metrics = Metrics(VERSION)
    several = config.server.workers > 1
    trail = open_trail(config.audit, config.state_directory, f"worker-{worker}", several=several)
    try:
        with tempfile.TemporaryDirectory(prefix="cubewire-") as own_directory:
            secret = login_secret(config.state_directory)
            async with (
                open_authenticator(config.auth, secret) as authenticator,
                open_engine(config, observer=metrics) as engine,
            ):
                parts = Parts(
                    config,
                    engine,
                    authenticator,
                    open_tls(config),
                    log,
                    metrics,
                    trail,
                    run_directory or Path(own_directory),
                    worker,
                )
                server = Server(parts)
                host, port = await server.start()
                admin = await open_admin(config, server, metrics, worker)
                name = f"[{host}]" if ":" in host else host
                on_ready(f"postgresql://{name}:{port}/{config.database}")
                async with refreshing(config, engine.rollups, metrics):
                    await run_until_stopped(server, signals, config.server.shutdown_grace)
                if admin is not None:
                    await admin.close()
    except asyncio.CancelledError:
        if not signals.asked.is_set():
            raise
    finally:
        trail.close()
        log.close()
