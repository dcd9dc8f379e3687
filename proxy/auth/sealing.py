"""Replaces the passwords of a configuration by their verifiers, so that no plaintext stays."""

from __future__ import annotations

from pydantic import SecretStr

from proxy.auth.candidates import user_verifier
from proxy.config.auth import UserConfig
from proxy.config.models import Config


def sealed(config: Config, secret: bytes) -> Config:
    """The same configuration with a verifier for every login.

    Args:
        config: its passwords are no longer referenced by the result.
        secret: of the installation (``login_secret``), for the salts.
    """
    users = {
        name: user if user.password is None else _sealed(secret, name, user, user.password)
        for name, user in config.auth.users.items()
    }
    auth = config.auth.model_copy(update={"users": users})
    return config.model_copy(update={"auth": auth})


def _sealed(secret: bytes, name: str, user: UserConfig, password: SecretStr) -> UserConfig:
    verifier = user_verifier(secret, name, password.get_secret_value())
    return user.model_copy(update={"password": None, "verifier": SecretStr(verifier.text())})
