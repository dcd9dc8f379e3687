"""From the configuration to an authenticator: a method for each rule."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from proxy.auth.authenticator import Authenticator, make_throttle
from proxy.auth.bulkhead import Bulkhead
from proxy.auth.candidates import Candidates, user_verifier
from proxy.auth.certificates import CertificateMethod
from proxy.auth.http_hook import HttpHook
from proxy.auth.keys import FileKeys, KeySource, SharedSecret, UrlKeys
from proxy.auth.method import LoginMethod
from proxy.auth.password import LocalPasswords
from proxy.auth.patterns import AddressPattern, NamePattern
from proxy.auth.plain import PasswordMethod, TrustMethod
from proxy.auth.python_hook import PythonHook, find_hook
from proxy.auth.rules import Rule
from proxy.auth.scram import ScramMethod
from proxy.auth.setup import SetupError
from proxy.auth.tokens import Claims, Tokens
from proxy.auth.users import KnownUser, Users
from proxy.auth.users_file import UsersFile
from proxy.auth.verifier import Verifier
from proxy.auth.web import Endpoint
from proxy.config.auth import HIGHEST_CLEARTEXT_ITERATIONS, AuthConfig, UserConfig
from proxy.config.rules import (
    CertificateRule,
    HttpRule,
    JwtRule,
    LdapRule,
    PasswordRule,
    PythonRule,
    RejectRule,
    RuleConfig,
    ScramRule,
    TrustRule,
)

_PASSWORD_THREADS = 4
_PASSWORD_SECONDS = 10.0


class MethodError(SetupError):
    """A method cannot be used on this installation."""


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


def _jwt(rule: JwtRule, _: Parts) -> LoginMethod:
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


def _ldap(rule: LdapRule, _: Parts) -> LoginMethod:
    try:
        ldap = importlib.import_module("proxy.auth.ldap")
    except ModuleNotFoundError as error:
        raise MethodError(
            f"method ldap needs the Python package {error.name}: pip install 'cubewire[ldap]'"
        ) from None
    password = rule.search_password
    directory = ldap.Directory(
        urls=rule.url,
        tls=ldap.open_tls(rule.ca),
        start_tls=rule.start_tls,
        seconds=rule.timeout,
        bind_dn=rule.bind_dn,
        search_base=rule.search_base or "",
        search_filter=rule.search_filter,
        search_dn=rule.search_dn,
        search_password=None if password is None else password.get_secret_value(),
        group_base=rule.group_base,
        group_filter=rule.group_filter,
        group_attribute=rule.group_attribute,
        attributes=rule.attribute_map,
        tenant_attribute=rule.tenant_attribute,
    )
    # A login has several steps; each has its time, and all together have twice that.
    bulkhead = Bulkhead("directory", threads=rule.concurrency, seconds=2 * rule.timeout)
    return PasswordMethod(ldap.Ldap(directory, bulkhead))


def _certificate(rule: CertificateRule, _: Parts) -> LoginMethod:
    return CertificateMethod(rule.name, rule.users())


def _http(rule: HttpRule, _: Parts) -> LoginMethod:
    endpoint = Endpoint.open(rule.url, ca=rule.ca, seconds=rule.timeout)
    bulkhead = Bulkhead("hook", threads=rule.concurrency, seconds=rule.timeout)
    secret = None if rule.secret is None else rule.secret.get_secret_value()
    return PasswordMethod(HttpHook(endpoint, bulkhead, secret))


def _python(rule: PythonRule, _: Parts) -> LoginMethod:
    bulkhead = Bulkhead("hook", threads=rule.concurrency, seconds=rule.timeout)
    at_once = asyncio.Semaphore(rule.concurrency)
    return PasswordMethod(PythonHook(find_hook(rule.function), bulkhead, rule.timeout, at_once))


_OPENERS: dict[type[RuleConfig], Callable[[Any, Parts], LoginMethod]] = {
    ScramRule: _scram,
    PasswordRule: _password,
    TrustRule: _trust,
    JwtRule: _jwt,
    LdapRule: _ldap,
    CertificateRule: _certificate,
    HttpRule: _http,
    PythonRule: _python,
}


def local_users(auth: AuthConfig) -> Users:
    """What this server says of its users, without their passwords: for commands.

    Raises:
        SetupError: the users file cannot be used.
    """
    file = UsersFile(auth.users_file) if auth.users_file is not None else None
    return Users({name: KnownUser(None, user.grants()) for name, user in auth.users.items()}, file)


@asynccontextmanager
async def open_authenticator(auth: AuthConfig, secret: bytes) -> AsyncIterator[Authenticator]:
    """The configured rules and users.

    Args:
        auth: the configuration.
        secret: of the installation (``login_secret``).

    Raises:
        SetupError, OSError: what a rule names cannot be used.
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
