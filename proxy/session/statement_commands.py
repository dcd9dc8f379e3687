"""PREPARE, EXECUTE and DEALLOCATE: the SQL face of prepared statements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from proxy.engine import Engine
from proxy.errors import SessionError
from proxy.queries import type_of
from proxy.session.portal import Portal
from proxy.session.prepared import PreparedStatement
from proxy.session.results import Done, Outcome
from proxy.session.state import SessionState
from semantic.compiler import statements as sql


class Preparer(Protocol):
    """Prepares and opens statements: the runner."""

    async def prepare(
        self, text: str, parameter_oids: Sequence[int], *, describe: bool
    ) -> PreparedStatement:
        """Find out what one statement is."""

    async def open(self, portal: Portal) -> Outcome:
        """Carry out a statement."""

    async def revalidated(self, name: str) -> PreparedStatement:
        """A prepared statement as it is for whom the session now acts."""


class StatementCommands:
    """The prepared statements of one session, as SQL reaches them."""

    def __init__(self, engine: Engine, state: SessionState) -> None:
        self._engine = engine
        self._state = state

    async def run(
        self,
        portal: Portal,
        statement: sql.Prepare | sql.Execute | sql.Deallocate,
        preparer: Preparer,
    ) -> Outcome:
        """Carry one out."""
        if isinstance(statement, sql.Prepare):
            await self._prepare(statement, preparer)
            return Done("PREPARE")
        if isinstance(statement, sql.Deallocate):
            if statement.name is None:
                self._state.statements.clear()
                return Done("DEALLOCATE ALL")
            self._state.find_statement(statement.name)
            del self._state.statements[statement.name]
            return Done("DEALLOCATE")
        return await self._execute(portal, statement, preparer)

    async def _prepare(self, statement: sql.Prepare, preparer: Preparer) -> None:
        self._state.check_new_statement(statement.name)
        inner = await self._engine.read(statement.query)
        if not isinstance(inner, sql.Select) and not _is_write(inner):
            word = statement.query.split(maxsplit=1)[0]
            raise SessionError(
                "42601",
                f'syntax error at or near "{word}"',
                position=statement.query_offset + 1,
            )
        oids: Sequence[int] = ()
        if statement.type_texts:
            nulls = ", ".join(f"NULL::{kind}" for kind in statement.type_texts)
            types = await self._engine.prepare_catalog(f"SELECT {nulls}", (), self._state.caller())
            oids = tuple(field.type_oid for field in types.fields or ())
        with self._state.shifted_by(statement.query_offset):
            prepared = await preparer.prepare(statement.query, oids, describe=True)
        self._state.statements[statement.name] = prepared

    async def _execute(self, portal: Portal, statement: sql.Execute, preparer: Preparer) -> Outcome:
        prepared = await preparer.revalidated(statement.name)
        wanted = len(prepared.parameter_oids)
        if len(statement.argument_texts) != wanted:
            raise SessionError(
                "42601",
                f'wrong number of parameters for prepared statement "{statement.name}"',
                detail=f"Expected {wanted} parameters but got {len(statement.argument_texts)}.",
            )
        raw = await self._evaluate(prepared, statement.argument_texts)
        formats = (0,) * wanted
        values = await self._engine.decode_parameters(
            prepared.parameter_oids, raw, formats, self._state.caller()
        )
        run = Portal("", prepared, raw, formats, portal.result_formats, values)
        return await preparer.open(run)

    async def _evaluate(
        self, prepared: PreparedStatement, arguments: Sequence[str]
    ) -> tuple[bytes | None, ...]:
        """Arguments are expressions: the catalog computes them, cast to the parameters' types."""
        if not arguments:
            return ()
        casts = []
        for text, oid in zip(arguments, prepared.parameter_oids, strict=True):
            name = type_of(oid).name
            kind = f"pg_catalog.{_identifier(name)}"
            casts.append(f"CAST(({text}) AS {kind})")
        return await self._engine.evaluate("SELECT " + ", ".join(casts), self._state.caller())


def _is_write(statement: sql.Statement) -> bool:
    """Statements that PREPARE takes besides queries; they are refused when they are prepared."""
    return isinstance(statement, sql.Other) and statement.verb in (
        "",
        "INSERT",
        "UPDATE",
        "DELETE",
        "MERGE",
    )


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
