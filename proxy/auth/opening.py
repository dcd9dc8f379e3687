"""From the configuration to an authenticator: a method for each rule."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from proxy.auth.authenticator import Authenticator, make_throttle
from proxy.auth.bulkhead import Bulkhead
from proxy.auth.candidates import Candidates, user_verifier
from proxy.auth.method import LoginMethod
from proxy.auth.password import LocalPasswords
from proxy.auth.patterns import AddressPattern, NamePattern
from proxy.auth.plain import PasswordMethod, TrustMethod
from proxy.auth.rules import Rule
from proxy.auth.scram import ScramMethod
from proxy.auth.users import KnownUser, Users
from proxy.auth.users_file import UsersFile
from proxy.auth.verifier import Verifier
from proxy.config.auth import HIGHEST_CLEARTEXT_ITERATIONS, AuthConfig, UserConfig
from proxy.config.rules import PasswordRule, RejectRule, RuleConfig, ScramRule, TrustRule

_PASSWORD_THREADS = 4
_PASSWORD_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Parts:
    """What a method may need beside its own options."""

    users: Users
    secret: bytes = field(repr=False)


def _scram(_: ScramRule, parts: Parts) -> LoginMethod:
    return ScramMethod(Candidates(parts.users, parts.secret))


def _password(_: PasswordRule, parts: Parts) -> LoginMethod:
    bulkhead = Bulkhead("password", threads=_PASSWORD_THREADS, seconds=_PASSWORD_SECONDS)
    return PasswordMethod(LocalPasswords(Candidates(parts.users, parts.secret), bulkhead))


def _trust(_: TrustRule, parts: Parts) -> LoginMethod:
    return TrustMethod(parts.users)


_OPENERS: dict[type[RuleConfig], Callable[[Any, Parts], LoginMethod]] = {
    ScramRule: _scram,
    PasswordRule: _password,
    TrustRule: _trust,
}


@asynccontextmanager
async def open_authenticator(auth: AuthConfig, secret: bytes) -> AsyncIterator[Authenticator]:
    """The configured rules and users.

    Args:
        auth: the configuration.
        secret: of the installation (``login_secret``).

    Raises:
        UsersFileError: the users file cannot be used.
    """
    configured = {name: _known(secret, name, user) for name, user in auth.users.items()}
    file = UsersFile(auth.users_file) if auth.users_file is not None else None
    rules = auth.effective_rules
    cleartext = any(isinstance(rule, PasswordRule) for rule in rules)
    users = Users(configured, file, HIGHEST_CLEARTEXT_ITERATIONS if cleartext else None)
    throttle = make_throttle(
        base=auth.failure_delay,
        longest=auth.failure_delay_max,
        limit=auth.failure_limit,
        window=auth.failure_window,
    )
    parts = Parts(users, secret)
    authenticator = Authenticator([_opened(rule, parts) for rule in rules], users, throttle)
    try:
        yield authenticator
    finally:
        await authenticator.close()


def _opened(rule: RuleConfig, parts: Parts) -> Rule:
    return Rule(
        None if isinstance(rule, RejectRule) else _OPENERS[type(rule)](rule, parts),
        NamePattern.of(rule.database),
        NamePattern.of(rule.user),
        AddressPattern.of(rule.address),
        tls_only=rule.tls == "require",
        client_certificate=rule.client_certificate,
        grants=rule.grants(),
        lifetime=rule.session_lifetime,
    )


def _known(secret: bytes, name: str, user: UserConfig) -> KnownUser:
    verifier = None
    if user.verifier is not None:
        verifier = Verifier.parse(user.verifier.get_secret_value())
    elif user.password is not None:
        verifier = user_verifier(secret, name, user.password.get_secret_value())
    return KnownUser(verifier, user.grants())
