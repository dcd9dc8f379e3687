"""Where the models of tenants are, who have one each."""

from __future__ import annotations

from pathlib import Path


def tenant_folders(models: Path) -> dict[str, Path]:
    """The model folders of tenants, by their names: the folders in the model folder.

    Those whose names begin with a dot are none: git and mounted Kubernetes volumes have theirs.
    """
    if not models.is_dir():
        return {}
    found = (path for path in sorted(models.iterdir()) if not path.name.startswith("."))
    return {path.name: path for path in found if path.is_dir()}
