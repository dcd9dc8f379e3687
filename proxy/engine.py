"""The engine: where the model, the compiler, the catalog and the warehouses meet.

It answers two questions of a session: what is this statement (``prepare``), and where do its rows
come from (``open_cube``, ``open_catalog``). It knows no messages and no session state.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from typing import Protocol

from connectors.base import BatchStream, Connector, Parameter
from connectors.errors import WarehouseError
from proxy.catalog import Catalog
from proxy.catalog.backend import CatalogBackend, CatalogResult
from proxy.catalog.errors import CatalogError
from proxy.catalog.results import CatalogAnalysis
from proxy.errors import SessionError
from proxy.generation import Generation
from proxy.parse_worker import ParseWorker, RemoteBinding
from proxy.queries import Caller, CatalogQuery, CubeQuery, field_of, type_of
from proxy.rows.copying import CopyEncoder, CopyOptions
from proxy.rows.encoder import RowEncoder
from proxy.rows.errors import NeedsServer
from proxy.rows.parameters import decode_parameter
from proxy.rows.settings import TextSettings
from proxy.sources import BatchSource, CatalogSource, EncodedSource, RowSource, WarehouseSource
from proxy.statement_cache import StatementCache
from proxy.wire.backend import DataRow, FieldDescription
from proxy.wire.oids import TYPES
from semantic.compiler.api import Analysis, CompiledStatement, ResultColumn
from semantic.compiler.compiler import BoundStatement
from semantic.compiler.guard import (
    GuardLimits,
    Verdict,
    check_length,
    inspect,
    reads_at_once,
)
from semantic.compiler.parse import UnparsableStatement
from semantic.compiler.statements import Statement, StatementText, parse_statement, split
from semantic.errors import ForbiddenError, SemanticError, UnsupportedError

_UNDEFINED_FUNCTION = "42883"
_TEXTS = frozenset(("text", "varchar"))
"""Types of parameters whose value may be compiled as a constant."""

SettingsObserver = Callable[[dict[str, str], dict[str, str]], None]
"""Told a backend's settings inside the transaction of a statement, and those that outlive it."""


class EngineObserver(Protocol):
    """Counts what the engine does: the metrics."""

    def statement_cache(self, *, hit: bool) -> None:
        """A compiled statement was looked up."""

    def warehouse_error(self, data_source: str, sqlstate: str) -> None:
        """A warehouse refused or failed."""


