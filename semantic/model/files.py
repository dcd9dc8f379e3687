"""Which files of a folder make up a model."""

from __future__ import annotations

import os
from pathlib import Path

YAML = frozenset({".yml", ".yaml"})
MACROS = frozenset({".jinja", ".jinja2", ".j2"})
"""Templates without a document of their own: macros that other files import."""


def model_files(path: Path) -> list[Path]:
    """The model's files in a folder and the folders in it, in order; or a file itself.

    Names that begin with a dot are skipped with all that is below: editors, git and mounted
    Kubernetes volumes have theirs there. Links are followed, but not into a folder around them.
    """
    if not path.is_dir():
        return [path] if _is_model_file(path.name) else []
    found: list[Path] = []
    for folder, folders, names in os.walk(path, followlinks=True):
        here = os.path.realpath(folder)
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and not _is_around(os.path.join(folder, name), here)
        ]
        found += [Path(folder, name) for name in names if _is_model_file(name)]
    return sorted(found)


def _is_model_file(name: str) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1] in YAML | MACROS


def _is_around(folder: str, here: str) -> bool:
    """Whether a link leads from a folder to itself or to one that it lies in."""
    return os.path.islink(folder) and os.path.join(here, "").startswith(
        os.path.join(os.path.realpath(folder), "")
    )
