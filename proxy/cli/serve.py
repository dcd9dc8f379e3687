"""``cubewire serve``: one server process, or a parent of several."""

from __future__ import annotations

import argparse
import importlib

from proxy.cli.configuration import UsageError, report
from proxy.cli.demo import demo_configuration
from proxy.cli.workers import supervise
from proxy.config import Config


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM."""
    try:
        config = demo_configuration(arguments)
        _check_users(config)
        if config.server.workers > 1 and arguments.worker is None:
            return supervise(config, arguments.texts)
    except (UsageError, OSError) as error:
        return report(error)
    # A parent of workers never needs the compiler, the engine and their libraries.
    worker = importlib.import_module("proxy.cli.worker")
    return int(worker.run(arguments, config))


def _check_users(config: Config) -> None:
    if not config.auth.admits_somebody:
        raise UsageError("nobody could log in: auth.users is empty (or start with --demo)")
