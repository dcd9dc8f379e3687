"""What the catalog PostgreSQL is asked: analyses, rows, settings.

It answers on pooled backends, or on the session's own where that has temporary tables.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Protocol

from proxy.catalog import Catalog
from proxy.catalog.backend import CatalogBackend, CatalogResult
from proxy.catalog.errors import CatalogError
from proxy.catalog.results import CatalogAnalysis
from proxy.catalog.system_tables import Snapshot
from proxy.errors import SessionError, error_fields
from proxy.hints import add_hint
from proxy.observability.stages import stage
from proxy.queries import Caller, CatalogQuery, OwnBackend, relayed_field
from proxy.served import ModelChangedError, ServedScopes
from proxy.sources import CatalogSource, own_source
from proxy.wire.backend import DataRow

NO_ROWS = Snapshot({})

SettingsObserver = Callable[[dict[str, str], dict[str, str]], None]
"""Told a backend's settings inside the transaction of a statement, and those that outlive it."""


class SystemRows(Protocol):
    """Who knows the rows of the server's own tables."""

    async def snapshot(self, sql: str) -> Snapshot:
        """The rows of those whose names stand in a statement."""


class CatalogQueries:
    """Asks the catalog of whoever asks.

    Attributes:
        scopes: what exists for each caller, in the model in service.
        catalog: of those who may see everything, which runs always.
        system_tables: who knows the rows of the server's own tables.
    """

    scopes: ServedScopes
    catalog: Catalog
    system_tables: SystemRows | None = None

    async def _system_rows(self, sql: str, caller: Caller) -> Snapshot:
        """The rows of the server's own tables that a statement names, for who may see them."""
        tables = self.system_tables
        if tables is None or not caller.scope.generation.published.system_tables:
            return NO_ROWS
        return await tables.snapshot(sql)

    async def check_current(self, caller: Caller) -> None:
        """Raises ModelChangedError where the catalog is no longer what the caller's scope was.

        A profile's catalog always is: it is never altered.
        """
        if self.is_overtaken(caller):
            await self.scopes.settled()
            if self.is_overtaken(caller):
                raise ModelChangedError

    def is_overtaken(self, caller: Caller) -> bool:
        """Whether the caller's catalog shows another model by now, or is being altered to."""
        return caller.scope.catalog is self.catalog and not self.scopes.holds(caller.scope)

    async def informed(self, caller: Caller, sql: str) -> Caller:
        """The caller with the temporary tables that a statement may name."""
        own = caller.own
        if own is None or not own.concerns(sql):
            return caller
        tables = await own.named_in(sql)
        semantic = replace(caller.semantic, temporary_tables=tables, temporary_schema=own.schema)
        return replace(caller, semantic=semantic)

    async def analyse(
        self,
        sql: str,
        parameter_oids: Sequence[int],
        caller: Caller,
        position: Callable[[int], int] | None = None,
    ) -> CatalogAnalysis:
        """What PostgreSQL says of a statement, where the session's temporary tables are known.

        Raises ModelChangedError where it may have spoken of another model than the caller's.
        """
        await self.check_current(caller)
        try:
            with stage("analysis"):
                answer = await self._asked(sql, parameter_oids, caller, position)
        except CatalogError:
            await self.check_current(caller)
            raise
        await self.check_current(caller)
        return answer

    async def _asked(
        self,
        sql: str,
        parameter_oids: Sequence[int],
        caller: Caller,
        position: Callable[[int], int] | None,
    ) -> CatalogAnalysis:
        own = caller.own
        if own is None or not own.concerns(sql):
            return await caller.scope.catalog.analyse(
                sql, parameter_oids, caller.overlay, caller.user, position=position
            )
        try:
            return await own.analyse(sql, parameter_oids)
        except CatalogError as error:
            if position is not None and error.position is not None:
                raise error.moved(position(error.position)) from None
            raise

    async def prepare_catalog(
        self, sql: str, parameter_oids: Sequence[int], caller: Caller
    ) -> CatalogQuery:
        """Analyse one statement that the catalog answers."""
        answer = await self.analyse(sql, parameter_oids, caller)
        fields = tuple(relayed_field(name, oid, modifier) for name, oid, modifier in answer.columns)
        return CatalogQuery(sql, fields, tuple(answer.parameter_oids))

    async def apply_setting(self, text: str, caller: Caller, *, local: bool) -> dict[str, str]:
        """Run a SET in a backend with the caller's settings; all its settings afterwards."""
        async with caller.scope.catalog.lease(caller.user, caller.overlay) as backend:
            if local:
                await (await backend.run_simple("BEGIN")).drain()
            try:
                await (await backend.run_simple(text)).drain()
                return await backend.session_settings()
            finally:
                if local:
                    await (await backend.run_simple("ROLLBACK")).drain()

    async def effective_settings(self, caller: Caller) -> dict[str, str]:
        """The caller's overlay as the catalog keeps it: canonical names and values."""
        async with caller.scope.catalog.lease(caller.user, caller.overlay) as backend:
            return await backend.session_settings()

    async def evaluate(self, sql: str, caller: Caller) -> tuple[bytes | None, ...]:
        """The one row of a constant query, in text format."""
        source = await self.open_catalog(sql, caller)
        try:
            return await self._only_row(source)
        finally:
            await source.close()

    async def _only_row(self, source: CatalogSource) -> tuple[bytes | None, ...]:
        rows = await source.next_rows()
        if rows is None:
            raise SessionError("XX000", "a constant query returned no row")
        return DataRow.decode(bytes(memoryview(rows.data))[5:]).values

    async def open_catalog(
        self,
        sql: str,
        caller: Caller,
        *,
        parameter_oids: Sequence[int] = (),
        parameter_formats: Sequence[int] = (),
        parameters: Sequence[bytes | None] = (),
        result_formats: Sequence[int] = (),
        on_settings: SettingsObserver | None = None,
    ) -> CatalogSource:
        """Start a query on the catalog PostgreSQL.

        Args:
            on_settings: told what the statement has set once its rows have been read, where it
                calls set_config.
        """
        if caller.own is not None and not _sets(sql):
            warnings = await self._provide(caller.own, sql, caller)
            own = await caller.own.open(
                sql, parameter_oids, parameter_formats, parameters, result_formats
            )
            own.notices += warnings
            return own_source(own)

        async def start(backend: CatalogBackend) -> CatalogResult:
            return await backend.run(
                sql, parameter_oids, parameter_formats, parameters, result_formats
            )

        return await self._open_catalog(sql, caller, start, on_settings)

    async def open_catalog_simple(
        self, sql: str, caller: Caller, on_settings: SettingsObserver | None = None
    ) -> CatalogSource:
        """Start one statement of any kind on the catalog PostgreSQL by the simple protocol."""
        if caller.own is not None and not _sets(sql):
            warnings = await self._provide(caller.own, sql, caller)
            own = await caller.own.open(sql)
            own.notices += warnings
            return own_source(own)

        async def start(backend: CatalogBackend) -> CatalogResult:
            return await backend.run_simple(sql)

        return await self._open_catalog(sql, caller, start, on_settings)

    async def _open_catalog(
        self,
        sql: str,
        caller: Caller,
        start: Callable[[CatalogBackend], Awaitable[CatalogResult]],
        on_settings: SettingsObserver | None,
    ) -> CatalogSource:
        lowered = sql.lower()
        snapshot = await self._system_rows(sql, caller)
        extra = dict(snapshot.settings)
        if "pg_backend_pid" in lowered or "pg_stat_activity" in lowered:
            extra["cubewire.backend_pid"] = str(caller.backend_pid)
        async with AsyncExitStack() as stack:
            lease = caller.scope.catalog.lease(caller.user, caller.overlay, extra)
            backend = await stack.enter_async_context(lease)
            if on_settings is not None and _sets(sql):
                await (await backend.run_simple("BEGIN")).drain()
                stack.push_async_callback(_observe_settings, backend, on_settings)
            try:
                result = await start(backend)
            except CatalogError as error:
                add_hint(error, sql, caller.scope.generation.published)
                raise
            result.notices += map(_warning, snapshot.warnings)
            return CatalogSource(result, stack.pop_all())
        raise AssertionError("unreachable")

    async def _provide(self, own: OwnBackend, sql: str, caller: Caller) -> list[dict[str, str]]:
        """Give a session's own backend the rows that a statement names; what is to be told."""
        snapshot = await self._system_rows(sql, caller)
        if snapshot.settings:
            await own.provide(snapshot.settings)
        return list(map(_warning, snapshot.warnings))

    async def open_catalog_copy(self, sql: str, caller: Caller) -> CatalogSource:
        """Start a COPY ... TO STDOUT of what the catalog answers."""
        if caller.own is None:
            return await self.open_catalog_simple(sql, caller)
        warnings = await self._provide(caller.own, sql, caller)
        result = await caller.own.copy_out(sql)
        result.notices += warnings
        return CatalogSource(result, AsyncExitStack())


def _warning(message: str) -> dict[str, str]:
    return error_fields("01000", message, severity="WARNING")


def _sets(sql: str) -> bool:
    """Whether a statement may call set_config, which needs a transaction of its own."""
    return "set_config" in sql.lower()


async def _observe_settings(backend: CatalogBackend, observer: SettingsObserver) -> None:
    if backend.transaction_status != "T":
        return
    inside = await backend.session_settings()
    await (await backend.run_simple("COMMIT")).drain()
    observer(inside, await backend.session_settings())
