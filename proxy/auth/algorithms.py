"""The signature algorithms of tokens (RFC 7518), by what is held against them."""

from __future__ import annotations

ASYMMETRIC = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
)  # fmt: skip
"""For public keys: a signature says who made it."""

HMAC = ("HS256", "HS384", "HS512")
"""For a shared secret: a signature says that somebody knows it."""

SECRET_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}
"""Shortest secrets (RFC 7518, section 3.2)."""
