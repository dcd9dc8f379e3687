"""Our engine inside this process, for what cannot be seen from a client."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from proxy.config import load_config
from proxy.engine import Engine
from proxy.queries import Caller
from proxy.server import spare_what_stays
from proxy.startup import open_engine
from semantic.compiler.api import SessionSettings
from semantic.security.context import SecurityContext
from tests.bench.targets import DATABASE, USER, Field

ANYBODY = SecurityContext.of(USER)


@asynccontextmanager
async def open_bench_engine(field: Field) -> AsyncIterator[Engine]:
    """An engine with the server's own configuration and its way with garbage."""
    async with open_engine_of(field.config) as engine:
        yield engine


@asynccontextmanager
async def open_engine_of(config: Path) -> AsyncIterator[Engine]:
    """An engine with the configuration of a file."""
    thresholds = gc.get_threshold()
    async with open_engine(load_config(config, {}, {})) as engine:
        spare_what_stays()
        try:
            yield engine
        finally:
            gc.unfreeze()
            gc.set_threshold(*thresholds)


async def caller(engine: Engine, security: SecurityContext = ANYBODY) -> Caller:
    """A session that has set nothing."""
    scope = await engine.scopes.open(security)
    settings = SessionSettings(USER, DATABASE, access=scope.access)
    return Caller(USER, 0, {}, settings, security, scope)
