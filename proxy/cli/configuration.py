"""From the command line's arguments to the configuration."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from proxy.config import Config, ConfigError, load_config

DEFAULT_FILE = Path("cubewire.yml")
_OPTIONS = {
    "models": "models",
    "host": "server.host",
    "port": "server.port",
    "admin_port": "server.admin_port",
    "workers": "server.workers",
    "catalog_dsn": "catalog.dsn",
}


class UsageError(Exception):
    """The command was called wrongly; the message is a report for the terminal."""


def configuration(
    arguments: argparse.Namespace, defaults: Mapping[str, Any] | None = None
) -> Config:
    """Load the configuration a command is to run with.

    Args:
        arguments: options that were given go before everything else.
        defaults: values by dotted key under those options, over the file and the environment.

    Raises:
        UsageError: with every problem.
    """
    overrides = dict(defaults or {})
    for option, key in _OPTIONS.items():
        value = getattr(arguments, option, None)
        if value is not None:
            overrides[key] = value
    try:
        return load_config(config_file(arguments.config, os.environ), os.environ, overrides)
    except ConfigError as error:
        raise UsageError(str(error)) from None


def config_file(given: Path | None, environment: Mapping[str, str]) -> Path | None:
    """The configuration file: the one given, else the environment's, else the usual one."""
    if given is not None:
        return given
    named = environment.get("CUBEWIRE_CONFIG")
    if named:
        return Path(named)
    return DEFAULT_FILE if DEFAULT_FILE.is_file() else None


def report(error: Exception) -> int:
    """Show an error that ends the command; return its exit code."""
    text = str(error) or type(error).__name__
    print(f"cubewire: {text}", file=sys.stderr)
    return 2 if isinstance(error, UsageError) else 1
