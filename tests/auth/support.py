"""A SCRAM client made of parts, so that each part can be sent wrong."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from dataclasses import dataclass
from typing import Any

from proxy.auth.attempt import Attempt
from proxy.auth.authenticator import Authenticator
from proxy.auth.bulkhead import Bulkhead
from proxy.auth.candidates import Candidates, user_verifier
from proxy.auth.method import LoginMethod
from proxy.auth.methods.password import LocalPasswords
from proxy.auth.methods.scram import ScramMethod
from proxy.auth.methods.trust import TrustMethod
from proxy.auth.plain import PasswordMethod
from proxy.auth.request import LoginRequest
from proxy.auth.rules import Rule
from proxy.auth.steps import AuthStep
from proxy.auth.throttle import FailureThrottle
from proxy.auth.users import KnownUser, Users
from proxy.auth.verifier import prepared
from proxy.wire.backend import BackendMessage

SECRET = b"s" * 32


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Door:
    """An authenticator whose logins need no event loop of the test's own."""

    def __init__(self, authenticator: Authenticator) -> None:
        self.authenticator = authenticator

    def begin(self, user: str, **known: Any) -> Entrance:
        request = LoginRequest(user, "cubewire", **known)
        return Entrance(asyncio.run(self.authenticator.begin(request)))


@dataclass
class Entrance:
    attempt: Attempt

    @property
    def done(self) -> bool:
        return self.attempt.done

    def first(self) -> list[BackendMessage]:
        return self.attempt.first()

    def receive(self, body: bytes) -> AuthStep:
        return asyncio.run(self.attempt.receive(body))


def make_users(**passwords: str) -> Users:
    return Users(
        {name: KnownUser(user_verifier(SECRET, name, each)) for name, each in passwords.items()}
    )


def make_authenticator(method: str = "scram", clock: Clock | None = None) -> Door:
    throttle = FailureThrottle(clock or Clock(), base=0.5, longest=8, limit=5, window=300)
    users = make_users(demo="demo")
    candidates = Candidates(users, SECRET)
    methods: dict[str, LoginMethod] = {
        "scram": ScramMethod(candidates),
        "password": PasswordMethod(
            LocalPasswords(candidates, Bulkhead("password", threads=1, seconds=5))
        ),
        "trust": TrustMethod(users),
    }
    return Door(Authenticator([Rule(methods[method])], users, throttle))


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
