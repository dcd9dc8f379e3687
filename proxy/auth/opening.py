"""From the configuration to an authenticator: a method for each rule."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from proxy.auth.authenticator import Authenticator, make_throttle
from proxy.auth.candidates import user_verifier
from proxy.auth.method import LoginMethod, MethodModule, Parts
from proxy.auth.patterns import AddressPattern, NamePattern
from proxy.auth.rules import Rule
from proxy.auth.setup import SetupError
from proxy.auth.users import KnownUser, Users
from proxy.auth.users_file import UsersFile
from proxy.auth.verifier import Verifier
from proxy.config.auth import HIGHEST_CLEARTEXT_ITERATIONS, AuthConfig, UserConfig
from proxy.config.rules import AnyRule, PasswordRule, RejectRule


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


def _opened(rule: AnyRule, parts: Parts) -> Rule:
    return Rule(
        None if isinstance(rule, RejectRule) else _method(rule, parts),
        NamePattern.of(rule.database),
        NamePattern.of(rule.user),
        AddressPattern.of(rule.address),
        tls_only=rule.tls == "require",
        client_certificate=rule.client_certificate,
        grants=rule.grants(),
        lifetime=rule.session_lifetime,
    )


def _method(rule: AnyRule, parts: Parts) -> LoginMethod:
    """The method of a rule, by the module of its name."""
    name = rule.method
    try:
        module = cast("MethodModule", importlib.import_module(f"proxy.auth.methods.{name}"))
    except ModuleNotFoundError as error:
        raise SetupError(
            f"method {name} needs the Python package {error.name}: pip install 'cubewire[{name}]'"
        ) from None
    return module.open_method(rule, parts)


def _known(secret: bytes, name: str, user: UserConfig) -> KnownUser:
    verifier = None
    if user.verifier is not None:
        verifier = Verifier.parse(user.verifier.get_secret_value())
    elif user.password is not None:
        verifier = user_verifier(secret, name, user.password.get_secret_value())
    return KnownUser(verifier, user.grants())
