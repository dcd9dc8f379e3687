"""The server's own errors, and the one place where any error becomes what a client is sent."""

from __future__ import annotations

import asyncio
from typing import Literal

from connectors.errors import WarehouseError
from proxy.catalog.errors import CatalogError
from proxy.rows.errors import RowsError
from proxy.wire.errors import ProtocolViolation
from semantic.errors import SemanticError

Severity = Literal["ERROR", "FATAL", "PANIC"]


class SessionError(Exception):
    """A statement or message that the server itself refuses.

    Attributes:
        sqlstate: five characters of PostgreSQL's Appendix A.
        message: one line as PostgreSQL writes them.
        severity: FATAL ends the connection.
    """

    def __init__(
        self,
        sqlstate: str,
        message: str,
        *,
        detail: str | None = None,
        hint: str | None = None,
        position: int | None = None,
        severity: Severity = "ERROR",
    ) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate
        self.message = message
        self.detail = detail
        self.hint = hint
        self.position = position
        self.severity: Severity = severity


def error_fields(
    sqlstate: str,
    message: str,
    *,
    detail: str | None = None,
    hint: str | None = None,
    position: int | None = None,
    severity: str = "ERROR",
) -> dict[str, str]:
    """The fields of an ErrorResponse or NoticeResponse (protocol manual, section 55.8)."""
    fields = {"S": severity, "V": severity, "C": sqlstate, "M": message}
    if detail:
        fields["D"] = detail
    if hint:
        fields["H"] = hint
    if position is not None:
        fields["P"] = str(position)
    return fields


def is_own_fault(error: BaseException) -> bool:
    """Whether a warehouse complains of the syntax or names of SQL that we have written."""
    return isinstance(error, WarehouseError) and error.sqlstate.startswith("42")


def let_go(error: BaseException) -> None:
    """Let go of what the functions that an error went through held: it has been dealt with.

    An error, its traceback and a variable that still names it are a cycle, which keeps the rows,
    the session and the connection of whoever met it until the collector looks at the whole heap.
    """
    told: set[int] = set()
    chain: list[BaseException | None] = [error]
    while chain:
        link = chain.pop()
        if link is None or id(link) in told:
            continue
        told.add(id(link))
        link.__traceback__ = None
        chain += (link.__cause__, link.__context__)
        if isinstance(link, BaseExceptionGroup):
            chain += link.exceptions


def flatten(error: BaseException, offset: int = 0) -> dict[str, str]:
    """Turn any error into ErrorResponse fields.

    Args:
        error: what was raised, by whichever layer.
        offset: characters of the client's text before the statement that failed, so that the
            position counts from the start of what the client sent.

    Returns:
        Fields by their one-letter code. What is not a known kind of error is a fault of ours
        (XX000) and says nothing of its inside.
    """
    if isinstance(error, CatalogError):
        fields = dict(error.fields)
        fields.setdefault("S", "ERROR")
        fields.setdefault("V", fields["S"])
        fields.setdefault("C", error.sqlstate)
        fields.setdefault("M", error.message)
        if error.position is not None:
            fields["P"] = str(error.position + offset)
        return fields
    if isinstance(error, ProtocolViolation):
        severity = "FATAL" if error.fatal else "ERROR"
        return error_fields(error.sqlstate, error.message, detail=error.detail, severity=severity)
    if is_own_fault(error):
        return error_fields(
            "0A000",
            "the warehouse does not understand what the statement was compiled to",
            hint="Write the statement in another way. The log has what the warehouse says.",
        )
    if isinstance(error, WarehouseError):
        # Its detail may hold row values and the warehouse's SQL, policies and all.
        return error_fields(error.sqlstate, error.message, hint=error.hint)
    if isinstance(error, SessionError | SemanticError):
        position = error.position + offset if error.position is not None else None
        return error_fields(
            error.sqlstate,
            error.message,
            detail=error.detail,
            hint=error.hint,
            position=position,
            severity=error.severity if isinstance(error, SessionError) else "ERROR",
        )
    if isinstance(error, RowsError):
        return error_fields(error.sqlstate, error.message, detail=error.detail, hint=error.hint)
    if isinstance(error, asyncio.CancelledError):
        return error_fields("57014", "canceling statement due to user request")
    if isinstance(error, MemoryError):
        return error_fields("53200", "out of memory")
    return error_fields(
        "XX000",
        "internal error",
        hint="The server's log has the details under this connection's process id.",
    )
