"""A SCRAM client made of parts, so that each part can be sent wrong."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass

from proxy.auth.authenticator import Authenticator, Method, user_verifier
from proxy.auth.throttle import FailureThrottle
from proxy.auth.verifier import prepared

SECRET = b"s" * 32


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def make_authenticator(method: Method = "scram", clock: Clock | None = None) -> Authenticator:
    throttle = FailureThrottle(clock or Clock(), base=0.5, longest=8, limit=5, window=300)
    users = {"demo": user_verifier(SECRET, "demo", "demo")}
    return Authenticator(method, users, SECRET, throttle)


@dataclass
class ScramClient:
    """Follows RFC 5802 except where told otherwise."""

    password: str
    header: str = "n,,"
    name: str = ""
    nonce: str = "clientnonce"
    binding: bytes = b""

    def first(self) -> bytes:
        self.bare = f"n={self.name},r={self.nonce}"
        return (self.header + self.bare).encode()

    def final(
        self, server_first: bytes, *, nonce: str | None = None, cbind: bytes | None = None
    ) -> bytes:
        text = server_first.decode()
        parts = dict(part.split("=", 1) for part in text.split(","))
        salt = base64.b64decode(parts["s"])
        salted = hashlib.pbkdf2_hmac("sha256", prepared(self.password), salt, int(parts["i"]))
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        channel = self.header.encode() + self.binding if cbind is None else cbind
        c = base64.b64encode(channel).decode()
        without = f"c={c},r={parts['r'] if nonce is None else nonce}"
        message = f"{self.bare},{text},{without}".encode()
        signature = hmac.digest(hashlib.sha256(client_key).digest(), message, "sha256")
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        server_key = hmac.digest(salted, b"Server Key", "sha256")
        self.expected = b"v=" + base64.b64encode(hmac.digest(server_key, message, "sha256"))
        return f"{without},p={base64.b64encode(proof).decode()}".encode()
