"""``cubewire check``: every problem of the model at once."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from proxy.cli.configuration import UsageError, configuration, report
from proxy.config import Config
from proxy.tenant_folders import tenant_folders
from semantic.model.loader import load_model


def run(arguments: argparse.Namespace) -> int:
    """Load the model; print what is wrong with it, or what is in it.

    Where each tenant has a model, all of them.
    """
    try:
        paths = [arguments.path] if arguments.path else model_folders(configuration(arguments))
    except UsageError as error:
        return report(error)
    found = [load_model(path, os.environ) for path in paths]
    if arguments.format == "json":
        documents = [
            {"folder": str(path), **each.to_json()} for path, each in zip(paths, found, strict=True)
        ]
        print(json.dumps(found[0].to_json() if len(found) == 1 else documents, indent=2))
    else:
        print("\n".join(each.render_text() for each in found))
    return 0 if all(each.model is not None for each in found) else 1


def model_folders(config: Config) -> list[Path]:
    """The folders that models are read from. Raises UsageError where there is none."""
    if config.tenancy.mode != "models":
        return [config.models]
    folders = tenant_folders(config.models)
    if not folders:
        raise UsageError(f"tenancy: {config.models} has no folder, so there is no tenant")
    return list(folders.values())
