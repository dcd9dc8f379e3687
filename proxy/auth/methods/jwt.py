"""Method ``jwt``: an access token (RFC 7519, RFC 8725), sent as the password."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jwt

from proxy.auth.bulkhead import Bulkhead, Unavailable
from proxy.auth.grants import Grants, GrantsError, is_moment
from proxy.auth.identity_map import IdentityMap
from proxy.auth.keys import FileKeys, KeySource, SharedSecret, TokenKey, UrlKeys
from proxy.auth.method import LoginMethod, Parts, Refused
from proxy.auth.plain import PasswordMethod
from proxy.auth.request import LoginRequest
from proxy.auth.web import Endpoint
from proxy.config.rules import JwtRule

_TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})
"""``typ`` of tokens that are for access; others, such as logout tokens, may have the same keys."""
_MOST_TRIES = 8
"""Keys that a signature is held against, where a token does not name its own."""


@dataclass(frozen=True, slots=True)
class Claims:
    """Which claims say what; each is a claim's name, or a path such as ``realm_access.roles``.

    Attributes:
        user: whose token it is.
        groups, roles, tenant, act_as: None where no claim says so.
        attributes: claim by attribute.
    """

    user: str = "sub"
    groups: str | None = None
    roles: str | None = None
    tenant: str | None = None
    act_as: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)

    def grants(self, claims: Mapping[str, Any], expires: float) -> Grants:
        """What a token's claims say.

        Raises:
            GrantsError: one of them is of another kind, or the tenant's is missing.
        """
        found: dict[str, object] = {
            name: _claim(claims, path)
            for name in ("groups", "roles", "tenant", "act_as")
            if (path := getattr(self, name)) is not None
        }
        if self.tenant is not None and found["tenant"] is None:
            raise GrantsError("the tenant's claim is missing")
        values = {name: _claim(claims, path) for name, path in self.attributes.items()}
        known = {name: value for name, value in values.items() if value is not None}
        return Grants.read({**found, "attributes": known, "expires": expires})


@dataclass(frozen=True, slots=True)
class Tokens:
    """Checks tokens of one issuer.

    Attributes:
        keys: of the issuer; one that its operator shares a secret with has that alone.
        algorithms: the only ones that are accepted; never ``none``.
        issuers: of which a token names one.
        audiences: of which a token names one or more.
        skew: seconds that clocks may differ by.
        required: claims that have to be there, besides exp, iss and aud.
    """

    keys: KeySource
    algorithms: frozenset[str]
    issuers: Sequence[str]
    audiences: Sequence[str]
    claims: Claims
    users: IdentityMap
    skew: float
    required: Sequence[str] = ()
    name: str = "jwt"

    async def check(self, request: LoginRequest, password: str) -> Grants:
        """See PasswordChecker."""
        kid, algorithm = self._header(password)
        try:
            keys = await self.keys.find(kid, algorithm)
        except Unavailable as error:
            raise Refused(str(error), counts=False) from None
        if not keys:
            raise Refused("token signed with an unknown key")
        claims = self._verified(password, algorithm, keys)
        owner = _claim(claims, self.claims.user)
        if not isinstance(owner, str) or not self.users.allows(owner, request.user):
            raise Refused("token of somebody else")
        try:
            return self.claims.grants(claims, float(claims["exp"]) + self.skew)
        except GrantsError as error:
            raise Refused(f"token: {error}") from None

    async def close(self) -> None:
        """See PasswordChecker."""
        await self.keys.close()

    def _header(self, token: str) -> tuple[str | None, str]:
        """The key's name and the algorithm; nothing else in a header means anything here."""
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise Refused("no token") from None
        algorithm, kid, kind = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
        if not isinstance(algorithm, str) or algorithm not in self.algorithms:
            raise Refused("token with an algorithm that is not accepted")
        if not isinstance(kind, str) or kind.lower() not in _TYPES:
            raise Refused("token of a type that is not for access")
        if "crit" in header or "b64" in header:
            raise Refused("token with an unsupported extension")
        if kid is not None and not isinstance(kid, str):
            raise Refused("token whose kid is no text")
        return kid, algorithm

    def _verified(self, token: str, algorithm: str, keys: Sequence[TokenKey]) -> Mapping[str, Any]:
        reason = ""
        for key in keys[:_MOST_TRIES]:
            try:
                claims: dict[str, Any] = jwt.decode(
                    token,
                    key.key,
                    algorithms=[algorithm],
                    issuer=list(self.issuers),
                    audience=list(self.audiences),
                    leeway=self.skew,
                    options={
                        "require": ["exp", "iss", "aud", *self.required],
                        "enforce_minimum_key_length": True,
                    },
                )
            except jwt.InvalidSignatureError:
                reason = "token with a wrong signature"
            except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
                raise Refused(f"token refused: {type(error).__name__}") from None
            else:
                return _timely(claims)
        raise Refused(reason)


def _timely(claims: dict[str, Any]) -> dict[str, Any]:
    """The claims, if their times are numbers; some take texts for them."""
    for name in ("exp", "nbf", "iat"):
        if not is_moment(claims.get(name, 0)):
            raise Refused(f"token whose {name} is no time")
    return claims


def _claim(claims: Mapping[str, Any], path: str) -> object:
    """A claim by its name, which may hold dots itself, else by a path; None where there is none."""
    if path in claims:
        return claims[path]
    value: object = claims
    for part in path.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value


def open_method(rule: JwtRule, parts: Parts) -> LoginMethod:
    """See MethodModule."""
    del parts
    keys: KeySource
    if rule.secret is not None:
        keys = SharedSecret(rule.secret.get_secret_value().encode())
    elif rule.jwks_file is not None:
        keys = FileKeys(rule.jwks_file)
    else:
        assert rule.jwks_url is not None
        endpoint = Endpoint.open(rule.jwks_url, ca=rule.jwks_ca, seconds=rule.timeout)
        bulkhead = Bulkhead("keys", threads=1, seconds=rule.timeout)
        keys = UrlKeys(endpoint, bulkhead, rule.jwks_refresh)
    claims = Claims(
        rule.user_claim,
        rule.groups_claim,
        rule.roles_claim,
        rule.tenant_claim,
        rule.act_as_claim,
        rule.attributes_claims,
    )
    tokens = Tokens(
        keys,
        frozenset(rule.effective_algorithms),
        rule.issuer,
        rule.audience,
        claims,
        rule.users(),
        rule.clock_skew,
        rule.required_claims,
    )
    return PasswordMethod(tokens)
