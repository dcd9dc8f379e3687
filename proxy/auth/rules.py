"""The rules in their order: the first that fits a connection decides how it proves who it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from proxy.auth.errors import AuthenticationFailed
from proxy.auth.grants import NOTHING, Grants
from proxy.auth.method import LoginMethod
from proxy.auth.patterns import LONGEST_NAME, AddressPattern, NamePattern
from proxy.auth.request import LoginRequest

EVERY_NAME = NamePattern(None)
EVERY_ADDRESS = AddressPattern(None)


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of ``auth.rules``.

    Attributes:
        method: None refuses.
        tls_only: the rule is for connections inside TLS.
        client_certificate: what is wanted besides the method: any valid one, or one whose common
            name is the user.
        grants: of whoever it lets in.
        lifetime: seconds that a session of it lasts; 0 is for ever.
    """

    method: LoginMethod | None
    database: NamePattern = EVERY_NAME
    user: NamePattern = EVERY_NAME
    address: AddressPattern = EVERY_ADDRESS
    tls_only: bool = False
    client_certificate: Literal["any", "require", "match"] = "any"
    grants: Grants = NOTHING
    lifetime: float = 0.0

    def fits(self, request: LoginRequest) -> bool:
        """Whether this rule is for the connection."""
        if self.tls_only and not request.encrypted:
            return False
        return (
            self.address.matches(request.address)
            and self.user.matches(request.user)
            and self.database.matches(request.database)
        )


def choose(rules: Sequence[Rule], request: LoginRequest) -> tuple[Rule, LoginMethod]:
    """The rule that decides, with its method.

    Raises:
        AuthenticationFailed: 28000 where none fits, or the one that does refuses. As with
            PostgreSQL, that depends on nothing but what the client itself has said.
    """
    if max(len(request.user), len(request.database)) > LONGEST_NAME:
        raise AuthenticationFailed(
            "28000", "user or database name is too long", reason="name longer than any rule is for"
        )
    rule = next((each for each in rules if each.fits(request)), None)
    if rule is None:
        raise AuthenticationFailed(
            "28000",
            f"no entry of auth.rules for {_described(request)}",
            hint=None if request.encrypted else "Connect with sslmode=require.",
            reason="no rule fits",
        )
    if rule.method is None:
        raise AuthenticationFailed(
            "28000",
            f"auth.rules rejects connection for {_described(request)}",
            reason="rejected by a rule",
        )
    return rule, rule.method


def _described(request: LoginRequest) -> str:
    encryption = "SSL encryption" if request.encrypted else "no encryption"
    return (
        f'host "{request.address}", user "{request.user}", database "{request.database}", '
        f"{encryption}"
    )
