"""Starts logins: looks a user up, and gives unknown ones a verifier that nobody can match."""

from __future__ import annotations

import hmac
import os
import secrets
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from proxy.auth.errors import AuthenticationFailed
from proxy.auth.plain import PasswordExchange, TrustExchange
from proxy.auth.scram import Candidate, ScramExchange
from proxy.auth.steps import ChannelBinding, Exchange
from proxy.auth.throttle import FailureThrottle
from proxy.auth.verifier import MINIMUM_ITERATIONS, SALT_BYTES, Verifier

Method = Literal["scram", "password", "trust"]
_SECRET_BYTES = 32


@dataclass(slots=True)
class Authenticator:
    """Begins one login per connection.

    Attributes:
        method: how users prove who they are.
        users: verifier by user name.
        secret: makes the salts of unknown users stable, so that asking twice tells nothing.
        throttle: counts wrong passwords.
        make_nonce: printable random text without a comma, for SCRAM.
    """

    method: Method
    users: Mapping[str, Verifier]
    secret: bytes = field(repr=False)
    throttle: FailureThrottle
    make_nonce: Callable[[], str] = secrets.token_hex

    def begin(
        self,
        user: str,
        *,
        channel: ChannelBinding | None,
        encrypted: bool = False,
        address: str = "",
    ) -> Exchange:
        """Start a login.

        Args:
            user: from the startup packet.
            channel: the TLS connection's binding, None where there is none.
            encrypted: whether the connection is inside TLS.
            address: the client's address, for the throttle.

        Raises:
            AuthenticationFailed: 28000 where the method is impossible here or the pair of user and
                address is locked out.
        """
        if self.method == "trust":
            if user not in self.users:
                raise AuthenticationFailed(
                    "28000", f'role "{user}" does not exist', reason="unknown user under trust"
                )
            return TrustExchange()
        if self.throttle.refused_for(user, address) > 0:
            raise AuthenticationFailed(
                "28000",
                f'too many failed authentication attempts for user "{user}"',
                hint="Wait before trying again.",
                reason="locked out after repeated failures",
            )
        candidate = self._candidate(user)

        def on_result(success: bool) -> float:
            if success:
                self.throttle.succeeded(user, address)
                return 0.0
            return self.throttle.failed(user, address)

        if self.method == "scram":
            return ScramExchange(candidate, channel, on_result, self.make_nonce)
        if not encrypted:
            raise AuthenticationFailed(
                "28000",
                "cleartext passwords are accepted on encrypted connections only",
                hint="Connect with sslmode=require.",
                reason="password method outside TLS",
            )
        return PasswordExchange(candidate, on_result)

    def _candidate(self, user: str) -> Candidate:
        # The made-up verifier is derived for known users too, so that both cost the same.
        made_up = self._made_up(user)
        known = self.users.get(user)
        if known is None:
            return Candidate(user, made_up, "unknown user")
        return Candidate(user, known, None)

    def _made_up(self, user: str) -> Verifier:
        """What an unknown user is shown: stable, and shaped like the verifier of a known one."""
        # ``users`` is not empty wherever a password is asked for, but a server without users must
        # still answer as any other.
        shapes = [(known.iterations, len(known.salt)) for known in self.users.values()]
        shapes = shapes or [(MINIMUM_ITERATIONS, SALT_BYTES)]
        pick = int.from_bytes(_derived(self.secret, "shape", user)[:4], "big") % len(shapes)
        iterations, salt_bytes = shapes[pick]
        salt = (_derived(self.secret, "salt", user) * (salt_bytes // 32 + 1))[:salt_bytes]
        return Verifier(
            iterations,
            salt,
            _derived(self.secret, "stored key", user),
            _derived(self.secret, "server key", user),
        )


def user_verifier(secret: bytes, user: str, password: str) -> Verifier:
    """The verifier of a password that stands in the configuration.

    Its salt is derived from the secret: were it new at each start, it would tell a known user from
    an unknown one, whose salt stays.
    """
    return Verifier.of_password(password, _derived(secret, "salt", user)[:SALT_BYTES])


def make_throttle(*, base: float, longest: float, limit: int, window: float) -> FailureThrottle:
    """A throttle on the monotonic clock, which no change of the time of day can disturb."""
    return FailureThrottle(time.monotonic, base=base, longest=longest, limit=limit, window=window)


def login_secret(directory: Path) -> bytes:
    """Read the secret of this installation, or make it (mode 0600) at the first start."""
    path = directory / "login.secret"
    directory.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        # Several workers may start at once: the first link wins, and all read the same file.
        handle, name = tempfile.mkstemp(dir=directory, prefix=".login.secret.")
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(_SECRET_BYTES))
        try:
            Path(path).hardlink_to(name)
        except FileExistsError:
            pass
        finally:
            Path(name).unlink()
    secret = path.read_bytes()
    if len(secret) != _SECRET_BYTES:
        raise OSError(f"{path} is damaged: remove it to have a new one made")
    return secret


def _derived(secret: bytes, purpose: str, user: str) -> bytes:
    return hmac.digest(secret, f"{purpose}\0{user}".encode(), "sha256")
