"""Where lines go besides files and syslog, and what every place has in common."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Protocol, TextIO


class Sink(Protocol):
    """Takes lines, on a thread of its own."""

    def last_line(self) -> str | None:
        """The newest line that is there already, where that can be known."""

    def write(self, lines: Sequence[str]) -> None:
        """Keep lines: all, or none as far as that can be had. Raises OSError."""

    def close(self) -> None:
        """Let go of files and sockets."""


class StdoutSink:
    """Standard output, for a collector that reads it."""

    def __init__(self, file: TextIO | None = None) -> None:
        self._file = file or sys.stdout

    def last_line(self) -> str | None:
        """Not to be known."""
        return None

    def write(self, lines: Sequence[str]) -> None:
        """See Sink."""
        try:
            self._file.write("\n".join(lines) + "\n")
            self._file.flush()
        except ValueError as error:
            raise OSError(f"standard output: {error}") from error

    def close(self) -> None:
        """It is not ours to close."""
