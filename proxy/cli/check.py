"""``cubewire check``: every problem of the model at once."""

from __future__ import annotations

import argparse
import json
import os

from proxy.cli.configuration import UsageError, configuration, report
from semantic.model.loader import load_model


def run(arguments: argparse.Namespace) -> int:
    """Load the model; print what is wrong with it, or what is in it."""
    try:
        path = arguments.path or configuration(arguments).models
    except UsageError as error:
        return report(error)
    found = load_model(path, os.environ)
    if arguments.format == "json":
        print(json.dumps(found.to_json(), indent=2))
    else:
        print(found.render_text())
    return 0 if found.model is not None else 1
