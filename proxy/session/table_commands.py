"""Statements about tables: those about the session's temporary ones run, others are refused.

PostgreSQL carries them out in the session's own backend. Where rows come from cubes, it makes the
table from the analysed text WITH NO DATA, so that names and types are its own, and the rows are
copied into it from the warehouse.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from proxy.catalog.errors import CatalogError
from proxy.catalog.private import PrivateResult
from proxy.catalog.protocol import identifier
from proxy.engine import Engine
from proxy.errors import SessionError
from proxy.generation import Generation
from proxy.queries import Caller, CatalogQuery, CubeQuery, relayed_field, type_of
from proxy.rows.copying import CopyOptions
from proxy.session.copying import BatchChunks
from proxy.session.portal import Portal
from proxy.session.prepared import PreparedStatement
from proxy.session.reader import RowReader
from proxy.session.results import Done, Outcome, Rows
from proxy.session.state import SessionState
from proxy.sources import own_source
from semantic.compiler import statements as sql
from semantic.compiler.utility.tables import TableSource, source_of
from semantic.errors import SemanticError, UnsupportedError

Current = Callable[[CubeQuery, Portal, Caller], Awaitable[tuple[CubeQuery, Caller]]]

LONG_TEXT = 16_384
"""Characters beyond which a statement is not taken apart on the event loop."""

_DEFINING = ("CREATE", "DROP", "ALTER", "SELECT")
_PLANNED = ("INSERT", "UPDATE", "DELETE", "MERGE")
_EXISTS = "42P07"
_STRINGS = frozenset(("text", "varchar", "bpchar", "name", "char", "unknown"))
_PUBLISHED_SCHEMAS = (None, "public")


class TableCommands:
    """The statements of one session about tables."""

    def __init__(self, engine: Engine, state: SessionState) -> None:
        self._engine = engine
        self._state = state

    @property
    def _generation(self) -> Generation:
        return self._state.scope.generation

    # ------------------------------------------------------------------------- what may run

    async def may_run(self, statement: sql.TableChange) -> bool:
        """Whether PostgreSQL is to carry it out. Raises its error for an unknown table."""
        temporary = self._state.temporary
        if statement.creates:
            return statement.temporary
        if any(self._is_published(*name) for name in statement.names):
            return False
        if all(temporary.find(*name) is not None for name in statement.names):
            return True
        if statement.verb == "DROP TABLE":
            # It drops nothing that is not the session's own, and has the right words for it.
            return True
        if statement.verb == "DROP INDEX":
            return temporary.exist or statement.missing_ok
        if statement.verb in _PLANNED:
            await self._engine.prepare_catalog(statement.text, (), self._state.caller())
        return False

    def _is_published(self, schema: str | None, name: str) -> bool:
        if schema not in _PUBLISHED_SCHEMAS:
            return False
        if schema is None and self._state.temporary.find(None, name) is not None:
            return False
        return any(item.name == name for item in self._generation.published.relations)

    async def check_plain(self, statement: sql.TableChange) -> None:
        """Raises 0A000 where it takes rows from cubes: for EXPLAIN."""
        query = await self._source_query(statement, await self._source(statement), ())
        if isinstance(query, CubeQuery):
            raise UnsupportedError(
                f"EXPLAIN of {statement.verb} from a cube is not supported",
                hint="Explain its query alone.",
            )

    # ------------------------------------------------------------------------- prepare

    async def prepare(
        self, text: str, statement: sql.TableChange, oids: Sequence[int], *, describe: bool
    ) -> PreparedStatement:
        """What it is: its parameters, the columns of RETURNING, and where its rows come from."""
        source = await self._source(statement)
        query = await self._source_query(statement, source, oids)
        if query is not None and source is not None:
            return await self._prepare_filling(text, statement, source, query, oids)
        if not describe:
            plain = CatalogQuery(text, None, ())
            return PreparedStatement(text, statement, query=plain)
        whole = await self._engine.prepare_catalog(text, oids, self._state.caller())
        fields = whole.fields or None
        return PreparedStatement(text, statement, whole.parameter_oids, fields, whole)

    async def _source(self, statement: sql.TableChange) -> TableSource | None:
        """The query it takes its rows from, if it may read a cube."""
        if not self._generation.may_touch(statement.text):
            return None
        if len(statement.text) > LONG_TEXT:
            return await asyncio.to_thread(source_of, statement)
        return source_of(statement)

    async def _source_query(
        self, statement: sql.TableChange, source: TableSource | None, oids: Sequence[int]
    ) -> CubeQuery | None:
        """The same, analysed; None where it reads no cube. Raises 0A000 where it must not."""
        engine, caller = self._engine, self._state.caller()
        if source is None:
            if statement.verb == "CREATE TABLE AS":
                await self._refuse_execute(statement)
            if statement.verb not in ("UPDATE", "DELETE", "MERGE"):
                return None
            if not self._generation.may_touch(statement.text):
                return None
            await self._check_reads_no_cube(statement, oids)
            return None
        if source.query.lstrip()[:6].lower() == "values" and not await asyncio.to_thread(
            self._generation.names_relation, source.query
        ):
            # A cube's name inside a string; DEFAULT is for PostgreSQL alone to read.
            return None
        query = await engine.prepare(source.query, oids, caller)
        return query if isinstance(query, CubeQuery) else None

    async def _check_reads_no_cube(self, statement: sql.TableChange, oids: Sequence[int]) -> None:
        """Raises 0A000 for a change that looks into a cube."""
        try:
            await self._engine.prepare(statement.text, oids, self._state.caller())
        except SemanticError as error:
            raise UnsupportedError(
                f"{statement.verb} of a temporary table that reads a cube is not supported",
                hint="Put what it needs from the cube into another temporary table first.",
                position=error.position,
            ) from None

    async def _refuse_execute(self, statement: sql.TableChange) -> None:
        words = statement.text.lower().split()
        if "execute" in words and source_of(statement) is None:
            raise UnsupportedError(
                "CREATE TABLE ... AS EXECUTE is not supported",
                hint="Write the query itself in the place of EXECUTE.",
            )

    async def _prepare_filling(
        self,
        text: str,
        statement: sql.TableChange,
        source: TableSource,
        query: CubeQuery,
        oids: Sequence[int],
    ) -> PreparedStatement:
        """CREATE TABLE AS, SELECT INTO or INSERT from a query over cubes."""
        if statement.verb != "INSERT":
            return PreparedStatement(text, statement, query.parameter_oids, None, query)
        whole = await self._analyse_insert(source, query, oids)
        if whole.parameter_oids != query.parameter_oids:
            # The columns that are filled decide what a bare parameter is.
            again = await self._engine.prepare(
                source.query, whole.parameter_oids, self._state.caller()
            )
            if isinstance(again, CubeQuery):
                query = again
        fields = whole.fields or None
        return PreparedStatement(text, statement, query.parameter_oids, fields, query)

    async def _analyse_insert(
        self, source: TableSource, query: CubeQuery, oids: Sequence[int]
    ) -> CatalogQuery:
        """What PostgreSQL says of the whole statement, with positions in the client's text."""
        caller = self._state.caller()
        text = f"{source.head}\n{query.analysed.text}\n{source.tail}"
        try:
            answer = await self._engine.analyse(text, oids, caller)
        except CatalogError as error:
            raise _moved(error, source, query) from None
        fields = tuple(relayed_field(*column) for column in answer.columns)
        return CatalogQuery(text, fields, tuple(answer.parameter_oids))

    # ------------------------------------------------------------------------- run

    async def run(self, portal: Portal, statement: sql.TableChange, current: Current) -> Outcome:
        """Carry one out."""
        self._state.transaction.queried = True
        query = portal.prepared.query
        if isinstance(query, CubeQuery):
            query, caller = await current(query, portal, self._state.caller())
            return await self._fill(portal, statement, query, caller)
        temporary = self._state.temporary
        if not temporary.exist and not statement.creates:
            return await self._run_anywhere(statement)
        bound = (
            portal.prepared.parameter_oids,
            portal.parameter_formats,
            portal.parameters,
        )
        if statement.verb.startswith(_DEFINING):
            return self._outcome(await temporary.define(statement.text, *bound), statement)
        formats = portal.result_formats
        return self._outcome(await temporary.open(statement.text, *bound, formats), statement)

    async def _run_anywhere(self, statement: sql.TableChange) -> Done:
        """Something about tables that do not exist, which any backend knows."""
        source = await self._engine.open_catalog_simple(statement.text, self._state.caller())
        try:
            while await source.next_rows() is not None:
                pass
        finally:
            await source.close()
        self._notice(source.result.notices)
        return Done(source.result.tag)

    def _outcome(self, result: PrivateResult, statement: sql.TableChange) -> Outcome:
        if result.fields is None:
            self._notice(result.notices)
            return Done(result.tag)
        command = "INSERT 0" if statement.verb == "INSERT" else statement.verb
        reader = RowReader(own_source(result))
        return Rows(reader, result.fields, command, notices=result.notices)

    def _notice(self, notices: list[dict[str, str]]) -> None:
        self._state.notices += notices
        notices.clear()

    # ------------------------------------------------------------------------- rows of cubes

    async def _fill(
        self, portal: Portal, statement: sql.TableChange, query: CubeQuery, caller: Caller
    ) -> Outcome:
        source = source_of(statement)
        if source is None:
            raise SessionError("XX000", "there is no query to take rows from")
        if statement.verb == "INSERT":
            return await self._insert(portal, source, query, caller)
        made = await self._make(source, query)
        self._check_not_overtaken(caller)
        exists = any(notice.get("C") == _EXISTS for notice in made.notices)
        self._notice(made.notices)
        if exists or not source.with_data:
            return Done("CREATE TABLE AS")
        rows = await self._copy(statement.names[0][1], portal, query, caller)
        return Done(f"SELECT {rows}")

    async def _make(self, source: TableSource, query: CubeQuery) -> PrivateResult:
        """Make a table for a query's rows, empty."""
        nothing: tuple[bytes | None, ...] = (None,) * len(query.parameter_oids)
        text = f"{source.head}\n{query.analysed.text}\nWITH NO DATA"
        try:
            return await self._state.temporary.define(text, query.parameter_oids, (), nothing)
        except CatalogError as error:
            raise _moved(error, source, query) from None

    def _check_not_overtaken(self, caller: Caller) -> None:
        """Raises 40001 where a table may have been given the columns of another model.

        It is there by now, so that the statement cannot be begun again here.
        """
        if self._engine.is_overtaken(caller):
            raise SessionError("40001", "the model was replaced meanwhile", hint="Run it again.")

    async def _copy(self, name: str, portal: Portal, query: CubeQuery, caller: Caller) -> int:
        """Put a query's rows into a table; how many."""
        batches = await self._engine.open_batches(query, portal.values, caller)
        # A backend of ours reads binary whatever the session's settings are.
        encoder = self._engine.copy_encoder(query, CopyOptions(format="binary"), caller)
        chunks = BatchChunks(batches, encoder)
        try:
            return await self._state.temporary.fill(name, _pieces(chunks))
        finally:
            await chunks.close()

    async def _insert(
        self, portal: Portal, source: TableSource, query: CubeQuery, caller: Caller
    ) -> Outcome:
        """By way of a table of the query's own types: PostgreSQL then casts and checks."""
        temporary = self._state.temporary
        stage = self._free_name()
        places = range(1, len(query.fields) + 1)
        names = ", ".join(f"c{place}" for place in places)
        head = f"CREATE TEMPORARY TABLE pg_temp.{stage} ({names}) AS"
        await self._make(TableSource(source.query, head), query)
        self._check_not_overtaken(caller)
        await self._copy(stage, portal, query, caller)
        targets = await temporary.analyse(
            f"{source.head} VALUES ({', '.join(f'${place}' for place in places)})", ()
        )
        values = [
            _as_literal(f"c{place}", field.type_oid, target)
            for place, field, target in zip(
                places, query.fields, targets.parameter_oids, strict=True
            )
        ]
        text = f"{source.head} SELECT {', '.join(values)} FROM pg_temp.{stage} {source.tail}"
        result = await temporary.open(text, (), (), (), portal.result_formats)
        # A result that is still open would hold the table.
        await result.read_ahead(temporary.limits.max_kept_bytes)
        await temporary.define(f"DROP TABLE pg_temp.{stage}")
        if result.fields is None:
            self._notice(result.notices)
            return Done(result.tag)
        reader = RowReader(own_source(result))
        return Rows(reader, result.fields, "INSERT 0", notices=result.notices)

    def _free_name(self) -> str:
        number = 1
        while self._state.temporary.find(None, f"cubewire_stage_{number}") is not None:
            number += 1
        return f"cubewire_stage_{number}"


async def _pieces(chunks: BatchChunks) -> AsyncIterator[tuple[bytes, int]]:
    while (chunk := await chunks.next_chunk()) is not None:
        yield chunk


def _as_literal(name: str, source: int, target: int) -> str:
    """A column whose values were literals is read as literals of the column that they fill.

    PostgreSQL has accepted the statement, and no text but a literal becomes such a type.
    """
    kind = type_of(target).name
    if type_of(source).name != "text" or kind in _STRINGS or kind.startswith("oid:"):
        return name
    return f"{name}::pg_catalog.{identifier(kind)}"


def _moved(error: CatalogError, source: TableSource, query: CubeQuery) -> CatalogError:
    """An error of a head, a line break and the analysed query, at its place in the statement."""
    position = error.position
    before = len(source.head) + 1
    if position is None:
        return error
    if position < before and source.head_start is not None:
        return error.moved(position + source.head_start)
    if before < position <= before + len(query.analysed.text):
        return error.moved(query.analysed.client_position(position - before))
    fields = {code: value for code, value in error.fields.items() if code != "P"}
    return CatalogError.from_fields(fields)
