"""Public keys that tokens are signed with (RFC 7517), from a file or a URL, fresh and few."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from proxy.auth.algorithms import ASYMMETRIC, HMAC
from proxy.auth.bulkhead import Bulkhead, Unavailable
from proxy.auth.files import signature
from proxy.auth.setup import SetupError
from proxy.auth.web import Endpoint, WebError

logger = logging.getLogger("cubewire.keys")

_PUBLIC_PARTS = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
_CURVES = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
_RSA_BITS = range(2048, 8193)
_RSA_EXPONENT_BITS = 33
"""Larger ones would make a signature dear to check."""
_MOST_KEYS = 100
_RETRY_SECONDS = 10.0
"""At least between two requests for keys, whatever kids clients make up."""
_STALE_SECONDS = 3600.0
"""How long keys are good for when they cannot be had again."""


class KeysError(SetupError):
    """A key set that cannot be used."""


@dataclass(frozen=True, slots=True)
class TokenKey:
    """One public key.

    Attributes:
        kid: its name; None where it has none.
        algorithms: those that fit its kind (and its ``alg``, if it has one).
        key: of the library that checks signatures.
    """

    kid: str | None
    algorithms: frozenset[str]
    key: Any = field(repr=False)


class KeySource(Protocol):
    """Where the keys are."""

    async def find(self, kid: str | None, algorithm: str) -> Sequence[TokenKey]:
        """The keys that may have signed a token.

        Raises:
            Unavailable: nobody can tell.
        """

    async def close(self) -> None:
        """Free what is held."""


def parse_keys(data: bytes) -> tuple[TokenKey, ...]:
    """Read a JSON Web Key Set. What is no public signature key in it is left out.

    Raises:
        KeysError: it is no key set, or holds no usable key.
    """
    try:
        listed = json.loads(data)["keys"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise KeysError("no JSON Web Key Set") from None
    if not isinstance(listed, list) or len(listed) > _MOST_KEYS:
        raise KeysError(f"keys is no list of up to {_MOST_KEYS} keys")
    found = tuple(key for each in listed if (key := _parsed(each)) is not None)
    if not found:
        raise KeysError("no usable key: RSA from 2048 bits, P-256, P-384, P-521, Ed25519 or Ed448")
    return found


def _parsed(entry: object) -> TokenKey | None:
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
        return None
    operations = entry.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        return None
    kind, kid = entry.get("kty"), entry.get("kid")
    parts = _PUBLIC_PARTS.get(kind) if isinstance(kind, str) else None
    if parts is None or not (kid is None or isinstance(kid, str)):
        return None
    # Only what is public is read: no shared secret, and no private key that lies beside it.
    public = {"kty": kind, **{name: entry[name] for name in parts if name in entry}}
    fitting = _fitting(public)
    stated = entry.get("alg")
    algorithms = fitting if stated is None else fitting & {str(stated)}
    try:
        key = jwt.PyJWK(public, min(fitting)).key if algorithms else None
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    return TokenKey(kid, algorithms, key) if key is not None and _is_sound(key) else None


def _fitting(public: dict[str, Any]) -> frozenset[str]:
    """The algorithms of a kind of key: one never passes for another."""
    if public["kty"] == "RSA":
        return frozenset(each for each in ASYMMETRIC if each[:2] in ("RS", "PS"))
    if public["kty"] == "OKP":
        return frozenset({"EdDSA"})
    curve = public.get("crv")
    return (
        frozenset({_CURVES[curve]}) if isinstance(curve, str) and curve in _CURVES else frozenset()
    )


def _is_sound(key: object) -> bool:
    """Whether it is neither weak nor dear to use; others than RSA's come in good sizes only."""
    if not isinstance(key, rsa.RSAPublicKey):
        return True
    exponent = key.public_numbers().e
    return key.key_size in _RSA_BITS and exponent.bit_length() <= _RSA_EXPONENT_BITS


def _chosen(keys: Sequence[TokenKey], kid: str | None, algorithm: str) -> list[TokenKey]:
    return [
        each
        for each in keys
        if algorithm in each.algorithms and (kid is None or each.kid in (kid, None))
    ]


class SharedSecret:
    """A secret that the issuer and this server know, for HMAC. Beside it there are no keys."""

    def __init__(self, secret: bytes) -> None:
        self._keys = (TokenKey(None, frozenset(HMAC), secret),)

    async def find(self, kid: str | None, algorithm: str) -> Sequence[TokenKey]:
        """See KeySource."""
        return _chosen(self._keys, kid, algorithm)

    async def close(self) -> None:
        """See KeySource."""


class FileKeys:
    """A key set in a file, read again when it changes."""

    def __init__(self, path: Path) -> None:
        """Read it.

        Raises:
            KeysError: it cannot be used.
        """
        self._path = path
        self._signature = signature(path)
        self._keys = self._read()

    async def find(self, kid: str | None, algorithm: str) -> Sequence[TokenKey]:
        """See KeySource. A file with an error changes nothing but the log."""
        current = signature(self._path)
        if current != self._signature:
            self._signature = current
            try:
                self._keys = await asyncio.to_thread(self._read)
            except KeysError as error:
                logger.error("keys not taken over", extra={"fields": {"problem": str(error)}})  # noqa: TRY400
        return _chosen(self._keys, kid, algorithm)

    async def close(self) -> None:
        """See KeySource."""

    def _read(self) -> tuple[TokenKey, ...]:
        try:
            return parse_keys(self._path.read_bytes())
        except (OSError, KeysError) as error:
            raise KeysError(f"{self._path}: {error}") from None


class UrlKeys:
    """A key set on a server, asked for again now and then, and for a kid that is not in it."""

    def __init__(
        self,
        endpoint: Endpoint,
        bulkhead: Bulkhead,
        refresh_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._endpoint = endpoint
        self._bulkhead = bulkhead
        self._refresh_seconds = refresh_seconds
        self._clock = clock
        self._keys: tuple[TokenKey, ...] = ()
        self._read_at: float | None = None
        self._tried_at: float | None = None
        self._asking = asyncio.Lock()

    async def find(self, kid: str | None, algorithm: str) -> Sequence[TokenKey]:
        """See KeySource."""
        found = _chosen(self._keys, kid, algorithm)
        if self._is_due(found):
            async with self._asking:
                found = _chosen(self._keys, kid, algorithm)
                if self._is_due(found):
                    await self._ask()
                    found = _chosen(self._keys, kid, algorithm)
        if self._read_at is None or self._clock() - self._read_at > self._longest:
            raise Unavailable("keys cannot be had")
        return found

    async def close(self) -> None:
        """See KeySource."""
        self._bulkhead.close()

    @property
    def _longest(self) -> float:
        return max(_STALE_SECONDS, self._refresh_seconds)

    def _is_due(self, found: Sequence[TokenKey]) -> bool:
        now = self._clock()
        if self._tried_at is not None and now - self._tried_at < _RETRY_SECONDS:
            return False
        return not found or self._read_at is None or now - self._read_at >= self._refresh_seconds

    async def _ask(self) -> None:
        try:
            status, data = await self._bulkhead.run(
                self._endpoint.ask, "GET", {"Accept": "application/json"}
            )
            self._keys = parse_keys(data if status == 200 else b"")
            self._read_at = self._clock()
        except (Unavailable, WebError, KeysError) as error:
            fields = {"url": self._endpoint.url, "problem": str(error)}
            logger.warning("keys not taken over", extra={"fields": fields})
        finally:
            # Only now, so that all who ask meanwhile wait for the answer.
            self._tried_at = self._clock()
