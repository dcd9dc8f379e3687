"""The configuration of the commands that take ``--demo``.

Apart from ``proxy.cli.configuration`` because it loads the warehouse's driver.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from proxy.cli.configuration import UsageError, configuration
from proxy.config import Config
from proxy.demo import DemoError, demo_defaults, ensure_demo, find_models, show_progress


def demo_configuration(arguments: argparse.Namespace) -> Config:
    """Load the configuration; with ``--demo``, make the data and fill in what is left out.

    Raises:
        UsageError: with every problem.
    """
    config = configuration(arguments)
    if not arguments.demo:
        return config
    try:
        config = configuration(arguments, _defaults(config))
        ensure_demo(config.state_directory, show_progress())
    except DemoError as error:
        raise UsageError(str(error)) from None
    return config


def _defaults(config: Config) -> dict[str, Any]:
    values = demo_defaults(config.state_directory)
    if config.auth.admits_somebody:
        values = {key: value for key, value in values.items() if not key.startswith("auth.")}
    if "default" in config.data_sources:
        del values["data_sources.default"]
    if not config.models.is_dir():
        values["models"] = find_models(Path.cwd())
    return values
