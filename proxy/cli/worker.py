"""The process that serves: the only one, or one of several."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys

import uvloop

from connectors.errors import WarehouseError
from connectors.options import ConnectorOptionsError
from proxy.arrow_alone import leave_pandas_out
from proxy.assembly import StartupError
from proxy.auth.certificate import CertificateError
from proxy.auth.sealing import sealed
from proxy.auth.secret import login_secret
from proxy.auth.setup import SetupError
from proxy.cache.schedule import ScheduleError
from proxy.caching import CacheSettingsError
from proxy.catalog.errors import CatalogError
from proxy.cli.configuration import report
from proxy.cli.shown import shown_login, with_login
from proxy.config import Config
from proxy.memory import limit_heaps
from proxy.observability.spans import TracingError
from proxy.startup import serve
from proxy.warehouse.opening import LimitsError

FAILURES = (
    StartupError,
    ConnectorOptionsError,
    WarehouseError,
    CatalogError,
    CertificateError,
    SetupError,
    ScheduleError,
    CacheSettingsError,
    TracingError,
    LimitsError,
    OSError,
)
"""What can keep a server from starting, with a message for the operator."""


def run(arguments: argparse.Namespace, config: Config) -> int:
    """Serve until SIGTERM."""
    limit_heaps()
    leave_pandas_out()
    login = shown_login(config, demo=arguments.demo)
    try:
        config = sealed(config, login_secret(config.state_directory))
        uvloop.run(_serve(arguments, config, login))
    except FAILURES as error:
        return report(error)
    # DuckDB's module reports its own constants as leaks when the interpreter is torn down: dozens
    # of lines that would look like ours. Everything is closed by now, so it is not torn down.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


async def _serve(arguments: argparse.Namespace, config: Config, login: str) -> None:
    def on_ready(dsn: str) -> None:
        shown = with_login(dsn, login)
        print(f"ready {shown}", flush=True)
        if arguments.demo:
            print(f"psql {shown}", flush=True)

    if arguments.worker is not None:
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), _parent_spoke)
    await serve(
        config,
        on_ready=on_ready,
        worker=arguments.worker or 0,
        run_directory=arguments.run_directory,
    )


def _parent_spoke() -> None:
    """The parent never writes: what can be read is the end of the pipe, so the parent has gone."""
    asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
    os.kill(os.getpid(), signal.SIGTERM)