class Engine:
    """Prepares and opens queries for all sessions of a process."""

    def __init__(
        self,
        generation: Generation,
        catalog: Catalog,
        connectors: dict[str, Connector],
        worker: ParseWorker,
        limits: GuardLimits,
        cache_bytes: int,
        observer: EngineObserver,
    ) -> None:
        self.generation = generation
        self.catalog = catalog
        self.connectors = connectors
        self._worker = worker
        self._limits = limits
        self._statements = StatementCache(cache_bytes)
        self._observer = observer

    async def split(self, sql: str) -> tuple[StatementText, ...]:
        """The statements of a text. Raises SemanticError 54000 where it is too long."""
        check_length(sql, self._limits)
        if ";" not in sql or len(sql) <= self._limits.inline_length:
            return split(sql)
        generation = self.generation
        return await self._worker.split(generation.compiler, generation.model.version, sql)

    async def read(self, text: str) -> Statement:
        """What kind of statement one statement's text is."""
        if reads_at_once(text, self._limits):
            return parse_statement(text)
        generation = self.generation
        return await self._worker.read(generation.compiler, generation.model.version, text)

    async def prepare(
        self, sql: str, parameter_oids: Sequence[int], caller: Caller
    ) -> CubeQuery | CatalogQuery:
        """Analyse one SELECT: who answers it, its parameter types and its columns.

        Raises SemanticError or CatalogError with the position in ``sql``.
        """
        generation = self.generation
        if not generation.may_touch(sql):
            return await self.prepare_catalog(sql, parameter_oids, caller)
        key = (generation.model.version, sql, tuple(parameter_oids), caller.fingerprint())
        cached = self._statements.get(key)
        self._observer.statement_cache(hit=cached is not None)
        if cached is None:
            cached = await self._analyse(generation, sql, parameter_oids, caller)
            self._statements.put(key, cached, len(sql))
        return cached

    async def _analyse(
        self, generation: Generation, sql: str, parameter_oids: Sequence[int], caller: Caller
    ) -> CubeQuery | CatalogQuery:
        try:
            if inspect(sql, self._limits) is Verdict.WORKER:
                return await self._analyse_large(generation, sql, parameter_oids, caller)
            bound = generation.compiler.bind(sql, caller.semantic)
        except UnparsableStatement as problem:
            return await self._unparsable(generation, sql, parameter_oids, caller, problem)
        except SemanticError as refusal:
            if isinstance(refusal, ForbiddenError) and not refusal.certain:
                await self._check_defined(sql, parameter_oids, caller)
            raise
        if bound is None:
            return await self.prepare_catalog(sql, parameter_oids, caller)
        answer = await self._ask_catalog(bound, parameter_oids, caller)
        analysis = _analysis_of(answer)
        plan: CompiledStatement | UnsupportedError
        try:
            plan = generation.compiler.compile(bound, analysis, caller.semantic)
        except UnsupportedError as refusal:
            if not any(kind.name in _TEXTS for kind in analysis.parameters):
                raise
            plan = refusal
        return _cube_query(sql, analysis, plan, answer, caller)

    def settle(self, query: CubeQuery, values: Sequence[object], caller: Caller) -> CubeQuery:
        """Compile a query with the values of its text parameters, where it needs them.

        Raises UnsupportedError (0A000) where they do not help either.
        """
        if not isinstance(query.plan, UnsupportedError):
            return query
        constants = {
            index: value
            for index, (kind, value) in enumerate(
                zip(query.analysis.parameters, values, strict=True)
            )
            if kind.name in _TEXTS and isinstance(value, str)
        }
        key = (query, tuple(sorted(constants.items())))
        cached = self._statements.get(key)
        if isinstance(cached, CubeQuery):
            return cached
        compiler = self.generation.compiler
        bound = compiler.bind(query.sql, caller.semantic, constants)
        if bound is None:
            raise query.plan
        compiled = compiler.compile(bound, query.analysis, caller.semantic)
        settled = replace(query, plan=compiled)
        self._statements.put(key, settled, len(query.sql))
        return settled

    async def _check_defined(self, sql: str, parameter_oids: Sequence[int], caller: Caller) -> None:
        """Of a function that is not allowed, say rather that it does not exist, if that is so."""
        try:
            await self.catalog.analyse(sql, parameter_oids, caller.overlay, caller.user)
        except CatalogError as error:
            if error.sqlstate == _UNDEFINED_FUNCTION:
                raise

    async def _unparsable(
        self,
        generation: Generation,
        sql: str,
        parameter_oids: Sequence[int],
        caller: Caller,
        problem: UnparsableStatement,
    ) -> CatalogQuery:
        """What sqlglot cannot read may be PostgreSQL's own dialect over its own catalog.

        The catalog reports genuine syntax errors. What it can read, and what names a cube, is
        refused: it would be read there, where a cube has no rows.
        """
        query = await self.prepare_catalog(sql, parameter_oids, caller)
        if await asyncio.to_thread(generation.names_relation, sql):
            raise UnsupportedError(
                "this form of statement over a cube is not supported",
                hint="Write it in plain SQL; the place where it could not be read is marked.",
                position=problem.position,
            )
        return query

    async def _analyse_large(
        self, generation: Generation, sql: str, parameter_oids: Sequence[int], caller: Caller
    ) -> CubeQuery | CatalogQuery:
        """The same in the worker process."""
        compiler, version = generation.compiler, generation.model.version
        bound = await self._worker.bind(compiler, version, sql, caller.semantic)
        if bound is None:
            return await self.prepare_catalog(sql, parameter_oids, caller)
        answer = await self._ask_catalog(bound, parameter_oids, caller)
        analysis = _analysis_of(answer)
        compiled = await self._worker.compile(compiler, version, sql, analysis, caller.semantic)
        return _cube_query(sql, analysis, compiled, answer, caller)

    async def _ask_catalog(
        self,
        bound: BoundStatement | RemoteBinding,
        parameter_oids: Sequence[int],
        caller: Caller,
    ) -> CatalogAnalysis:
        return await self.catalog.analyse(
            bound.analysis_sql,
            parameter_oids,
            caller.overlay,
            caller.user,
            position=bound.client_position,
        )

    async def prepare_catalog(
        self, sql: str, parameter_oids: Sequence[int], caller: Caller
    ) -> CatalogQuery:
        """Analyse one statement that the catalog answers."""
        answer = await self.catalog.analyse(sql, parameter_oids, caller.overlay, caller.user)
        fields = tuple(
            _relayed_field(name, oid, modifier) for name, oid, modifier in answer.columns
        )
        return CatalogQuery(sql, fields, tuple(answer.parameter_oids))

    async def check_syntax(self, sql: str, caller: Caller) -> None:
        """Raise the catalog's error if it finds the text's syntax wrong (42601), nothing else."""
        try:
            await self.catalog.analyse(sql, (), caller.overlay, caller.user)
        except CatalogError as error:
            if error.sqlstate == "42601" and not self.generation.may_touch(sql):
                raise

    async def apply_setting(self, text: str, caller: Caller, *, local: bool) -> dict[str, str]:
        """Run a SET in a backend with the caller's settings; all its settings afterwards."""
        async with self.catalog.lease(caller.user, caller.overlay) as backend:
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
        async with self.catalog.lease(caller.user, caller.overlay) as backend:
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

    async def decode_parameters(
        self,
        oids: Sequence[int],
        values: Sequence[bytes | None],
        formats: Sequence[int],
        caller: Caller,
    ) -> tuple[object, ...]:
        """Bind's values as Python values, raising PostgreSQL's SQLSTATE for what is malformed.

        Text in a form that only PostgreSQL reads (``'yesterday'``) is put to the catalog.
        """
        decoded: list[object] = []
        settings = text_settings(caller)
        bound = zip(oids, values, formats, strict=True)
        for number, (oid, value, code) in enumerate(bound, start=1):
            name = type_of(oid).name
            try:
                decoded.append(decode_parameter(value, name, code, settings, number=number))
            except NeedsServer:
                text = await self._normalise(oid, value, code, caller)
                decoded.append(decode_parameter(text, name, 0, settings, number=number))
        return tuple(decoded)

    async def _normalise(
        self, oid: int, value: bytes | None, code: int, caller: Caller
    ) -> bytes | None:
        overlay = {**caller.overlay, "DateStyle": "ISO", "IntervalStyle": "postgres"}
        source = await self.open_catalog(
            "SELECT $1",
            replace(caller, overlay=overlay),
            parameter_oids=(oid,),
            parameter_formats=(code,),
            parameters=(value,),
        )
        try:
            return (await self._only_row(source))[0]
        finally:
            await source.close()

    async def open_cube(
        self,
        query: CubeQuery,
        values: Sequence[object],
        result_formats: Sequence[int],
        caller: Caller,
    ) -> RowSource:
        """Start a compiled query on its warehouse."""
        compiled = query.compiled
        connector = self.connectors[compiled.data_source]
        settings = text_settings(caller)
        if connector.capabilities.encoded_rows and settings == TextSettings(settings.time_zone):
            with self._observed(compiled.data_source):
                stream = await connector.stream_rows(
                    compiled.sql,
                    _bound(query, values),
                    result_formats,
                    time_zone=settings.time_zone,
                    timeout=caller.statement_timeout,
                )
            source = EncodedSource(stream)
            if stream.type_oids != tuple(field.type_oid for field in query.fields):
                await source.close()
                raise SessionError("XX000", "the warehouse returned other types than announced")
            return source
        types = [column.type.name for column in compiled.columns]
        encoder = RowEncoder(types, result_formats, settings)
        return WarehouseSource(await self._execute(query, values, caller), encoder)

    async def open_batches(
        self, query: CubeQuery, values: Sequence[object], caller: Caller
    ) -> BatchSource:
        """Start a compiled query on its warehouse, its rows as Arrow batches."""
        return BatchSource(await self._execute(query, values, caller))

    async def _execute(
        self, query: CubeQuery, values: Sequence[object], caller: Caller
    ) -> BatchStream:
        compiled = query.compiled
        with self._observed(compiled.data_source):
            return await self.connectors[compiled.data_source].execute(
                compiled.sql,
                _bound(query, values),
                time_zone=caller.semantic.time_zone,
                timeout=caller.statement_timeout,
            )

    @contextmanager
    def _observed(self, data_source: str) -> Iterator[None]:
        try:
            yield
        except WarehouseError as error:
            self._observer.warehouse_error(data_source, error.sqlstate)
            raise

    def copy_encoder(self, query: CubeQuery, options: CopyOptions, caller: Caller) -> CopyEncoder:
        """What writes a query's batches as COPY data."""
        return CopyEncoder(
            [column.type.name for column in query.compiled.columns],
            [column.name for column in query.compiled.columns],
            options,
            text_settings(caller),
        )

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

        async def start(backend: CatalogBackend) -> CatalogResult:
            return await backend.run(
                sql, parameter_oids, parameter_formats, parameters, result_formats
            )

        return await self._open_catalog(sql, caller, start, on_settings)

    async def open_catalog_simple(
        self, sql: str, caller: Caller, on_settings: SettingsObserver | None = None
    ) -> CatalogSource:
        """Start one statement of any kind on the catalog PostgreSQL by the simple protocol."""

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
        extra = {}
        if "pg_backend_pid" in lowered:
            extra["cubewire.backend_pid"] = str(caller.backend_pid)
        async with AsyncExitStack() as stack:
            lease = self.catalog.lease(caller.user, caller.overlay, extra)
            backend = await stack.enter_async_context(lease)
            if on_settings is not None and "set_config" in lowered:
                await (await backend.run_simple("BEGIN")).drain()
                stack.push_async_callback(_observe_settings, backend, on_settings)
            result = await start(backend)
            return CatalogSource(result, stack.pop_all())
        raise AssertionError("unreachable")

    async def close(self) -> None:
        """Stop warehouses, worker and catalog."""
        await self._worker.close()
        for connector in self.connectors.values():
            await connector.close()
        await self.catalog.close()


