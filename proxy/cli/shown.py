"""What stands in the DSN that ``cubewire serve`` prints."""

from __future__ import annotations

from proxy.config import Config
from proxy.demo import PASSWORD, USER


def with_login(dsn: str, login: str) -> str:
    """The DSN with a login in front of the host."""
    scheme, separator, rest = dsn.partition("://")
    return f"{scheme}{separator}{login}@{rest}" if login else dsn


def shown_login(config: Config, *, demo: bool) -> str:
    """What stands in the DSN: the demo's login, which is no secret; else a lone user's name."""
    names = list(config.auth.users)
    password = config.auth.users[USER].password if USER in names else None
    if demo and password is not None and password.get_secret_value() == PASSWORD:
        return f"{USER}:{PASSWORD}"
    return names[0] if len(names) == 1 else ""
