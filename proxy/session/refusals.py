"""What the server refuses to do, in PostgreSQL's words."""

from __future__ import annotations

from proxy.errors import SessionError
from semantic.compiler import statements as sql

_READ_ONLY = "cannot execute {} in a read-only transaction"


def write_refusal(statement: sql.Other) -> SessionError:
    """The error of a statement that would write."""
    hint = "Cubewire serves cubes for reading; write to the warehouse itself."
    if statement.temporary:
        hint = (
            "Only tables can be temporary here: CREATE TEMPORARY TABLE ... AS holds a query's rows."
        )
    return SessionError("25006", _READ_ONLY.format(statement.verb or "this command"), hint=hint)


def refusal(statement: sql.Statement | None) -> SessionError:
    """The error of a kind of statement that is never carried out."""
    if isinstance(statement, sql.CopyServer):
        return SessionError(
            "42501",
            "permission denied to COPY to or from a file or an external program",
            hint="Use COPY ... TO STDOUT; psql's \\copy also works for anyone.",
        )
    if isinstance(statement, sql.CopyIn):
        return SessionError(
            "25006",
            _READ_ONLY.format("COPY FROM"),
            hint="Cubewire serves cubes for reading; a temporary table is filled by INSERT.",
        )
    if isinstance(statement, sql.Lock):
        return SessionError("25006", _READ_ONLY.format("LOCK TABLE"))
    if isinstance(statement, sql.Listen | sql.Notify):
        name = type(statement).__name__.upper()
        return SessionError(
            "0A000", f"{name} is not supported", hint="Nothing in Cubewire sends notifications."
        )
    return SessionError("0A000", f"{type(statement).__name__} is not supported")
