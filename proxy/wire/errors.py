"""The errors of the protocol core: the peer's fault apart from our own."""

from __future__ import annotations


class WireError(Exception):
    """Root of everything this package raises on purpose."""


class ProtocolViolation(WireError):  # noqa: N818
    """The peer sent what the protocol does not allow.

    Attributes:
        sqlstate: PostgreSQL's code for it, 08P01 unless it has a better one.
        message: one line in PostgreSQL's wording where it has one.
        fatal: the stream cannot be trusted any more: answer (severity FATAL), then close.
        detail: optional second line.
    """

    def __init__(
        self,
        sqlstate: str,
        message: str,
        *,
        fatal: bool = False,
        detail: str | None = None,
    ) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate
        self.message = message
        self.fatal = fatal
        self.detail = detail


class InvalidMove(WireError):  # noqa: N818
    """Our own side did what the connection's phase does not allow: a bug, never the peer's."""
