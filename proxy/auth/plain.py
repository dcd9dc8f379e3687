"""The exchanges without SCRAM: a password in the clear inside TLS, and nothing asked at all."""

from __future__ import annotations

from dataclasses import dataclass, field

from proxy.auth.errors import AuthenticationFailed, wrong_password
from proxy.auth.grants import NOTHING, Grants
from proxy.auth.method import OnResult, PasswordChecker, Refused
from proxy.auth.request import LoginRequest
from proxy.auth.steps import AuthStep, Exchange
from proxy.wire.backend import AuthenticationCleartextPassword, AuthenticationOk, BackendMessage
from proxy.wire.errors import ProtocolViolation
from proxy.wire.frontend import PasswordMessage


@dataclass(frozen=True, slots=True)
class PasswordMethod:
    """A method that looks at what the client sends for a password; only ever inside TLS."""

    checker: PasswordChecker

    @property
    def name(self) -> str:
        """See LoginMethod."""
        return self.checker.name

    def begin(self, request: LoginRequest, on_result: OnResult) -> Exchange:
        """See LoginMethod."""
        if not request.encrypted:
            raise AuthenticationFailed(
                "28000",
                "cleartext passwords are accepted on encrypted connections only",
                hint="Connect with sslmode=require.",
                reason=f"{self.name} method outside TLS",
            )
        return PasswordExchange(self.checker, request, on_result)

    async def close(self) -> None:
        """See LoginMethod."""
        await self.checker.close()


@dataclass(slots=True)
class PasswordExchange:
    """The client sends its password, and the checker decides."""

    checker: PasswordChecker
    request: LoginRequest
    on_result: OnResult
    done: bool = False
    grants: Grants = NOTHING

    def first(self) -> list[BackendMessage]:
        """Ask for the password."""
        return [AuthenticationCleartextPassword()]

    async def receive(self, body: bytes) -> AuthStep:
        """Take the password. Whatever is wrong, the client is told the same."""
        try:
            password = PasswordMessage.parse(body).password
        except ProtocolViolation as error:
            raise AuthenticationFailed(
                error.sqlstate, error.message, reason="malformed PasswordMessage"
            ) from None
        if not password:
            # Never handed on: to an LDAP server an empty password is an anonymous bind.
            raise AuthenticationFailed(
                "28P01", "empty password returned by client", reason="empty password"
            )
        try:
            self.grants = await self.checker.check(self.request, password)
        except Refused as refused:
            failure = wrong_password(self.request.user, refused.reason)
            failure.delay = self.on_result(False) if refused.counts else 0.0
            raise failure from None
        self.on_result(True)
        self.done = True
        return AuthStep([AuthenticationOk()], done=True)


@dataclass(slots=True)
class NothingAsked:
    """The login of a client that has to send nothing more."""

    grants: Grants = field(default=NOTHING)
    done: bool = True

    def first(self) -> list[BackendMessage]:
        """Let the client in."""
        return [AuthenticationOk()]

    async def receive(self, body: bytes) -> AuthStep:
        """Nothing was asked, so any answer is a violation."""
        raise AuthenticationFailed(
            "08P01",
            f"unexpected password message of {len(body)} bytes",
            reason="password message where none was asked for",
        )
