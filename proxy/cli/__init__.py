"""The command ``cubewire``.

Each subcommand is a module of its own that is imported only when it is asked for: ``--help`` and
``version`` must not wait for the compiler, the drivers and the server to load.
"""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Sequence
from types import ModuleType

from proxy.arrow_alone import leave_pandas_out
from proxy.cli.arguments import make_parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code (0 done, 1 failed, 2 wrongly called)."""
    texts = list(sys.argv[1:] if arguments is None else arguments)
    parsed = make_parser().parse_args(texts)
    parsed.texts = texts
    command = _imported(f"proxy.cli.{parsed.command}")
    leave_pandas_out()
    try:
        return int(command.run(parsed))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output (head, less) has gone: that is its right.
        sys.stderr.close()
        return 1


def _imported(name: str) -> ModuleType:
    """Import a module. Looking for garbage in what stays would take a sixth of the time."""
    gc.disable()
    try:
        return importlib.import_module(name)
    finally:
        gc.enable()
