"""``cubewire serve``: one server process, or a parent of several."""

from __future__ import annotations

import argparse

import uvloop

from connectors.errors import WarehouseError
from connectors.options import ConnectorOptionsError
from proxy.auth.authenticator import login_secret
from proxy.auth.certificate import CertificateError
from proxy.auth.sealing import sealed
from proxy.catalog.errors import CatalogError
from proxy.cli.configuration import UsageError, report
from proxy.cli.demo import demo_configuration
from proxy.config import Config
from proxy.demo import PASSWORD, USER
from proxy.startup import StartupError, serve

_FAILURES = (
    UsageError,
    StartupError,
    ConnectorOptionsError,
    WarehouseError,
    CatalogError,
    CertificateError,
    OSError,
)


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM."""
    try:
        config = demo_configuration(arguments)
        if not config.auth.users:
            raise UsageError("nobody could log in: auth.users is empty (or start with --demo)")
        login = _login(config, demo=arguments.demo)
        config = sealed(config, login_secret(config.state_directory))

        def on_ready(dsn: str) -> None:
            print(f"ready {with_login(dsn, login)}", flush=True)

        uvloop.run(serve(config, on_ready=on_ready))
    except _FAILURES as error:
        return report(error)
    return 0


def with_login(dsn: str, login: str) -> str:
    """The DSN with a login in front of the host."""
    scheme, separator, rest = dsn.partition("://")
    return f"{scheme}{separator}{login}@{rest}" if login else dsn


def _login(config: Config, *, demo: bool) -> str:
    """What to show in the DSN: the demo's login is no secret; else a lone user's name."""
    names = list(config.auth.users)
    demo_password = config.auth.users[USER].password if USER in names else None
    if demo and demo_password is not None and demo_password.get_secret_value() == PASSWORD:
        return f"{USER}:{PASSWORD}"
    return names[0] if len(names) == 1 else ""