def _analysis_of(answer: CatalogAnalysis) -> Analysis:
    return Analysis(
        tuple(type_of(oid) for oid in answer.parameter_oids),
        tuple(ResultColumn(name, type_of(oid, mod)) for name, oid, mod in answer.columns),
    )


def _cube_query(
    sql: str,
    analysis: Analysis,
    plan: CompiledStatement | UnsupportedError,
    answer: CatalogAnalysis,
    caller: Caller,
) -> CubeQuery:
    fields = tuple(field_of(column.name, column.type) for column in analysis.columns)
    oids = tuple(answer.parameter_oids)
    return CubeQuery(sql, analysis, plan, fields, oids, caller.fingerprint())


def _bound(query: CubeQuery, values: Sequence[object]) -> list[Parameter]:
    return [Parameter(use.type.name, values[use.index]) for use in query.compiled.parameters]


async def _observe_settings(backend: CatalogBackend, observer: SettingsObserver) -> None:
    if backend.transaction_status != "T":
        return
    inside = await backend.session_settings()
    await (await backend.run_simple("COMMIT")).drain()
    observer(inside, await backend.session_settings())


def text_settings(caller: Caller) -> TextSettings:
    """How the session wants values written."""
    overlay = caller.overlay
    defaults = TextSettings()
    return replace(
        defaults,
        time_zone=caller.semantic.time_zone,
        date_style=overlay.get("DateStyle", defaults.date_style),
        interval_style=overlay.get("IntervalStyle", defaults.interval_style),
        extra_float_digits=int(overlay.get("extra_float_digits", defaults.extra_float_digits)),
        bytea_output=overlay.get("bytea_output", defaults.bytea_output),
    )


def _relayed_field(name: str, oid: int, modifier: int) -> FieldDescription:
    kind = type_of(oid, modifier)
    if kind.name in TYPES:
        return field_of(name, kind)
    return FieldDescription(name, 0, 0, oid, -1, modifier, 0)
