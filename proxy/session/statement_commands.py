"""PREPARE, EXECUTE, EXPLAIN EXECUTE and DEALLOCATE: the SQL face of prepared statements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from proxy.engine import Engine
from proxy.errors import SessionError
from proxy.queries import CatalogQuery, CubeQuery, type_of
from proxy.session.explaining import explain_fields
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
        return await preparer.open(await self._bound(portal, statement, preparer))

    async def prepare_explain(
        self, text: str, statement: sql.Explain, inner: sql.Execute, preparer: Preparer
    ) -> PreparedStatement:
        """EXPLAIN EXECUTE is EXPLAIN of the text that was prepared, its parameters included.

        Raises 26000 for an unknown name, 0A000 for a statement that is no query.
        """
        named = await preparer.revalidated(inner.name)
        query = named.query if isinstance(named.statement, sql.Select) else None
        if isinstance(query, CubeQuery):
            return PreparedStatement(text, statement, fields=explain_fields(statement), query=query)
        if not isinstance(query, CatalogQuery):
            raise SessionError(
                "0A000",
                "EXPLAIN EXECUTE of a statement that is no query is not supported",
                hint="Explain the text of the prepared statement.",
            )
        whole = await self._engine.prepare_catalog(
            text[: statement.query_offset] + named.text, named.parameter_oids, self._state.caller()
        )
        return PreparedStatement(text, statement, fields=whole.fields, query=whole)

    async def explained(self, portal: Portal, statement: sql.Explain, preparer: Preparer) -> Portal:
        """What an EXPLAIN explains: of EXECUTE the named statement with the arguments' values."""
        inner = await self._engine.read(statement.query)
        if not isinstance(inner, sql.Execute):
            return portal
        text = portal.prepared.text
        prepared = await self.prepare_explain(text, statement, inner, preparer)
        return replace(await self._bound(portal, inner, preparer), prepared=prepared)

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

    async def _bound(self, portal: Portal, statement: sql.Execute, preparer: Preparer) -> Portal:
        """The prepared statement that EXECUTE names, with the values of its arguments."""
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
        return Portal("", prepared, raw, formats, portal.result_formats, values)

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
