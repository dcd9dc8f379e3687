"""The secret of an installation, which makes what unknown users are shown stable."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path

_SECRET_BYTES = 32


def login_secret(directory: Path) -> bytes:
    """Read the secret of this installation, or make it (mode 0600) at the first start."""
    path = directory / "login.secret"
    directory.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        # Several workers may start at once: the first link wins, and all read the same file.
        handle, name = tempfile.mkstemp(dir=directory, prefix=".login.secret.")
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(_SECRET_BYTES))
        try:
            Path(path).hardlink_to(name)
        except FileExistsError:
            pass
        finally:
            Path(name).unlink()
    secret = path.read_bytes()
    if len(secret) != _SECRET_BYTES:
        raise OSError(f"{path} is damaged: remove it to have a new one made")
    return secret
