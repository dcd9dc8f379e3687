"""The one way a login fails."""

from __future__ import annotations

from proxy.errors import SessionError


class AuthenticationFailed(SessionError):  # noqa: N818 - the name the callers read best
    """A login is refused; the connection ends (FATAL).

    Attributes:
        reason: what went wrong in words for the server's log alone. The client is told the same for
            an unknown user as for a wrong password.
        delay: seconds to wait before the refusal is sent.
    """

    def __init__(
        self,
        sqlstate: str,
        message: str,
        *,
        reason: str,
        detail: str | None = None,
        hint: str | None = None,
        delay: float = 0.0,
    ) -> None:
        super().__init__(sqlstate, message, detail=detail, hint=hint, severity="FATAL")
        self.reason = reason
        self.delay = delay


def wrong_password(user: str, reason: str) -> AuthenticationFailed:
    """28P01, in PostgreSQL's words."""
    return AuthenticationFailed(
        "28P01", f'password authentication failed for user "{user}"', reason=reason
    )


def locked_out(user: str) -> AuthenticationFailed:
    """28000: too many failures of this user from this address."""
    return AuthenticationFailed(
        "28000",
        f'too many failed authentication attempts for user "{user}"',
        hint="Wait before trying again.",
        reason="locked out after repeated failures",
    )


def wrong_certificate(user: str, reason: str) -> AuthenticationFailed:
    """28000, in PostgreSQL's words."""
    return AuthenticationFailed(
        "28000", f'certificate authentication failed for user "{user}"', reason=reason
    )


def malformed(detail: str) -> AuthenticationFailed:
    """08P01: the client does not follow RFC 5802."""
    return AuthenticationFailed(
        "08P01", "malformed SCRAM message", detail=detail, reason="protocol violation"
    )
