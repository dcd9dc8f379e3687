"""Files that are read again when they change."""

from __future__ import annotations

from pathlib import Path


def signature(path: Path) -> object:
    """A value that changes when the file does; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
