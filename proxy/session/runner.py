"""Running statements: each kind of statement to what carries it out.

``prepare`` finds out what a statement is and what it returns; ``open`` runs it. The session decides
when, and writes what comes out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TypeVar

from proxy.catalog.errors import CatalogError
from proxy.engine import Engine
from proxy.errors import SessionError
from proxy.queries import Caller, CatalogQuery, CubeQuery
from proxy.rollups.view import ROLLUPS_OFF, RollupChoice
from proxy.rows.errors import ParameterError
from proxy.served import MOST_CHANGES, ModelChangedError
from proxy.session.backends import BackendFunctions, backend_call
from proxy.session.copying import open_copy
from proxy.session.cursors import CursorCommands
from proxy.session.explaining import explain_fields, explain_lines
from proxy.session.impersonation import Impersonation
from proxy.session.portal import Portal, expand_formats
from proxy.session.prepared import PreparedStatement
from proxy.session.reader import RowReader
from proxy.session.refusals import refusal, write_refusal
from proxy.session.result_types import check_same, unchanged
from proxy.session.results import Done, Outcome, Rows
from proxy.session.settings_commands import SettingsCommands
from proxy.session.sleeping import sleep, sleep_call
from proxy.session.state import SessionState
from proxy.session.statement_commands import StatementCommands
from proxy.session.table_commands import TableCommands
from proxy.session.transaction_commands import TransactionCommands
from proxy.sources import StaticSource
from proxy.wire.backend import FieldDescription
from proxy.wire.frontend import Bind
from semantic.compiler import statements as sql
from semantic.compiler.acting import ActingStatement, acting_statement
from semantic.compiler.join_field import USER_FIELD
from semantic.compiler.parse import UnparsableStatement
from semantic.compiler.statements import StatementText
from semantic.errors import UnsupportedError

_T = TypeVar("_T")


class Runner:
    """Runs the statements of one session."""

    def __init__(
        self,
        engine: Engine,
        state: SessionState,
        backends: BackendFunctions,
        impersonation: Impersonation,
    ) -> None:
        self._engine = engine
        self._state = state
        self._backends = backends
        self._impersonation = impersonation
        self._cursors = CursorCommands(state)
        self._settings = SettingsCommands(engine, state, impersonation)
        self._transactions = TransactionCommands(state)
        self._named = StatementCommands(engine, state)
        self._tables = TableCommands(engine, state)

    # ------------------------------------------------------------------------- prepare

    async def prepare(
        self, text: str, parameter_oids: Sequence[int], *, describe: bool
    ) -> PreparedStatement:
        """Find out what one statement is.

        Args:
            describe: its parameters and columns must be known now (Parse); a simple Query learns
                them when it runs.
        """

        async def prepare() -> PreparedStatement:
            prepared = await self._prepare(text, parameter_oids, describe=describe)
            version = self._state.scope.generation.version
            return replace(prepared, security=self._state.security, version=version)

        return await self._settled(prepare)

    async def _settled(self, step: Callable[[], Awaitable[_T]]) -> _T:
        """Do something for whom the session acts by now, with the model in service.

        It is done again where that is replaced before the statement is understood.
        """
        for _ in range(MOST_CHANGES):
            await self._follow()
            with suppress(ModelChangedError):
                return await step()
        raise ModelChangedError

    async def _follow(self) -> None:
        await self._impersonation.follow()
        await self._state.follow_model()

    async def revalidated(self, name: str) -> PreparedStatement:
        """A prepared statement as it is for whom the session now acts, with the model in service.

        Raises 26000 for an unknown name, 0A000 where its columns are others now, and whatever
        preparing it anew does.
        """
        await self._follow()
        state = self._state
        prepared = state.find_statement(name)
        if prepared.query is None or prepared.is_for(state.security, state.scope):
            return prepared
        again = await self.prepare(prepared.text, prepared.parameter_oids, describe=True)
        if name or state.unnamed_described:
            check_same(prepared, again)
        state.statements[name] = again
        return again

    def check_own(self, portal: Portal) -> None:
        """Raises 34000 for a query's portal of whom the session no longer acts for."""
        prepared = portal.prepared
        if prepared.query is None or prepared.security is None:
            return
        if prepared.security != self._state.security:
            raise SessionError("34000", f'portal "{portal.name}" does not exist')

    async def _prepare(
        self, text: str, parameter_oids: Sequence[int], *, describe: bool
    ) -> PreparedStatement:
        statement = await self._engine.read(text)
        self.check_not_aborted(statement)
        if isinstance(statement, sql.Select):
            return await self._prepare_query(text, statement, parameter_oids, describe=describe)
        if isinstance(statement, sql.Explain):
            return await self._prepare_explain(text, statement, parameter_oids)
        if isinstance(statement, sql.Show):
            return await self._settings.prepare_show(text, statement)
        if isinstance(statement, sql.Fetch):
            fields = None if statement.move else self._cursors.fields(statement.name)
            return PreparedStatement(text, statement, fields=fields)
        if isinstance(statement, sql.Execute):
            named = await self.revalidated(statement.name)
            return PreparedStatement(text, statement, fields=named.fields)
        if isinstance(statement, sql.CopyOut | sql.Declare):
            with self._state.shifted_by(statement.query_offset):
                query = await self._analysed(statement.query, parameter_oids)
            return PreparedStatement(text, statement, query.parameter_oids, None, query)
        if isinstance(statement, sql.TableChange) and await self._tables.may_run(statement):
            return await self._tables.prepare(text, statement, parameter_oids, describe=describe)
        if isinstance(statement, sql.Other):
            await self._refuse(statement, parameter_oids)
        return PreparedStatement(text, statement)

    async def _prepare_query(
        self, text: str, statement: sql.Select, oids: Sequence[int], *, describe: bool
    ) -> PreparedStatement:
        if not describe and not self._may_touch(text):
            return PreparedStatement(text, statement, query=CatalogQuery(text, None, ()))
        call = backend_call(text)
        query = await self._analysed(text if call is None else call.described_by, oids)
        return PreparedStatement(text, statement, query.parameter_oids, query.fields, query)

    def _may_touch(self, text: str) -> bool:
        """Whether a query may read a cube, its own or that of the user it asks to run for."""
        return self._state.scope.generation.may_touch(text) or USER_FIELD in text.lower()

    async def _analysed(self, text: str, oids: Sequence[int]) -> CubeQuery | CatalogQuery:
        """What a query is, for whom it is to run."""
        acting = self._acting(text)
        if acting is None:
            return await self._engine.prepare(text, oids, self._state.caller())
        caller = await self._impersonation.caller_for(acting.user, acting.position)
        query = await self._engine.prepare(acting.sql, oids, caller)
        if not isinstance(query, CubeQuery):
            raise UnsupportedError(
                f"{USER_FIELD} where no cube is read is not supported", position=acting.position
            )
        return replace(query, as_user=acting.user)

    def _acting(self, text: str) -> ActingStatement | None:
        """Whom a query over cubes, whoever may see them, asks to be run for."""
        if USER_FIELD not in text.lower() or not self._engine.scopes.generation.may_touch(text):
            return None
        try:
            found = acting_statement(text)
        except UnparsableStatement:
            return None  # which preparing it reports
        temporary = self._state.temporary
        if found is not None and temporary.exist and temporary.concerns(text):
            raise UnsupportedError(
                f"{USER_FIELD} beside temporary tables is not supported", position=found.position
            )
        return found

    async def _prepare_explain(
        self, text: str, statement: sql.Explain, oids: Sequence[int]
    ) -> PreparedStatement:
        caller = self._state.caller()
        inner = await self._engine.read(statement.query)
        if isinstance(inner, sql.Select) and self._may_touch(statement.query):
            with self._state.shifted_by(statement.query_offset):
                query = await self._analysed(statement.query, oids)
            if isinstance(query, CubeQuery):
                fields = explain_fields(statement)
                return PreparedStatement(text, statement, query.parameter_oids, fields, query)
        if isinstance(inner, sql.Execute):
            return await self._named.prepare_explain(text, statement, inner, self)
        if isinstance(inner, sql.TableChange):
            if not await self._tables.may_run(inner):
                await self._refuse(inner, oids)
            await self._tables.check_plain(inner)
        elif isinstance(inner, sql.Other) and inner.verb:
            await self._refuse(inner, oids)
        whole = await self._engine.prepare_catalog(text, oids, caller)
        return PreparedStatement(text, statement, whole.parameter_oids, whole.fields, whole)

    async def _refuse(self, statement: sql.Other, oids: Sequence[int]) -> None:
        """Say no the way PostgreSQL would: its syntax error if it is one, else read-only."""
        if not statement.verb:
            await self._engine.prepare_catalog(statement.text, oids, self._state.caller())
        raise write_refusal(statement)

    async def split(self, text: str) -> tuple[StatementText, ...]:
        """The statements of a text, empty ones dropped."""
        return await self._engine.split(text)

    async def check_syntax(
        self, parts: Sequence[StatementText], breathe: Callable[[], Awaitable[None]]
    ) -> None:
        """Refuse a text of several statements where one has a syntax error, before any runs.

        PostgreSQL parses the whole text first.
        """
        for part in parts:
            self._state.offset = part.offset
            statement = await self._engine.read(part.text)
            await breathe()
            if isinstance(statement, sql.Select):
                await self._engine.check_syntax(part.text, self._state.caller())

    def check_not_aborted(self, statement: sql.Statement | None) -> None:
        """Raises 25P02 for anything but the end of a failed transaction block."""
        if self._state.transaction.status != "E" or statement is None:
            return
        if isinstance(statement, sql.Commit | sql.Rollback | sql.RollbackTo):
            return
        raise SessionError(
            "25P02",
            "current transaction is aborted, commands ignored until end of transaction block",
        )

    def check_no_parameters(self, prepared: PreparedStatement) -> None:
        """Raises 42P02 for a parameter in a simple Query, which has nothing to bind to it."""
        if prepared.parameter_oids:
            position = prepared.text.find("$1") + 1
            raise SessionError("42P02", "there is no parameter $1", position=position or None)

    def fields_of(self, prepared: PreparedStatement) -> tuple[FieldDescription, ...] | None:
        """The columns that Describe reports: for FETCH, those the cursor has by now."""
        if isinstance(prepared.statement, sql.Fetch) and not prepared.statement.move:
            return self._cursors.fields(prepared.statement.name)
        return prepared.fields

    # ------------------------------------------------------------------------- bind

    async def bind(self, message: Bind, prepared: PreparedStatement) -> Portal:
        """A portal of a statement and values.

        Raises 08P01 for counts that do not fit, and the SQLSTATE of a value that cannot be read.
        """
        oids = prepared.parameter_oids
        if len(message.parameters) != len(oids):
            raise SessionError(
                "08P01",
                f"bind message supplies {len(message.parameters)} parameters, but prepared "
                f'statement "{message.statement}" requires {len(oids)}',
            )
        if len(message.parameter_formats) > 1 and len(message.parameter_formats) != len(oids):
            raise SessionError(
                "08P01",
                f"bind message has {len(message.parameter_formats)} parameter formats "
                f"but {len(oids)} parameters",
            )
        columns = len(self.fields_of(prepared) or ())
        if len(message.result_formats) > 1 and len(message.result_formats) != columns:
            raise SessionError(
                "08P01",
                f"bind message has {len(message.result_formats)} result formats "
                f"but query has {columns} columns",
            )
        for code in message.parameter_formats:
            if code not in (0, 1):
                raise SessionError("22023", f"unsupported format code: {code}")
        formats = expand_formats(message.parameter_formats, len(oids))
        values: tuple[object, ...] = ()
        if oids:
            values = await self._decode(prepared, message, formats)
        return Portal(
            message.portal,
            prepared,
            message.parameters,
            formats,
            message.result_formats,
            values,
            self._state.transaction.nesting,
        )

    async def _decode(
        self, prepared: PreparedStatement, message: Bind, formats: Sequence[int]
    ) -> tuple[object, ...]:
        """The values, so that one that is malformed is reported where PostgreSQL reports it.

        Values of types that no warehouse has (regclass) are left to the catalog, which gets the
        bytes anyhow.
        """
        try:
            return await self._engine.decode_parameters(
                prepared.parameter_oids, message.parameters, formats, self._state.caller()
            )
        except ParameterError as error:
            if error.sqlstate != "0A000" or not isinstance(prepared.query, CatalogQuery):
                raise
            return ()

    # ------------------------------------------------------------------------- open

    async def resume(self, portal: Portal, limit: int | None) -> Outcome:
        """The outcome of a portal, running it the first time.

        A portal that DECLARE made is its cursor, read on by ``limit`` rows.

        Raises 55000 for a finished statement without rows, which cannot be run again.
        """
        await self._follow()
        self._state.find_portal(portal.name)
        if portal.name in self._state.cursors:
            return await self._cursors.read_on(portal, limit)
        if portal.outcome is None:
            portal.outcome = await self._settled(partial(self.open, portal))
        elif not isinstance(portal.outcome, Rows):
            raise SessionError("55000", f'portal "{portal.name}" cannot be run')
        return portal.outcome

    async def begin(self, portal: Portal) -> Outcome:
        """Carry out a statement of a simple Query, as far as nothing has to be sent yet.

        Raises ModelChangedError where a text that named no cube of the model names one by now: the
        catalog, which it was sent to, must not answer it.
        """
        caller = self._state.caller()
        try:
            outcome = await self.open(portal)
        except CatalogError:
            if await self._names_cube_by_now(portal, caller):
                raise ModelChangedError from None
            raise
        if await self._names_cube_by_now(portal, caller):
            await outcome.close()
            raise ModelChangedError
        if isinstance(outcome, Rows):
            await outcome.anticipate()
        return outcome

    async def _names_cube_by_now(self, portal: Portal, caller: Caller) -> bool:
        prepared = portal.prepared
        if caller.own is not None or not self._engine.is_overtaken(caller):
            return False
        if not isinstance(prepared.statement, sql.Select) or isinstance(prepared.query, CubeQuery):
            return False
        await self._engine.scopes.settled()
        await self._follow()
        return self._may_touch(prepared.text)

    async def open(self, portal: Portal) -> Outcome:
        """Carry out a statement; where it returns rows, start them."""
        statement = portal.prepared.statement
        if isinstance(statement, sql.Select):
            return await self.open_query(portal)
        if isinstance(statement, sql.Explain):
            return await self._explain(portal, statement)
        if isinstance(statement, sql.Show):
            return await self._settings.show(portal, statement)
        if isinstance(statement, sql.Declare | sql.Fetch | sql.CloseCursor):
            return await self._cursors.run(portal, statement, self.open_query)
        if isinstance(statement, sql.Set | sql.SetTransaction | sql.Reset | sql.Discard):
            return await self._settings.run(statement)
        if isinstance(statement, sql.Prepare | sql.Execute | sql.Deallocate):
            return await self._named.run(portal, statement, self)
        if isinstance(statement, sql.CopyOut):
            return await self._copy_out(portal, statement)
        if isinstance(statement, sql.TableChange):
            return await self._tables.run(portal, statement, self._current)
        if isinstance(statement, TransactionCommands.KINDS):
            return await self._transactions.run(statement)
        if isinstance(statement, sql.Unlisten):
            return Done("UNLISTEN")
        raise refusal(statement)

    async def _copy_out(self, portal: Portal, statement: sql.CopyOut) -> Outcome:
        query, caller = portal.prepared.query, self._state.caller()
        if isinstance(query, CubeQuery):
            query, caller = await self._current(query, portal, caller)
        told = self._state.told_of(caller)
        return await open_copy(self._engine, told, portal, query, statement)

    async def open_query(self, portal: Portal) -> Rows:
        """Start a SELECT on the warehouse or the catalog."""
        query = portal.prepared.query
        caller = self._state.caller()
        self._state.transaction.queried = True
        if isinstance(query, CubeQuery):
            query, caller = await self._current(query, portal, caller)
            formats = expand_formats(portal.result_formats, len(query.fields))
            told = self._state.told_of(caller)
            found = await self._engine.open_cube(query, portal.values, formats, told)
            return Rows(RowReader(found.source), query.fields, found=found, caller=caller)
        if query is None:
            raise SessionError("XX000", "a query was not prepared")
        return await self._open_catalog(portal, query)

    async def _current(
        self, query: CubeQuery, portal: Portal, caller: Caller
    ) -> tuple[CubeQuery, Caller]:
        """A query as it is to be run now: under these settings and values."""
        if query.as_user is not None:
            caller = await self._impersonation.caller_for(query.as_user)
            self._state.recorder.overseer.check(self._state.user, query.as_user)
            self._impersonation.ran_for(query.as_user)
        caller = await self._engine.informed(caller, query.sql)
        if self._state.transaction.has_snapshot:
            # Its reads are to be of one moment, which results of others are not, nor stored data.
            caller = replace(caller, cache="off")
            if caller.rollup_choice.mode == "on":
                caller = replace(caller, rollup_choice=RollupChoice("off"), rollups=ROLLUPS_OFF)
        if query.fingerprint != caller.fingerprint():
            again = await self._engine.prepare(query.sql, query.parameter_oids, caller)
            fills = isinstance(portal.prepared.statement, sql.TableChange)
            again = again if fills and isinstance(again, CubeQuery) else unchanged(query, again)
            query = replace(again, as_user=query.as_user)
        query = self._engine.settle(query, portal.values, caller)
        if self._state.running is not None:
            self._state.running.runs(query, caller)
        return query, caller

    async def _open_catalog(self, portal: Portal, query: CatalogQuery) -> Rows:
        caller = self._state.caller()
        call = backend_call(portal.prepared.text)
        if call is not None:
            argument = portal.values[0] if portal.values else None
            done = self._backends.carry_out(call, argument, self._state.user)
            query = CatalogQuery(call.answered_by(done), query.fields, ())
        nap = sleep_call(portal.prepared.text, portal.values)
        if nap is not None:
            await sleep(nap.seconds, caller.statement_timeout)
            query = CatalogQuery(nap.answer, query.fields, ())
        if query.fields is None:
            source = await self._engine.open_catalog_simple(
                query.sql, caller, self._settings.observe
            )
        else:
            source = await self._engine.open_catalog(
                query.sql,
                caller,
                parameter_oids=query.parameter_oids,
                parameter_formats=portal.parameter_formats if query.parameter_oids else (),
                parameters=portal.parameters if query.parameter_oids else (),
                result_formats=portal.result_formats,
                on_settings=self._settings.observe,
            )
        result = source.result
        return Rows(RowReader(source), result.fields or (), notices=result.notices)

    async def _explain(self, portal: Portal, statement: sql.Explain) -> Rows:
        portal = await self._named.explained(portal, statement, self)
        query = portal.prepared.query
        if isinstance(query, CatalogQuery):
            rows = await self._open_catalog(portal, query)
            rows.command, rows.counted = "EXPLAIN", False
            return rows
        if query is None:
            raise SessionError("XX000", "a query was not prepared")
        query, caller = await self._current(query, portal, self._state.caller())
        lines = await explain_lines(self._engine, caller, portal, statement, query)
        source = StaticSource([(line,) for line in lines])
        return Rows(RowReader(source), explain_fields(statement), "EXPLAIN", counted=False)
