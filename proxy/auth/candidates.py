"""Whose password is asked for: a known user's, or that of a verifier that nobody can match."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from proxy.auth.users import Users
from proxy.auth.verifier import SALT_BYTES, Verifier


@dataclass(frozen=True, slots=True)
class Candidate:
    """Whom a name stands for.

    Attributes:
        user: the name of the startup packet.
        verifier: the user's, or a made-up one.
        doomed: why the login fails whatever the proof is, for the log; None where it may succeed.
    """

    user: str
    verifier: Verifier
    doomed: str | None


@dataclass(frozen=True, slots=True)
class Candidates:
    """Looks users up so that an unknown one cannot be told from a known one.

    Attributes:
        secret: makes the salts of unknown users stable, so that asking twice tells nothing.
    """

    users: Users
    secret: bytes = field(repr=False)

    def of(self, user: str) -> Candidate:
        """The verifier to run the login against."""
        # The made-up verifier is derived for known users too, so that both cost the same.
        made_up = self._made_up(user)
        known = self.users.get(user)
        if known is None:
            return Candidate(user, made_up, "unknown user")
        if known.verifier is None:
            return Candidate(user, made_up, "user without a password")
        return Candidate(user, known.verifier, None)

    def _made_up(self, user: str) -> Verifier:
        """What an unknown user is shown: stable, and shaped like the verifier of a known one."""
        shapes = self.users.shapes
        pick = int.from_bytes(derived(self.secret, "shape", user)[:4], "big") % len(shapes)
        iterations, salt_bytes = shapes[pick]
        salt = (derived(self.secret, "salt", user) * (salt_bytes // 32 + 1))[:salt_bytes]
        return Verifier(
            iterations,
            salt,
            derived(self.secret, "stored key", user),
            derived(self.secret, "server key", user),
        )


def user_verifier(secret: bytes, user: str, password: str) -> Verifier:
    """The verifier of a password that stands in the configuration.

    Its salt is derived from the secret: were it new at each start, it would tell a known user from
    an unknown one, whose salt stays.
    """
    return Verifier.of_password(password, derived(secret, "salt", user)[:SALT_BYTES])


def derived(secret: bytes, purpose: str, user: str) -> bytes:
    """32 bytes that only who knows the secret can tell."""
    return hmac.digest(secret, f"{purpose}\0{user}".encode(), "sha256")
