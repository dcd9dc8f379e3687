"""Putting a server together: model, warehouses, catalog, engine, login and log."""

from __future__ import annotations

import asyncio
import gc
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from connectors.base import Connector
from connectors.stage import Stage
from proxy.administration import open_admin
from proxy.assembly import (
    decider,
    make_generation,
    operators,
    read_functions,
    read_models,
    stage_options,
    start_connectors,
    tenant_scopes,
)
from proxy.audit.opening import open_trail
from proxy.auth.opening import open_authenticator
from proxy.auth.secret import login_secret
from proxy.caching import open_cache
from proxy.cancel_orders import cancels_shared
from proxy.catalog import Catalog, CatalogOptions
from proxy.catalog.profiles import ProfileCatalogs
from proxy.catalog.quota import PrivateQuota
from proxy.certificates import CertificateFiles, certificate_followed, open_tls
from proxy.config import Config
from proxy.engine import Engine
from proxy.engine_observer import EngineObserver
from proxy.generation import Generation
from proxy.hosts.identity import this_process
from proxy.hosts.opening import hosts_shared
from proxy.kill_orders import open_kill_switch
from proxy.memory import memory_given_back
from proxy.observability.log import open_log
from proxy.observability.metrics import Metrics
from proxy.observability.spans import open_traces
from proxy.parse_worker import ParseWorker
from proxy.reload.loading import ModelReload
from proxy.reload.serving import open_watch, reloading
from proxy.rollups.opening import Rollups, open_rollups
from proxy.scopes import Scopes, ScopeSource
from proxy.server import Parts, Server
from proxy.stopping import StopSignals, run_until_stopped
from proxy.tenants import TenantScopes
from proxy.version import VERSION
from proxy.warehouse.opening import open_sources
from proxy.warehouses import Warehouses
from semantic.compiler.guard import GuardLimits
from semantic.model.model import Model

STATEMENT_BYTES = 16_384
"""What a compiled statement of ordinary length takes in the statement cache."""


OnReady = Callable[[str], None]


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
        yield await make_generation(connectors, read_functions(config), model), connectors


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
        yield await open_rollups(config, generation, connectors, stack)


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


@asynccontextmanager
async def open_engine(
    config: Config,
    environment: Mapping[str, str] | None = None,
    observer: EngineObserver | None = None,
) -> AsyncIterator[Engine]:
    """An engine over the configured model, warehouses and catalog.

    Raises StartupError where the model has problems, and the parts' own errors.
    """
    async with open_reloadable(config, environment, observer) as loader:
        yield loader.engine


@asynccontextmanager
async def open_reloadable(
    config: Config,
    environment: Mapping[str, str] | None = None,
    observer: EngineObserver | None = None,
) -> AsyncIterator[ModelReload]:
    """The same, and what replaces its model."""
    environment = environment or os.environ
    async with AsyncExitStack() as stack:
        collecting = stack.enter_context(_no_collecting())
        options = catalog_options(config)
        quota = PrivateQuota(options.private_backends)
        catalog = Catalog(options, quota)
        starting = asyncio.create_task(catalog.start(), name="catalog start")
        stack.push_async_callback(catalog.close)
        try:
            model, tenants = await asyncio.to_thread(read_models, config, environment)
            models = (model, *tenants.values())
            connectors = await start_connectors(config, models, stack)
            generate = partial(make_generation, connectors, read_functions(config))
            generation = await generate(model)
        finally:
            await asyncio.gather(starting, return_exceptions=True)
        starting.result()
        await catalog.deploy(generation.published)
        rollups = await open_rollups(config, generation, connectors, stack)
        await rollups.service.start()
        collecting.close()
        profiles = ProfileCatalogs(options, config.catalog.max_profiles_live, quota)
        stack.push_async_callback(profiles.close)
        decision, operates = decider(config, generation), operators(config)
        scopes: ScopeSource = Scopes(generation, catalog, profiles, decision, operates)
        if tenants:
            make = partial(tenant_scopes, generate, profiles, decision, operates)
            scopes = TenantScopes(generation, tenants, make)
        parts = ModelParts(scopes, catalog, connectors, rollups, models)
        engine = await _engine(config, parts, observer or Metrics(VERSION), stack)
        loader = ModelReload(config, environment, engine, profiles, models, stack)
        stack.push_async_callback(loader.close)
        yield loader


@dataclass(frozen=True, slots=True, eq=False)
class ModelParts:
    """What an engine is made of that depends on the model."""

    scopes: ScopeSource
    catalog: Catalog
    connectors: dict[str, Connector]
    rollups: Rollups
    models: tuple[Model, ...]


async def _engine(
    config: Config, parts: ModelParts, observer: EngineObserver, stack: AsyncExitStack
) -> Engine:
    limits = guard_limits(config)
    worker = ParseWorker(limits, config.parser.parse_deadline)
    stack.push_async_callback(worker.close)
    stage = Stage(stage_options(config))
    stack.push_async_callback(stage.close)
    cached, invalidation = await open_cache(
        config.cache,
        parts.models,
        parts.connectors,
        observer.result_cache,
        lambda: login_secret(config.state_directory),
        stack,
    )
    sources = open_sources(config, parts.connectors, observer)
    stack.push_async_callback(sources.close)
    return Engine(
        parts.scopes,
        parts.catalog,
        Warehouses(parts.connectors, sources, stage, observer),
        worker,
        limits,
        config.parser.cached_statements * STATEMENT_BYTES,
        observer,
        cached,
        invalidation,
        parts.rollups,
    )


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
    metrics = Metrics(VERSION, config.metrics.label_values)
    several = config.server.workers > 1
    traces = open_traces(config.tracing, VERSION)
    trail = open_trail(config.audit, config.state_directory, f"worker-{worker}", several=several)
    try:
        with tempfile.TemporaryDirectory(prefix="cubewire-") as own_directory:
            directory = run_directory or Path(own_directory)
            process = this_process(config, directory, worker)
            secret = login_secret(config.state_directory)
            watch = await asyncio.to_thread(open_watch, config)
            certificate = CertificateFiles.of(config)
            async with (
                open_authenticator(config.auth, secret) as authenticator,
                open_reloadable(config, observer=metrics) as loader,
                open_kill_switch(config.cache.redis, secret) as kill_switch,
            ):
                parts = Parts(
                    config,
                    loader.engine,
                    authenticator,
                    open_tls(config),
                    log,
                    metrics,
                    trail,
                    kill_switch,
                    process,
                    directory,
                    traces,
                )
                server = Server(parts)
                host, port = await server.start()
                name = f"[{host}]" if ":" in host else host
                async with (
                    cancels_shared(config.cache.redis, secret, server.cancels),
                    hosts_shared(
                        config.cache.redis, secret, process, server.rows.of, server.end
                    ) as hosts,
                    reloading(parts, server, loader, watch),
                    certificate_followed(server, certificate, partial(open_tls, config)),
                    memory_given_back(),
                ):
                    server.join(hosts)
                    admin = await open_admin(config, server, parts)
                    on_ready(f"postgresql://{name}:{port}/{config.database}")
                    await run_until_stopped(server.stop, signals, config.server.shutdown_grace)
                if admin is not None:
                    await admin.close()
    except asyncio.CancelledError:
        if not signals.asked.is_set():
            raise
    finally:
        if traces is not None:
            traces.close()
        trail.close()
        log.close()
