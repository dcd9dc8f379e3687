"""The life of a connection as one table: (phase, what happens) -> next phase.

Rules of this file:

- What happens is a message of the client (its class) or a `Move` of our own side.
- A pair that is in the table is allowed; one that is not is a `ProtocolViolation` naming both when
  the client does it, and an `InvalidMove`, a bug of ours, when we do.
- A phase whose row holds no message *holds* the client: its bytes wait until our side has moved.
- `DROPPED` messages are read, length checked, and forgotten, as PostgreSQL does with everything
  between an error and Sync, and with COPY messages that come after a COPY has failed.
- The diagram of the README is made from the table by `diagram`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

from proxy.wire.errors import InvalidMove, ProtocolViolation
from proxy.wire.frontend import (
    AuthenticationResponse,
    Bind,
    CancelRequest,
    Close,
    CopyData,
    CopyDone,
    CopyFail,
    Describe,
    Execute,
    Flush,
    FrontendMessage,
    FunctionCall,
    GSSENCRequest,
    Opening,
    Parse,
    Query,
    SSLRequest,
    StartupMessage,
    Sync,
    Terminate,
)


class Phase(Enum):
    """Where a connection stands."""

    STARTUP = "startup"
    """Nothing has come yet."""
    SSL_REQUESTED = "ssl_requested"
    """SSLRequest came; we owe its answer, ``S`` or ``N``."""
    GSSENC_REQUESTED = "gssenc_requested"
    """GSSENCRequest came; we owe its answer, ``N``."""
    SSL_DECLINED = "ssl_declined"
    """We said ``N`` to TLS. GSSENCRequest may still follow."""
    GSSENC_DECLINED = "gssenc_declined"
    """We said ``N`` to GSSAPI. SSLRequest may still follow."""
    SSL_REQUESTED_LAST = "ssl_requested_last"
    """SSLRequest came after GSSAPI was declined."""
    GSSENC_REQUESTED_LAST = "gssenc_requested_last"
    """GSSENCRequest came after TLS was declined."""
    ENCRYPTION_DECLINED = "encryption_declined"
    """We said ``N`` to both."""
    TLS_HANDSHAKE = "tls_handshake"
    """TLS begins or has begun. Only what came through it is fed from here on."""
    STARTED = "started"
    """StartupMessage came; our side asks for a proof of identity, or does not."""
    AUTHENTICATION = "authentication"
    """The client proves who it is."""
    READY = "ready"
    """Between queries."""
    EXTENDED = "extended"
    """Inside a sequence of extended messages, until Sync."""
    ANSWERING = "answering"
    """We owe ReadyForQuery: to a Query, FunctionCall or Sync, or after authentication."""
    SKIPPING = "skipping"
    """An extended message failed: everything is dropped until Sync."""
    CLOSED = "closed"
    """Nothing more is read."""


class Move(Enum):
    """What our side does."""

    DECLINE_ENCRYPTION = "decline_encryption"
    START_TLS = "start_tls"
    START_AUTHENTICATION = "start_authentication"
    AUTHENTICATE = "authenticate"
    SKIP_UNTIL_SYNC = "skip_until_sync"
    READY = "ready"
    CLOSE = "close"


class _Dropped(Enum):
    DROPPED = "dropped"


DROPPED: Final = _Dropped.DROPPED
"""The message is read and forgotten; the phase stays."""

Happening = type[FrontendMessage] | Move
Step = Phase | _Dropped

_CLOSE: Mapping[Happening, Step] = {Move.CLOSE: Phase.CLOSED}
_BEGIN: Mapping[Happening, Step] = {
    StartupMessage: Phase.STARTED,
    CancelRequest: Phase.CLOSED,
    **_CLOSE,
}
_STRAY_COPY: Mapping[Happening, Step] = {
    CopyData: DROPPED,
    CopyDone: DROPPED,
    CopyFail: DROPPED,
}
_COMMANDS: Mapping[Happening, Step] = {
    Query: Phase.ANSWERING,
    FunctionCall: Phase.ANSWERING,
    Parse: Phase.EXTENDED,
    Bind: Phase.EXTENDED,
    Describe: Phase.EXTENDED,
    Execute: Phase.EXTENDED,
    Close: Phase.EXTENDED,
    Flush: Phase.EXTENDED,
    Sync: Phase.ANSWERING,
    Terminate: Phase.CLOSED,
    **_STRAY_COPY,
    **_CLOSE,
}

TABLE: Mapping[Phase, Mapping[Happening, Step]] = {
    Phase.STARTUP: {
        SSLRequest: Phase.SSL_REQUESTED,
        GSSENCRequest: Phase.GSSENC_REQUESTED,
        Move.START_TLS: Phase.TLS_HANDSHAKE,  # direct TLS, without a request
        **_BEGIN,
    },
    Phase.SSL_REQUESTED: {
        Move.DECLINE_ENCRYPTION: Phase.SSL_DECLINED,
        Move.START_TLS: Phase.TLS_HANDSHAKE,
        **_CLOSE,
    },
    Phase.GSSENC_REQUESTED: {
        Move.DECLINE_ENCRYPTION: Phase.GSSENC_DECLINED,
        **_CLOSE,
    },
    Phase.SSL_DECLINED: {GSSENCRequest: Phase.GSSENC_REQUESTED_LAST, **_BEGIN},
    Phase.GSSENC_DECLINED: {SSLRequest: Phase.SSL_REQUESTED_LAST, **_BEGIN},
    Phase.SSL_REQUESTED_LAST: {
        Move.DECLINE_ENCRYPTION: Phase.ENCRYPTION_DECLINED,
        Move.START_TLS: Phase.TLS_HANDSHAKE,
        **_CLOSE,
    },
    Phase.GSSENC_REQUESTED_LAST: {
        Move.DECLINE_ENCRYPTION: Phase.ENCRYPTION_DECLINED,
        **_CLOSE,
    },
    Phase.ENCRYPTION_DECLINED: _BEGIN,
    Phase.TLS_HANDSHAKE: _BEGIN,
    Phase.STARTED: {
        Move.START_AUTHENTICATION: Phase.AUTHENTICATION,
        Move.AUTHENTICATE: Phase.ANSWERING,
        **_CLOSE,
    },
    Phase.AUTHENTICATION: {
        AuthenticationResponse: Phase.AUTHENTICATION,
        Move.AUTHENTICATE: Phase.ANSWERING,
        **_CLOSE,
    },
    Phase.READY: _COMMANDS,
    Phase.EXTENDED: {Move.SKIP_UNTIL_SYNC: Phase.SKIPPING, **_COMMANDS},
    Phase.ANSWERING: {Move.READY: Phase.READY, **_CLOSE},
    Phase.SKIPPING: {
        Query: DROPPED,
        FunctionCall: DROPPED,
        Parse: DROPPED,
        Bind: DROPPED,
        Describe: DROPPED,
        Execute: DROPPED,
        Close: DROPPED,
        Flush: DROPPED,
        Sync: Phase.ANSWERING,
        Terminate: Phase.CLOSED,
        Move.SKIP_UNTIL_SYNC: Phase.SKIPPING,
        **_STRAY_COPY,
        **_CLOSE,
    },
    Phase.CLOSED: _CLOSE,
}

_SKIPPED_AFTER: frozenset[type[FrontendMessage]] = frozenset(
    (Parse, Bind, Describe, Execute, Close, Flush)
)


def drops(phase: Phase, message: type[FrontendMessage]) -> bool:
    """Whether the message is read and forgotten in this phase."""
    return TABLE[phase].get(message) is DROPPED


def step(phase: Phase, happening: Happening) -> Phase:
    """Where this leads.

    Raises:
        ProtocolViolation: the client's message is not allowed in this phase. A repeated request for
            encryption is 0A000, because PostgreSQL reads it as an unknown protocol version.
        InvalidMove: our own move is not.
    """
    following = TABLE[phase].get(happening)
    if following is DROPPED:
        return phase
    if following is not None:
        return following
    if isinstance(happening, Move):
        raise InvalidMove(f"{happening.value} is not allowed in phase {phase.value}")
    message = f"unexpected {happening.__name__} in phase {phase.value}"
    sqlstate = "0A000" if issubclass(happening, Opening) else "08P01"
    raise ProtocolViolation(sqlstate, message, fatal=True)


def after_fault(phase: Phase, message: type[FrontendMessage]) -> Phase:
    """Where a message leads whose bytes are malformed.

    Before the session exists, the end. Then, as in PostgreSQL: an extended message fails as if its
    execution had, and anything else is answered by an error and ReadyForQuery.
    """
    if phase not in (Phase.READY, Phase.EXTENDED, Phase.SKIPPING):
        return Phase.CLOSED
    return Phase.SKIPPING if message in _SKIPPED_AFTER else Phase.ANSWERING


def diagram() -> str:
    """The table as a Mermaid state diagram. Closing, possible everywhere, is left out."""
    lines = ["stateDiagram-v2", f"    [*] --> {Phase.STARTUP.value}"]
    for phase, row in TABLE.items():
        edges: dict[str, list[str]] = {}
        for happening, following in row.items():
            if happening is Move.CLOSE:
                continue
            target = phase.value if following is DROPPED else following.value
            edges.setdefault(target, []).append(_label(happening, following))
        lines += [
            f"    {phase.value} --> {target}: {', '.join(labels)}"
            for target, labels in edges.items()
        ]
    lines.append(f"    {Phase.CLOSED.value} --> [*]")
    return "\n".join(lines) + "\n"


def _label(happening: Happening, following: Step) -> str:
    if isinstance(happening, Move):
        return f"({happening.value})"
    return f"{happening.__name__} dropped" if following is DROPPED else happening.__name__
