"""Our engine inside this process, for what cannot be seen from a client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from proxy.config import load_config
from proxy.engine import Engine
from proxy.queries import Caller
from proxy.startup import open_engine
from semantic.compiler.api import SessionSettings
from tests.bench.targets import DATABASE, USER, Field


@asynccontextmanager
async def open_bench_engine(field: Field) -> AsyncIterator[Engine]:
    """An engine with the server's own configuration."""
    async with open_engine(load_config(field.config, {}, {})) as engine:
        yield engine


def caller() -> Caller:
    """A session that has set nothing."""
    return Caller(USER, 0, {}, SessionSettings(USER, DATABASE))
