"""DECLARE, FETCH, MOVE and CLOSE."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

from proxy.errors import SessionError
from proxy.queries import with_formats
from proxy.rows.encoded import EncodedRows
from proxy.session.cursor import Cursor, Direction
from proxy.session.portal import Portal, expand_formats
from proxy.session.prepared import PreparedStatement
from proxy.session.reader import RowReader
from proxy.session.results import Done, Outcome, Rows
from proxy.session.state import SessionState
from proxy.wire.backend import FieldDescription
from semantic.compiler import statements as sql

OpenQuery = Callable[[Portal], Awaitable[Rows]]


class _FetchSource:
    """The rows of one FETCH as a row source. Closing it leaves the cursor open."""

    def __init__(self, cursor: Cursor, direction: Direction, count: int | None) -> None:
        self._rows = cursor.fetch(direction, count)

    async def next_rows(self) -> EncodedRows | None:
        return await anext(self._rows, None)

    async def close(self) -> None:
        return


class CursorCommands:
    """The cursors of one session."""

    def __init__(self, state: SessionState) -> None:
        self._state = state

    def fields(self, name: str) -> tuple[FieldDescription, ...] | None:
        """The columns of a cursor; 34000 for an unknown one."""
        self._check_known(name)
        return self._state.portals[name].prepared.fields

    async def run(
        self,
        portal: Portal,
        statement: sql.Declare | sql.Fetch | sql.CloseCursor,
        open_query: OpenQuery,
    ) -> Outcome:
        """Carry one out."""
        if isinstance(statement, sql.Declare):
            await self._declare(portal, statement, open_query)
            return Done("DECLARE CURSOR")
        if isinstance(statement, sql.CloseCursor):
            return await self._close(statement)
        self._check_known(statement.name)
        declared = self._state.portals[statement.name]
        if self._state.running is not None:
            self._state.running.reads(declared.prepared.query)
        cursor = self._state.cursors.get(statement.name) or await self._adopt(declared, open_query)
        fields = declared.prepared.fields or ()
        wanted = (1,) if cursor.binary else portal.result_formats
        formats = expand_formats(wanted, len(fields))
        await cursor.open(None if statement.move else formats, len(fields))
        direction = cast("Direction", statement.direction.lower())
        if statement.move:
            moved = 0
            async for rows in cursor.fetch(direction, statement.count):
                moved += rows.rows
            return Done(f"MOVE {moved}")
        source = _FetchSource(cursor, direction, statement.count)
        return Rows(RowReader(source), with_formats(fields, formats), "FETCH")

    async def read_on(self, portal: Portal, limit: int | None) -> Rows:
        """Execute of the portal that DECLARE made."""
        cursor = self._state.cursors[portal.name]
        fields = portal.prepared.fields or ()
        await cursor.open(expand_formats(portal.result_formats, len(fields)), len(fields))
        return Rows(RowReader(_FetchSource(cursor, "forward", limit)), fields)

    def _check_known(self, name: str) -> None:
        """Raises 34000 unless FETCH can name it: a cursor, or a query's portal that Bind made."""
        portal = self._state.portals.get(name)
        if portal is None or not isinstance(portal.prepared.statement, sql.Select):
            self._state.find_cursor(name)

    async def _adopt(self, portal: Portal, open_query: OpenQuery) -> Cursor:
        """A portal that Bind made, which SQL reads on: forward only, in the formats of Bind."""
        state = self._state
        outcome, portal.outcome = portal.outcome, None
        rows = outcome if isinstance(outcome, Rows) else await open_query(portal)
        columns = len(portal.prepared.fields or ())

        async def opener(_formats: tuple[int, ...]) -> RowReader:
            return rows.reader

        cursor = Cursor(portal.name, opener, False, False, False, state.kept)
        state.cursors[portal.name] = cursor
        await cursor.open(expand_formats(portal.result_formats, columns), columns)
        return cursor

    async def _declare(self, portal: Portal, statement: sql.Declare, open_query: OpenQuery) -> None:
        state = self._state
        transaction = state.transaction
        if not statement.hold and not transaction.in_block and not state.several:
            raise SessionError("25P01", "DECLARE CURSOR can only be used in transaction blocks")
        state.check_new_portal(statement.name)
        query = portal.prepared.query
        fields = query.fields if query is not None else None
        prepared = PreparedStatement(
            statement.query,
            sql.Select(statement.query),
            portal.prepared.parameter_oids,
            fields,
            query,
        )

        async def opener(formats: tuple[int, ...]) -> RowReader:
            run = Portal(
                statement.name,
                prepared,
                portal.parameters,
                portal.parameter_formats,
                formats,
                portal.values,
            )
            rows = await open_query(run)
            # They go out with the first rows that are fetched.
            state.notices += rows.notices or []
            return rows.reader

        codes = (1,) if statement.binary else ()
        state.portals[statement.name] = Portal(
            statement.name, prepared, result_formats=codes, nesting=transaction.nesting
        )
        state.cursors[statement.name] = Cursor(
            statement.name,
            opener,
            statement.scroll,
            statement.binary,
            statement.hold,
            state.kept,
        )
        if state.temporary.concerns(statement.query):
            # It sees the rows of now, whatever happens to the table before it is read.
            formats = expand_formats(codes, len(fields or ()))
            cursor = state.cursors[statement.name]
            await cursor.open(formats, len(fields or ()))
            writes = state.temporary.writes
            cursor.may_run_again = lambda: state.temporary.writes == writes

    async def _close(self, statement: sql.CloseCursor) -> Done:
        if statement.name is None:
            for name in list(self._state.cursors):
                await self._state.drop_portal(name)
            return Done("CLOSE CURSOR ALL")
        self._check_known(statement.name)
        await self._state.drop_portal(statement.name)
        return Done("CLOSE CURSOR")
