"""SCRAM-SHA-256 verifiers: what the server keeps instead of a password.

The text form is that of PostgreSQL's ``pg_authid.rolpassword``, so that a verifier can be copied
from there.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass, field

from scramp import ScramException
from scramp.utils import saslprep

MINIMUM_ITERATIONS = 4096
"""RFC 7677, section 4; also PostgreSQL's default ``scram_iterations``."""
MINIMUM_SALT_BYTES = 12
SALT_BYTES = 16
_KEY_BYTES = 32
_TEXT = re.compile(r"SCRAM-SHA-256\$([1-9][0-9]{0,7}):([^$:]+)\$([^$:]+):([^$:]+)")


class VerifierError(ValueError):
    """A configured verifier or password that cannot be used."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """Enough to check a password's proof, too little to log in with.

    Attributes:
        iterations: rounds of PBKDF2.
        salt: random bytes, sent to whoever asks to log in as this user.
        stored_key: SHA-256 of the client key (RFC 5802, section 3).
        server_key: proves to the client that the server knows the verifier.
    """

    iterations: int
    salt: bytes
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Verifier:
        """Read ``SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>`` (base64 parts)."""
        found = _TEXT.fullmatch(text)
        if found is None:
            raise VerifierError(
                "a verifier reads SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>"
            )
        iterations = int(found[1])
        salt, stored_key, server_key = (_base64(found[group]) for group in (2, 3, 4))
        if iterations < MINIMUM_ITERATIONS:
            raise VerifierError(f"a verifier needs at least {MINIMUM_ITERATIONS} iterations")
        if len(salt) < MINIMUM_SALT_BYTES:
            raise VerifierError(f"a verifier's salt needs at least {MINIMUM_SALT_BYTES} bytes")
        if len(stored_key) != _KEY_BYTES or len(server_key) != _KEY_BYTES:
            raise VerifierError(f"a verifier's keys have {_KEY_BYTES} bytes each")
        return cls(iterations, salt, stored_key, server_key)

    @classmethod
    def of_password(
        cls, password: str, salt: bytes, iterations: int = MINIMUM_ITERATIONS
    ) -> Verifier:
        """Turn a password into its verifier."""
        if not password:
            raise VerifierError("a password is empty")
        salted = hashlib.pbkdf2_hmac("sha256", prepared(password), salt, iterations)
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        return cls(
            iterations,
            salt,
            hashlib.sha256(client_key).digest(),
            hmac.digest(salted, b"Server Key", "sha256"),
        )

    def text(self) -> str:
        """The form that ``parse`` reads."""
        salt, stored_key, server_key = (
            base64.b64encode(part).decode()
            for part in (self.salt, self.stored_key, self.server_key)
        )
        return f"SCRAM-SHA-256${self.iterations}:{salt}${stored_key}:{server_key}"

    def matches(self, password: str) -> bool:
        """Whether this is the password. Costs one PBKDF2; compares in constant time."""
        candidate = Verifier.of_password(password, self.salt, self.iterations)
        return hmac.compare_digest(candidate.stored_key, self.stored_key)


def prepared(password: str) -> bytes:
    """SASLprep (RFC 4013), or the password as it is where SASLprep prohibits it.

    PostgreSQL and its drivers fall back in the same way, so that any password works.
    """
    try:
        return (saslprep(password) or password).encode()
    except ScramException:
        return password.encode()


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise VerifierError("a verifier's salt and keys are base64") from None
