"""A client that logs in with a password inside TLS: SCRAM-SHA-256, and little more.

It works out the key of its password once, as a pool does, so that what is measured is the server.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import socket
import ssl
import struct
from dataclasses import dataclass, field

from tests.bench.client import ReplyError, complaint, is_ready, message, startup, text

SSL_REQUEST = struct.pack("!ii", 8, 80877103)
_MECHANISM = text("SCRAM-SHA-256")
_FINAL, _CONTINUE, _OK = 12, 11, 0


def context() -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    return made


@dataclass
class Login:
    """A user of a server, and what logging in has taught."""

    host: str
    port: int
    user: str
    database: str
    password: str
    tls: ssl.SSLContext = field(default_factory=context)
    _salted: dict[tuple[bytes, int], bytes] = field(default_factory=dict)

    def salted(self, salt: bytes, iterations: int) -> bytes:
        key = (salt, iterations)
        if key not in self._salted:
            self._salted[key] = hashlib.pbkdf2_hmac(
                "sha256", self.password.encode(), salt, iterations
            )
        return self._salted[key]

    def connect(self) -> ssl.SSLSocket:
        """A connection that is ready for its first query."""
        plain = socket.create_connection((self.host, self.port), timeout=60)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain.sendall(SSL_REQUEST)
        if plain.recv(1) != b"S":
            raise ReplyError("no TLS")
        encrypted = self.tls.wrap_socket(plain)
        encrypted.sendall(startup(self.user, self.database))
        self._authenticate(encrypted)
        return encrypted

    def _authenticate(self, connection: ssl.SSLSocket) -> None:
        reader = _Reader(connection)
        reader.authentication()
        nonce = secrets.token_urlsafe(18)
        bare = f"n=,r={nonce}"
        first = f"n,,{bare}".encode()
        connection.sendall(message(b"p", _MECHANISM + struct.pack("!i", len(first)) + first))
        challenge = reader.authentication(_CONTINUE).decode()
        parts = dict(part.split("=", 1) for part in challenge.split(","))
        salted = self.salted(base64.b64decode(parts["s"]), int(parts["i"]))
        final = f"c=biws,r={parts['r']}"
        signed = f"{bare},{challenge},{final}".encode()
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        stored = hashlib.sha256(client_key).digest()
        signature = hmac.digest(stored, signed, "sha256")
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        answer = f"{final},p={base64.b64encode(proof).decode()}".encode()
        connection.sendall(message(b"p", answer))
        reader.authentication(_FINAL)
        reader.authentication(_OK)
        reader.until_ready()


@dataclass
class _Reader:
    """Messages of a login."""

    connection: ssl.SSLSocket
    _data: bytes = b""

    def authentication(self, wanted: int | None = None) -> bytes:
        """The rest of the next authentication message."""
        while len(self._data) < 5 or len(self._data) <= int.from_bytes(self._data[1:5], "big"):
            self._more()
        length = int.from_bytes(self._data[1:5], "big") + 1
        kind, body, self._data = self._data[:1], self._data[5:length], self._data[length:]
        if kind != b"R":
            raise ReplyError(complaint(body))
        if wanted not in (None, int.from_bytes(body[:4], "big")):
            raise ReplyError(f"unexpected authentication message {body[:4]!r}")
        return body[4:]

    def until_ready(self) -> None:
        while not is_ready(self._data):
            self._more()

    def _more(self) -> None:
        data = self.connection.recv(65536)
        if not data:
            raise ReplyError("closed")
        self._data += data
