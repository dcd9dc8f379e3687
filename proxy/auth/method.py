"""What a way of logging in is.

The next one is a module with a class of one of these shapes, its options in ``proxy.config.rules``,
and a function in ``proxy.auth.opening`` that makes the one of the other.

Most methods look at a password that the client sends inside TLS, whatever it is: those are
``PasswordChecker`` and know nothing of the protocol.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from proxy.auth.grants import Grants
from proxy.auth.request import LoginRequest
from proxy.auth.steps import Exchange

OnResult = Callable[[bool], float]
"""Told of each proof that was looked at; returns the seconds to hold back a refusal."""


class LoginMethod(Protocol):
    """One way to prove an identity, as configured in one rule."""

    @property
    def name(self) -> str:
        """As in ``auth.rules``; the security context carries it."""

    def begin(self, request: LoginRequest, on_result: OnResult) -> Exchange:
        """Begin a login.

        Raises:
            AuthenticationFailed: it is impossible over this connection.
        """

    async def close(self) -> None:
        """Free what is held."""


class PasswordChecker(Protocol):
    """Decides about a password, a token, or what else a client sends for one."""

    @property
    def name(self) -> str:
        """As in ``auth.rules``."""

    async def check(self, request: LoginRequest, password: str) -> Grants:
        """What the user may count on, where the password proves the user of the request.

        Never blocks the event loop, and never takes more than 50 ms of its time.

        Raises:
            Refused: it does not, or nobody can tell.
        """

    async def close(self) -> None:
        """Free what is held."""


class Refused(Exception):  # noqa: N818 - an answer, not a fault
    """A checker's no.

    Attributes:
        reason: in words for the server's log alone, without anything secret.
        counts: whether it was a wrong proof, which slows the next one down. Not so where somebody
            who was asked did not answer.
    """

    def __init__(self, reason: str, *, counts: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.counts = counts
