"""The one error root of the connectors."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


class WarehouseError(Exception):
    """A statement failed in the warehouse, or the warehouse could not be reached.

    Attributes:
        sqlstate: PostgreSQL's code for it (a DuckDB error is mapped to one).
        message: the warehouse's first line, fit to be shown to the caller.
        detail: the rest, which may carry row values.
        hint: what to do about it.
        reached: whether the statement may have reached the warehouse; only what never did may be
            tried again.
    """

    def __init__(
        self,
        sqlstate: str,
        message: str,
        *,
        detail: str | None = None,
        hint: str | None = None,
        reached: bool = True,
    ) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate
        self.message = message
        self.detail = detail
        self.hint = hint
        self.reached = reached
        self.position: int | None = None


def stop_error(reason: str) -> WarehouseError:
    """The error of a statement that was stopped: by "user", "timeout", "shutdown" or "silence"."""
    if reason == "timeout":
        return WarehouseError("57014", "canceling statement due to statement timeout")
    if reason == "silence":
        return WarehouseError("08006", "the data source does not answer any more")
    if reason == "shutdown":
        return WarehouseError("57P01", "terminating connection due to administrator command")
    return WarehouseError("57014", "canceling statement due to user request")


def opened(parts: T | None, *, closed: bool) -> T:
    """What a connector has opened. Refuses (57P01) once it is closed, and (08003) before."""
    if closed:
        raise stop_error("shutdown")
    if parts is None:
        raise WarehouseError("08003", "the data source is not open", reached=False)
    return parts


def checked_text(text: str) -> bytes:
    """A statement or value as UTF-8. Refuses (22021) what PostgreSQL's text cannot hold."""
    if "\x00" in text:
        raise WarehouseError(
            "22021", 'invalid byte sequence for encoding "UTF8": 0x00', reached=False
        )
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise WarehouseError(
            "22021", 'invalid byte sequence for encoding "UTF8"', reached=False
        ) from None
