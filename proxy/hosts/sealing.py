"""What goes through Redis is read and made by those alone who share the installation's secret.

Rows hold the texts of statements, with what their users look for.
"""

from __future__ import annotations

import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12
"""96 random bits, as NIST SP 800-38D has them."""


class Sealer:
    """Encrypts and authenticates messages (AES-256-GCM).

    Args:
        secret: that all who are to read them have.
    """

    def __init__(self, secret: bytes) -> None:
        self._cipher = AESGCM(hmac.digest(secret, b"rows and orders of hosts", "sha256"))

    def seal(self, message: bytes, place: bytes) -> bytes:
        """A message that can be opened where it was put, and nowhere else."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, message, place)

    def open(self, sealed: bytes, place: bytes) -> bytes | None:
        """What was sealed for a place; None for what was not, or with another secret."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place)
        except (InvalidTag, ValueError):
            return None
