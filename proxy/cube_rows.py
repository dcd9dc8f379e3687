"""Rows of compiled queries: whether they may be cached, and under what key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from connectors.errors import stop_error
from proxy.cache.clock_steps import ClockSteps
from proxy.cache.freshness import FOREVER, TimesToLive
from proxy.cache.generations import Generations
from proxy.cache.keys import (
    UncacheableValueError,
    digest,
    form_of,
    is_volatile,
    statement_key,
)
from proxy.cache.results import Found, NotCachedError, Request, ResultCache, Run
from proxy.cache.versions import DataVersion, DataVersions
from proxy.errors import SessionError
from proxy.queries import Caller
from proxy.rows.encoder import RowEncoder
from proxy.rows.settings import TextSettings
from proxy.warehouses import Bound
from semantic.compiler.api import CompiledStatement

_volatile = lru_cache(maxsize=4096)(is_volatile)


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """A compiled statement with its values, about to run.

    Attributes:
        bound: the statement, and what is bound.
        formats: of its columns.
        settings: how values are written.
        encoder: writes its batches; None where the warehouse sends rows that are written already.
        run: runs it.
    """

    bound: Bound
    formats: Sequence[int]
    settings: TextSettings
    encoder: RowEncoder | None
    run: Run


@dataclass(slots=True, eq=False)
class CachedRows:
    """The result cache in front of the warehouses.

    Attributes:
        results: None where the cache is off.
        versions: of the data of each model, by the model's version; the last ones' too.
        current: those of the models in service.
        observe: told where the rows of each statement came from.
        clock_set_back: told that moments come again that have been.
        epoch: replaced by another object whenever results have become invalid before their time.
    """

    results: ResultCache | None
    versions: Mapping[str, DataVersions]
    generations: Generations
    times: TimesToLive
    observe: Callable[[str], None]
    clock_set_back: Callable[[], None] = field(default=lambda: None)
    epoch: object = field(default_factory=object)
    _steps: ClockSteps = field(default_factory=ClockSteps)
    current: Mapping[str, DataVersions] = field(init=False)

    def __post_init__(self) -> None:
        self.current = self.versions

    def serve(self, versions: Mapping[str, DataVersions]) -> None:
        """Other models are served from now on; the last ones are still being answered from."""
        self.versions = {**self.current, **versions}
        self.current = versions

    def cubes_of(self, data_source: str) -> list[str]:
        """The cubes that are read from a data source."""
        return [
            name
            for versions in self.current.values()
            for name, cube in versions.cubes.items()
            if cube.data_source == data_source
        ]

    def cubes(self) -> frozenset[str]:
        """All cubes of the models in service, and of the last ones."""
        return frozenset(name for versions in self.versions.values() for name in versions.cubes)

    async def close(self) -> None:
        """Stop what is being asked."""
        for versions in self.versions.values():
            await versions.close()

    def knows(self, cube: str) -> bool:
        """Whether a model has a cube of that name."""
        return any(cube in versions.cubes for versions in self.current.values())

    def forget(self, cubes: frozenset[str] | None) -> None:
        """Results of these cubes, or of all (None), have become invalid."""
        self.epoch = object()
        for versions in self.versions.values():
            versions.forget()
        if self.results is not None:
            self.results.memory.discard(cubes)

    async def open(self, columns: Columns, caller: Caller) -> Found:
        """The rows of a statement.

        Raises 55000 where the session takes cached results only, and whatever running it raises.
        """
        found = await self._open(columns, caller)
        self.observe(found.outcome)
        return found

    async def _open(self, columns: Columns, caller: Caller) -> Found:
        results, mode = self.results, caller.cache
        if results is None or mode == "off":
            return await self._bypass(columns, caller)
        request = await self._request(columns, caller)
        if request is None:
            return await self._bypass(columns, caller)
        try:
            return await results.open(request, mode)
        except NotCachedError:
            raise _not_cached("no result of this statement is cached") from None

    async def _bypass(self, columns: Columns, caller: Caller) -> Found:
        if caller.cache == "only":
            raise _not_cached("results of this statement are not cached")
        return Found(await columns.run(None), "bypass")

    async def version(self, compiled: CompiledStatement, caller: Caller) -> DataVersion | None:
        """The state of the data that a statement reads; None where it is not to be cached."""
        if self._steps.back():
            self.clock_set_back()
        texts = (compiled.sql, *(fetch.sql for fetch in compiled.fetches))
        volatile = compiled.volatile or any(_volatile(text) for text in texts)
        if volatile or compiled.temporary or not compiled.cubes:
            return None
        limit = FOREVER
        if self.times.by_role:
            limit = self.times.of_caller(caller.security.roles)
            if limit <= 0:
                return None
        versions = self.versions.get(caller.scope.generation.model.version)
        version = None if versions is None else await versions.of(compiled.cubes)
        if version is None:
            return None
        # A pre-aggregation that was built again may have kept its name.
        stored = repr((compiled.rollups, compiled.rollups_built_at)).encode()
        token = version.token + stored if compiled.rollups else version.token
        return DataVersion(token, min(version.lifetime, limit), version.until)

    async def _request(self, columns: Columns, caller: Caller) -> Request | None:
        compiled = columns.bound.compiled
        try:
            async with asyncio.timeout(caller.statement_timeout):
                version = await self.version(compiled, caller)
        except TimeoutError:  # of a refresh key, which goes on to be asked
            raise stop_error("timeout") from None
        if version is None:
            return None
        try:
            # What is said of errors differs where policies apply, and a run may be shared.
            token = version.token + bytes([compiled.governed])
            statement = _key(columns.bound, columns.settings.time_zone, token)
        except UncacheableValueError:
            return None
        types = [column.type.name for column in compiled.columns]
        form = form_of(types, columns.formats, columns.settings)
        generations = self.generations
        # Rows that the warehouse has written itself are shared in the form in which it did.
        shared = (statement, generations.shared_token(compiled.cubes))
        return Request(
            key=digest((statement, generations.token(compiled.cubes))),
            shared_key=digest(shared if columns.encoder is not None else (*shared, form)),
            form=form,
            cubes=compiled.cubes,
            lifetime=version.lifetime,
            until=version.until,
            run=columns.run,
            encoder=columns.encoder,
            timeout=caller.statement_timeout,
        )


def _key(bound: Bound, time_zone: str, versions: bytes) -> bytes:
    """Of a statement and of all that is fetched for it."""
    compiled = bound.compiled
    fetched = [
        statement_key(fetch.data_source, fetch.sql, parameters, time_zone, "", b"")
        for fetch, parameters in zip(compiled.fetches, bound.fetched, strict=True)
    ]
    source = compiled.data_source
    key = statement_key(source, compiled.sql, bound.parameters, time_zone, "", versions)
    return digest((key, *fetched)) if fetched else key


def _not_cached(message: str) -> SessionError:
    return SessionError(
        "55000", message, hint="SET cubewire.cache = 'on' lets the warehouse be asked."
    )
