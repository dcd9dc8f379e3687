"""What a login is to the session, whichever method it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from proxy.auth.grants import Grants
from proxy.wire.backend import BackendMessage


@dataclass(frozen=True, slots=True)
class ChannelBinding:
    """What ties a login to its TLS connection (RFC 5929).

    Attributes:
        data: hash of the server's certificate.
        kind: always ``tls-server-end-point``, the one type PostgreSQL knows.
    """

    data: bytes
    kind: str = "tls-server-end-point"


@dataclass(frozen=True, slots=True)
class AuthStep:
    """What to send next, and whether the client is now logged in."""

    messages: list[BackendMessage]
    done: bool


class Exchange(Protocol):
    """One login. Every method raises AuthenticationFailed, after which the connection ends."""

    @property
    def done(self) -> bool:
        """Whether the client is logged in (true after ``first`` where nothing is asked)."""

    @property
    def grants(self) -> Grants:
        """What the proof says of the user, beside what the server knows; only once done."""

    def first(self) -> list[BackendMessage]:
        """What to send after the startup packet."""

    async def receive(self, body: bytes) -> AuthStep:
        """Take the body of a 'p' message."""
