"""How much a client may make the server hold."""

from __future__ import annotations

from dataclasses import dataclass

MEBIBYTE = 2**20


@dataclass(frozen=True, slots=True)
class WireLimits:
    """Sizes in bytes; a message over its limit ends the connection with an error naming the limit.

    Attributes:
        startup_bytes: what follows the length of a message that opens a connection
            (PostgreSQL's MAX_STARTUP_PACKET_LENGTH).
        authentication_bytes: length field of a message while the client is unknown.
        command_bytes: length field of Close, Describe, Execute, Flush, Sync, Terminate, CopyDone,
            CopyFail, which hold no more than a name (PostgreSQL's PQ_SMALL_MESSAGE_LIMIT).
        message_bytes: length field of Query, Parse, Bind, FunctionCall, CopyData.
        backlog_bytes: unread bytes beyond which `ServerConnection.full` asks to stop reading.
    """

    startup_bytes: int = 10_000
    authentication_bytes: int = 16_384
    command_bytes: int = 10_000
    message_bytes: int = 64 * MEBIBYTE
    backlog_bytes: int = MEBIBYTE


DEFAULT_LIMITS = WireLimits()
