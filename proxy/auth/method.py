"""What a way of logging in is.

Most methods look at a password that the client sends inside TLS, whatever it is: those are
``PasswordChecker`` and know nothing of the protocol.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from proxy.auth.grants import Grants
from proxy.auth.request import LoginRequest
from proxy.auth.steps import Exchange
from proxy.auth.users import Users

OnResult = Callable[[bool], float]
"""Told of each proof that was looked at; returns the seconds to hold back a refusal."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a method may need beside its own options.

    Attributes:
        secret: of the installation (``login_secret``).
    """

    users: Users
    secret: bytes = field(repr=False)


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


class MethodModule(Protocol):
    """A module of ``proxy.auth.methods``."""

    def open_method(self, rule: Any, parts: Parts) -> LoginMethod:
        """Make the method of a rule, which is of the class that has the method's name.

        Raises:
            SetupError, OSError: something that the rule names cannot be used.
        """


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
