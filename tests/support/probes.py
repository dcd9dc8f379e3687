"""Raw probes: bytes a client should not send, and what becomes of the connection.

A probe runs on a connection of its own, before login or after it. Its `Reaction` is the state the
server leaves the connection in and the SQLSTATEs it sent; PostgreSQL's is the reference.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from proxy.wire import backend, frontend
from proxy.wire.errors import WireError
from tests.support.addresses import Address
from tests.support.raw_client import RawClient

PATIENCE = 0.5
"""Seconds of silence after which a server counts as waiting for more."""

ANSWER = "answer"
"""A step: read the one byte that answers SSLRequest or GSSENCRequest."""

ASKED = "asked"
"""A step: read until the server asks for a proof of identity."""

HANG_UP = "hang up"
"""A step: close our half of the connection."""

Step = bytes | str

ALIVE = frontend.Sync().encode() + frontend.Query("SELECT 'alive' AS alive").encode()
"""Ends a probe after login: does it still answer?"""


@dataclass(frozen=True, slots=True)
class Probe:
    """What to send.

    Attributes:
        steps: bytes to send, and what to wait for between them.
        difference: why our server may send another SQLSTATE than PostgreSQL, if it may.
    """

    name: str
    steps: Callable[[Address], Sequence[Step]]
    logged_in: bool
    difference: str = ""


@dataclass(frozen=True, slots=True)
class Reaction:
    """What came of it.

    Attributes:
        state: ``closed``, ``ready`` (answers queries), ``asking`` (for a password), ``waiting``.
        codes: SQLSTATEs of the errors it sent, in order.
    """

    state: str
    codes: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join((self.state, *self.codes))

    def agrees_with(self, ours: Reaction) -> bool:
        """Same state, same classes of errors. We may say why where PostgreSQL closes in silence."""
        if self.state != ours.state:
            return False
        theirs = [code[:2] for code in self.codes]
        classes = [code[:2] for code in ours.codes]
        return classes == theirs or (self.state == "closed" and classes == [*theirs, "08"])


def run_probe(probe: Probe, address: Address, connect: Callable[[], RawClient]) -> Reaction:
    """Send it on a new connection, and look."""
    client = connect()
    with client:
        if probe.logged_in:
            client.startup(address.user, address.database, address.password)
        client.socket.settimeout(PATIENCE)
        codes: list[str] = []
        try:
            steps = [*probe.steps(address)]
            if probe.logged_in and steps[-1] != HANG_UP:
                steps.append(ALIVE)
            for step in _joined(steps):
                _take(client, step)
        except (BrokenPipeError, ConnectionResetError):
            pass  # closed already; what it said may still be read
        return _look(client, codes, logged_in=probe.logged_in)


def _joined(steps: Sequence[Step]) -> list[Step]:
    """Neighbouring bytes in one write: a server that closes with bytes unread resets the
    connection, and what it said last is lost."""
    joined: list[Step] = []
    for step in steps:
        if joined and isinstance(step, bytes) and isinstance(joined[-1], bytes):
            joined[-1] += step
        else:
            joined.append(step)
    return joined


def _take(client: RawClient, step: Step) -> None:
    if isinstance(step, bytes):
        client.send(step)
    elif step == ANSWER:
        client.receive_byte()
    elif step == ASKED:
        client.until(backend.AuthenticationSASL, backend.AuthenticationCleartextPassword)
    else:
        with contextlib.suppress(OSError):
            client.socket.shutdown(socket.SHUT_WR)


def _look(client: RawClient, codes: list[str], *, logged_in: bool) -> Reaction:
    alive = False
    asking = False
    try:
        while (message := client.receive()) is not None:
            if isinstance(message, backend.ErrorResponse):
                codes.append(message.fields["C"])
            elif isinstance(message, backend.DataRow):
                alive = alive or message.values == (b"alive",)
            elif isinstance(
                message, backend.AuthenticationSASL | backend.AuthenticationCleartextPassword
            ):
                asking = True
            elif isinstance(message, backend.ReadyForQuery) and (alive or not logged_in):
                return Reaction("ready", tuple(codes))
    except TimeoutError:
        return Reaction("asking" if asking else "waiting", tuple(codes))
    except (WireError, ConnectionError):
        return Reaction("closed", tuple(codes))  # not in the protocol any more: a TLS alert
    return Reaction("closed", tuple(codes))
