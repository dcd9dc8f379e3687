"""Remembers, beside the key, how far a chain has come, so that cutting off its end shows."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

_TEXT = re.compile(r"(\d{20}) ([0-9a-f]{64})\n")


@dataclass(frozen=True, slots=True)
class Head:
    """The last line that was written: its number and its code."""

    sequence: int
    mac: str


class HeadFile:
    """One small file, overwritten in place after every batch of lines."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Head | None:
        """What was written last; None where nothing is, or it is damaged."""
        try:
            found = _TEXT.fullmatch(self._path.read_text("ascii"))
        except (OSError, UnicodeDecodeError):
            return None
        return None if found is None else Head(int(found[1]), found[2])

    def write(self, head: Head) -> None:
        """Replace it. Raises OSError."""
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(descriptor, f"{head.sequence:020d} {head.mac}\n".encode("ascii"), 0)
        finally:
            os.close(descriptor)


def head_path(state_directory: Path, chain: str) -> Path:
    """Where the head of a chain is kept; a chain's name is that of the process that writes it."""
    return state_directory / f"audit-{chain}.head"
