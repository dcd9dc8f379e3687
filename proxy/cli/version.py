"""``cubewire version``."""

from __future__ import annotations

import argparse
import json
import platform

from proxy.version import VERSION


def run(arguments: argparse.Namespace) -> int:
    """Print the version."""
    if arguments.format == "json":
        print(json.dumps({"cubewire": VERSION, "python": platform.python_version()}))
    else:
        print(f"cubewire {VERSION}")
    return 0
