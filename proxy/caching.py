"""Puts the result cache together, as configured, over a model and its warehouses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack

from connectors.base import Connector
from proxy.cache.freshness import TimesToLive, cube_freshness
from proxy.cache.generations import Generations
from proxy.cache.memory import MemoryStore
from proxy.cache.results import ResultCache
from proxy.cache.versions import DataVersions
from proxy.config.caching import CacheConfig
from proxy.cube_rows import CachedRows
from semantic.model.model import Model

REFRESH_KEY_SECONDS = 30.0
"""What a refresh key's query may take."""
MOST_ROWS = 1000
"""Of a refresh key's answer that are looked at."""


def open_cache(
    config: CacheConfig,
    model: Model,
    connectors: Mapping[str, Connector],
    observe: Callable[[str], None],
    stack: AsyncExitStack,
) -> CachedRows:
    """The cache; what it runs in the background is stopped with the stack.

    Raises ScheduleError for a refresh key that cannot be read.
    """

    async def ask(data_source: str, sql: str) -> str:
        return await refresh_key_answer(connectors[data_source], sql)

    times = TimesToLive(config.ttl, config.by_cube, config.by_source, config.by_role)
    versions = DataVersions(
        cube_freshness(model, times, config.refresh_every), ask, config.stale_while_revalidate
    )
    stack.push_async_callback(versions.close)
    results = None
    if config.enabled:
        memory = MemoryStore(config.memory_bytes)
        results = ResultCache(memory, config.max_entry_bytes, config.stale_while_revalidate)
        stack.push_async_callback(results.close)
    return CachedRows(results, versions, Generations(), times, observe)


async def refresh_key_answer(connector: Connector, sql: str) -> str:
    """Run a refresh key's query; its rows as text that differs where they differ."""
    stream = await connector.execute(sql, timeout=REFRESH_KEY_SECONDS)
    rows: list[object] = []
    try:
        async with asyncio.timeout(REFRESH_KEY_SECONDS):
            async for batch in stream:
                rows += batch.to_pylist()
                if len(rows) >= MOST_ROWS:
                    break
    finally:
        await stream.close()
    return repr(rows[:MOST_ROWS])
