"""The two methods without SCRAM: a password in the clear inside TLS, and no password at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from proxy.auth.errors import AuthenticationFailed, wrong_password
from proxy.auth.scram import Candidate
from proxy.auth.steps import AuthStep
from proxy.wire.backend import AuthenticationCleartextPassword, AuthenticationOk, BackendMessage
from proxy.wire.errors import ProtocolViolation
from proxy.wire.frontend import PasswordMessage


@dataclass(slots=True)
class PasswordExchange:
    """The client sends its password; only inside TLS, where the operator asked for it."""

    candidate: Candidate
    on_result: Callable[[bool], float]
    done: bool = False

    def first(self) -> list[BackendMessage]:
        """Ask for the password."""
        return [AuthenticationCleartextPassword()]

    def receive(self, body: bytes) -> AuthStep:
        """Take the password. An unknown user costs the same PBKDF2 as a known one."""
        try:
            password = PasswordMessage.parse(body).password
        except ProtocolViolation as error:
            raise AuthenticationFailed(
                error.sqlstate, error.message, reason="malformed PasswordMessage"
            ) from None
        if not password:
            raise AuthenticationFailed(
                "28P01", "empty password returned by client", reason="empty password"
            )
        matches = self.candidate.verifier.matches(password)
        if not matches or self.candidate.doomed is not None:
            failure = wrong_password(self.candidate.user, self.candidate.doomed or "wrong password")
            failure.delay = self.on_result(False)
            raise failure
        self.on_result(True)
        self.done = True
        return AuthStep([AuthenticationOk()], done=True)


@dataclass(slots=True)
class TrustExchange:
    """Whoever names a configured user is that user. Configuration allows it on loopback alone."""

    done: bool = True

    def first(self) -> list[BackendMessage]:
        """Let the client in."""
        return [AuthenticationOk()]

    def receive(self, body: bytes) -> AuthStep:
        """Nothing was asked, so any answer is a violation."""
        raise AuthenticationFailed(
            "08P01",
            f"unexpected password message of {len(body)} bytes",
            reason="password message under trust",
        )
