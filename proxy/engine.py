"""The engine: where the model, the compiler, the catalog and the warehouses meet.

It answers two questions of a session: what is this statement (``prepare``), and where do its rows
come from (``open_cube``, ``open_catalog``). It knows no messages and no session state.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from connectors.base import Connector
from connectors.errors import WarehouseError
from proxy.cache.invalidation import Invalidation
from proxy.cache.results import Found, KeepBatch
from proxy.cache.versions import DataVersions
from proxy.catalog import Catalog
from proxy.catalog.errors import CatalogError
from proxy.catalog.results import CatalogAnalysis
from proxy.catalog_queries import CatalogQueries
from proxy.concealment import conceal
from proxy.cube_rows import CachedRows, Columns
from proxy.engine_observer import EngineObserver
from proxy.generation import Generation
from proxy.hints import add_hint
from proxy.observability.stages import compiling
from proxy.observability.trace_context import without_trace
from proxy.parse_worker import ParseWorker, RemoteBinding
from proxy.queries import (
    Caller,
    CatalogQuery,
    CubeQuery,
    analysis_of,
    cube_query,
    record_layout,
    refuse_whole_rows,
    text_settings,
    type_of,
)
from proxy.rollups.answers import Answers, check_only, compiled_for
from proxy.rollups.opening import Rollups
from proxy.rows.copying import CopyEncoder, CopyOptions
from proxy.rows.encoder import RowEncoder
from proxy.rows.errors import NeedsServer
from proxy.rows.parameters import decode_parameter
from proxy.scopes import ScopeSource
from proxy.served import ServedScopes
from proxy.sources import (
    BatchSource,
    RecordSource,
    RowSource,
    WarehouseSource,
)
from proxy.statement_cache import StatementCache
from proxy.warehouse.warehouse import DataSources
from proxy.warehouses import Warehouses
from semantic.compiler.api import CompiledStatement
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


class Engine(CatalogQueries):
    """Prepares and opens queries for all sessions of a process.

    Attributes:
        scopes: what exists for each caller.
        catalog: of those who may see everything, which runs always.
    """

    def __init__(
        self,
        scopes: ScopeSource,
        catalog: Catalog,
        warehouses: Warehouses,
        worker: ParseWorker,
        limits: GuardLimits,
        cache_bytes: int,
        observer: EngineObserver,
        cached: CachedRows,
        invalidation: Invalidation,
        rollups: Rollups,
    ) -> None:
        self.scopes = ServedScopes(scopes)
        self.catalog = catalog
        self.cached = cached
        self.invalidation = invalidation
        self.rollups = rollups
        self._answers = Answers(rollups, observer.rollups)
        self._warehouses = warehouses
        self._worker = worker
        self._limits = limits
        self._statements = StatementCache(cache_bytes)
        self._observer = observer

    def serve(
        self, scopes: ScopeSource, rollups: Rollups, versions: Mapping[str, DataVersions]
    ) -> None:
        """Answer from another version of the model; what is being answered is not disturbed."""
        self.scopes.replace(scopes)
        self.cached.serve(versions)
        self.rollups = rollups
        self._answers = Answers(rollups, self._observer.rollups)

    @property
    def connectors(self) -> dict[str, Connector]:
        """The warehouses by data source."""
        return self._warehouses.connectors

    @property
    def sources(self) -> DataSources:
        """What runs their statements, in turn and within limits."""
        return self._warehouses.sources

    async def split(self, sql: str) -> tuple[StatementText, ...]:
        """The statements of a text. Raises SemanticError 54000 where it is too long."""
        check_length(sql, self._limits)
        if ";" not in sql or len(sql) <= self._limits.inline_length:
            return split(sql)
        generation = self.scopes.generation
        return await self._worker.split(generation.compiler, generation.version, sql)

    async def read(self, text: str) -> Statement:
        """What kind of statement one statement's text is."""
        if reads_at_once(text, self._limits):
            return parse_statement(text)
        generation = self.scopes.generation
        return await self._worker.read(generation.compiler, generation.version, text)

    async def informed(self, caller: Caller, sql: str) -> Caller:
        """The caller with the temporary tables, and the pre-aggregations as they are now."""
        return self._answers.informed(await super().informed(caller, sql))

    async def prepare(
        self, sql: str, parameter_oids: Sequence[int], caller: Caller
    ) -> CubeQuery | CatalogQuery:
        """Analyse one SELECT: who answers it, its parameter types and its columns.

        Raises SemanticError or CatalogError with the position in ``sql``.
        """
        generation = caller.scope.generation
        try:
            return await self._prepare(generation, sql, parameter_oids, caller)
        except (CatalogError, SemanticError) as error:
            add_hint(error, sql, generation.published)
            if isinstance(error, SemanticError):
                conceal(error, sql, caller.scope)
            raise

    async def _prepare(
        self, generation: Generation, sql: str, parameter_oids: Sequence[int], caller: Caller
    ) -> CubeQuery | CatalogQuery:
        if not generation.may_touch(sql):
            return await self.prepare_catalog(sql, parameter_oids, caller)
        sql = without_trace(sql)
        caller = await self.informed(caller, sql)
        key = (generation.version, sql, tuple(parameter_oids), caller.fingerprint())
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
            with compiling():
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
        analysis = analysis_of(answer)
        plan: CompiledStatement | UnsupportedError
        try:
            with compiling():
                plan = compiled_for(generation.compiler, bound, analysis, caller)
        except UnsupportedError as refusal:
            if not any(kind.name in _TEXTS for kind in analysis.parameters):
                raise
            conceal(refusal, sql, caller.scope)
            plan = refusal
        return cube_query(sql, bound.text, analysis, plan, answer, caller)

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
            if kind.name in _TEXTS and (value is None or isinstance(value, str))
        }
        key = (query, tuple(sorted(constants.items())))
        cached = self._statements.get(key)
        if isinstance(cached, CubeQuery):
            return cached
        compiler = caller.scope.generation.compiler
        try:
            with compiling():
                bound = compiler.bind(query.sql, caller.semantic, constants)
                if bound is None:
                    raise query.plan
                compiled = compiled_for(compiler, bound, query.analysis, caller)
        except SemanticError as error:
            conceal(error, query.sql, caller.scope)
            raise
        settled = replace(query, plan=compiled)
        self._statements.put(key, settled, len(query.sql))
        return settled

    async def _check_defined(self, sql: str, parameter_oids: Sequence[int], caller: Caller) -> None:
        """Of a function that is not allowed, say rather that it does not exist, if that is so."""
        try:
            await caller.scope.catalog.analyse(sql, parameter_oids, caller.overlay, caller.user)
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
        compiler, version = generation.compiler, generation.version
        bound = await self._worker.bind(compiler, version, sql, caller.semantic)
        if bound is None:
            return await self.prepare_catalog(sql, parameter_oids, caller)
        answer = await self._ask_catalog(bound, parameter_oids, caller)
        analysis = analysis_of(answer)
        compiled = await self._worker.compile(
            compiler, version, sql, analysis, caller.semantic, caller.rollups.candidates
        )
        check_only(compiled, caller)
        return cube_query(sql, bound.text, analysis, compiled, answer, caller)

    async def _ask_catalog(
        self,
        bound: BoundStatement | RemoteBinding,
        parameter_oids: Sequence[int],
        caller: Caller,
    ) -> CatalogAnalysis:
        return await self.analyse(
            bound.analysis_sql, parameter_oids, caller, position=bound.client_position
        )

    async def check_syntax(self, sql: str, caller: Caller) -> None:
        """Raise the catalog's error if it finds the text's syntax wrong (42601), nothing else."""
        try:
            await caller.scope.catalog.analyse(sql, (), caller.overlay, caller.user)
        except CatalogError as error:
            if error.sqlstate == "42601" and not caller.scope.generation.may_touch(sql):
                raise

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
    ) -> Found:
        """The rows of a compiled query, cached or from its warehouse."""
        try:
            found = await self._open_cube(query, values, result_formats, caller)
        except WarehouseError as error:
            query = await self._without_rollups(query, values, caller, error)
            found = await self._open_cube(query, values, result_formats, caller)
        return self._answers.noted(found, query.compiled)

    async def _without_rollups(
        self, query: CubeQuery, values: Sequence[object], caller: Caller, error: WarehouseError
    ) -> CubeQuery:
        """A query over the source, where what it reads has gone; else the error again."""
        caller = self._answers.without(query.compiled, caller, error)
        again = await self.prepare(query.sql, query.parameter_oids, caller)
        if not isinstance(again, CubeQuery):
            raise error
        return self.settle(again, values, caller)

    async def _open_cube(
        self,
        query: CubeQuery,
        values: Sequence[object],
        result_formats: Sequence[int],
        caller: Caller,
    ) -> Found:
        if not query.compiled.rows:
            return await self._open_columns(query, values, result_formats, caller)
        layout, formats = record_layout(query.compiled, result_formats)
        found = await self._open_columns(query, values, formats, caller)
        return replace(found, source=RecordSource(found.source, layout))

    async def _open_columns(
        self,
        query: CubeQuery,
        values: Sequence[object],
        result_formats: Sequence[int],
        caller: Caller,
    ) -> Found:
        settings = text_settings(caller)
        bound = await self._warehouses.bind(query, values, caller)
        if settings.are_usual() and self._warehouses.encodes(query.compiled):
            encoder = None
        else:
            types = [column.type.name for column in query.compiled.columns]
            encoder = RowEncoder(types, result_formats, settings)

        async def run(seen: KeepBatch | None) -> RowSource:
            if encoder is None:
                return await self._warehouses.relay(bound, result_formats, caller)
            return WarehouseSource(await self._warehouses.execute(bound, caller), encoder, seen)

        columns = Columns(bound, result_formats, settings, encoder, run)
        return await self.cached.open(columns, caller)

    async def open_batches(
        self, query: CubeQuery, values: Sequence[object], caller: Caller
    ) -> BatchSource:
        """Start a compiled query on its warehouse, its rows as Arrow batches."""
        refuse_whole_rows(query, "COPY or a new table")
        try:
            return await self._open_batches(query, values, caller)
        except WarehouseError as error:
            query = await self._without_rollups(query, values, caller, error)
            return await self._open_batches(query, values, caller)

    async def _open_batches(
        self, query: CubeQuery, values: Sequence[object], caller: Caller
    ) -> BatchSource:
        bound = await self._warehouses.bind(query, values, caller)
        return BatchSource(await self._warehouses.execute(bound, caller))

    def snapshots(self, compiled: CompiledStatement) -> Mapping[str, bool]:
        """See ``Warehouses.snapshots``."""
        return self._warehouses.snapshots(compiled)

    def copy_encoder(self, query: CubeQuery, options: CopyOptions, caller: Caller) -> CopyEncoder:
        """What writes a query's batches as COPY data."""
        return CopyEncoder(
            [column.type.name for column in query.compiled.columns],
            [column.name for column in query.compiled.columns],
            options,
            text_settings(caller),
        )

    async def close(self) -> None:
        """Stop warehouses, worker and catalog."""
        await self._worker.close()
        await self._warehouses.close()
        await self.catalog.close()
