"""Puts the result cache together, as configured, over a model and its warehouses."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial

from connectors.base import Connector, Notifier, Replicated
from proxy.cache.breaker import Breaker
from proxy.cache.freshness import TimesToLive, cube_freshness
from proxy.cache.generations import ALL, Generations
from proxy.cache.invalidation import Forget, Invalidation, SharedInvalidation
from proxy.cache.listening import follow
from proxy.cache.marks import Marks
from proxy.cache.memory import MemoryStore
from proxy.cache.redis_client import open_client
from proxy.cache.results import ResultCache
from proxy.cache.shared import RedisResults
from proxy.cache.versions import DataVersions
from proxy.config.caching import CacheConfig
from proxy.cube_rows import CachedRows
from semantic.model.model import Model
from semantic.model.relations import Cube

REFRESH_KEY_SECONDS = 30.0
"""What a refresh key's query may take."""
MOST_ROWS = 1000
"""Of a refresh key's answer that are looked at."""


class CacheSettingsError(ValueError):
    """The section ``cache`` names something that does not exist."""


async def open_cache(
    config: CacheConfig,
    models: Sequence[Model],
    connectors: Mapping[str, Connector],
    observe: Callable[[str], None],
    secret: Callable[[], bytes],
    stack: AsyncExitStack,
) -> tuple[CachedRows, Invalidation]:
    """The cache, and what makes its results invalid; both are stopped with the stack.

    Args:
        config: its part of the configuration.
        models: whose cubes' results are kept.
        connectors: by data source.
        observe: told where the rows of each statement came from.
        secret: of this installation; asked for where none of the cache's own is configured.
        stack: what is opened is closed with it.

    Raises CacheSettingsError, and ScheduleError for a refresh key that cannot be read.
    """
    times = times_of(config)
    versions = data_versions(config, models, connectors)
    results = None
    if config.enabled:
        memory = MemoryStore(config.memory_bytes)
        results = ResultCache(memory, config.max_entry_bytes, config.stale_while_revalidate)
        stack.push_async_callback(results.close)
    cached = CachedRows(results, versions, Generations(), times, observe)
    stack.push_async_callback(cached.close)

    def forget(cubes: frozenset[str] | None) -> None:
        # What is asked anew must not be answered by a copy that lacks what has changed.
        for connector in connectors.values():
            _has_changed(connector)
        cached.forget(cubes)

    invalidation = Invalidation(cached.generations, forget)
    if results is not None and config.redis.url is not None:
        invalidation = _shared(config, secret, cached, results, forget)
    cached.clock_set_back = partial(invalidation.soon, (ALL,))
    stack.push_async_callback(invalidation.close)
    await invalidation.start()
    for source, channel in config.listen.items():
        connector = connectors[source]
        assert isinstance(connector, Notifier)
        cubes_now = partial(cached.cubes_of, source)
        following = follow(connector.notifications(channel), cubes_now, invalidation)
        task = asyncio.create_task(following, name=f"notifications of {source}")
        stack.push_async_callback(_stop, task)
    return cached, invalidation


def times_of(config: CacheConfig) -> TimesToLive:
    """How long results may live, as configured."""
    return TimesToLive(config.ttl, config.by_cube, config.by_source, config.by_role)


def data_versions(
    config: CacheConfig, models: Sequence[Model], connectors: Mapping[str, Connector]
) -> dict[str, DataVersions]:
    """What tells how fresh the data of models is, by the models' versions.

    Raises CacheSettingsError, and ScheduleError for a refresh key that cannot be read.
    """
    last: dict[tuple[str, str], str] = {}

    async def ask(data_source: str, sql: str) -> str:
        answer = await refresh_key_answer(connectors[data_source], sql)
        if last.get((data_source, sql)) != answer:
            last[data_source, sql] = answer
            _has_changed(connectors[data_source])
        return answer

    _check(config, [cube for model in models for cube in model.cubes], connectors)
    times, stale = times_of(config), config.stale_while_revalidate
    return {
        model.version: DataVersions(cube_freshness(model, times, config.refresh_every), ask, stale)
        for model in models
    }


def _has_changed(connector: Connector) -> None:
    """The data of a warehouse are others now, which its copies may not have heard of yet."""
    if isinstance(connector, Replicated):
        connector.written()


def _check(config: CacheConfig, cubes: Sequence[Cube], connectors: Mapping[str, Connector]) -> None:
    """Raises CacheSettingsError for names that mean nothing."""
    for name in config.by_cube:
        if all(cube.name != name for cube in cubes):
            raise CacheSettingsError(f"cache.by_cube: the model has no cube {name!r}")
    for name in (*config.by_source, *config.listen):
        if name not in connectors:
            raise CacheSettingsError(f"cache: the model reads no data source {name!r}")
    for name in config.listen:
        if not isinstance(connectors[name], Notifier):
            raise CacheSettingsError(f"cache.listen: data source {name!r} has no notifications")


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _shared(
    config: CacheConfig,
    installation: Callable[[], bytes],
    cached: CachedRows,
    results: ResultCache,
    forget: Forget,
) -> SharedInvalidation:
    redis = config.redis
    assert redis.url is not None
    url = redis.url.get_secret_value()
    client = open_client(url, redis.timeout)
    channel = open_client(url, redis.timeout, waits=True)
    breaker = Breaker(redis.timeout)
    prefix = redis.prefix.encode()
    shared = None if redis.secret is None else redis.secret.get_secret_value().encode()
    own = installation() if shared is None else shared
    results.shared = RedisResults(
        client,
        breaker,
        cached.generations,
        prefix,
        hmac.digest(own, b"cached results", "sha256"),
        redis.max_entry_bytes,
        redis.lock_wait,
        config.stale_while_revalidate,
    )
    return SharedInvalidation(
        cached.generations,
        forget,
        client,
        breaker,
        Marks(
            prefix + b":marks",
            None if shared is None else hmac.digest(shared, b"invalidation marks", "sha256"),
        ),
        cached.cubes,
        prefix,
        channel,
    )


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
