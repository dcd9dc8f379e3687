"""Writes log lines from a thread of its own, so that a full pipe never stops the event loop."""

from __future__ import annotations

import threading
from collections import deque
from typing import TextIO

_MOST_WAITING = 50_000
"""Lines. Beyond it the newest are dropped and counted: a stuck reader must not fill the memory."""
_GATHER_SECONDS = 0.02
"""Lines that arrive within this time are written together."""
_CLOSE_SECONDS = 2.0


class LineWriter:
    """An asynchronous, bounded file of lines.

    Attributes:
        dropped: lines lost because the file did not take them.
    """

    def __init__(self, file: TextIO, *, owned: bool = False) -> None:
        """Start the thread.

        Args:
            file: where lines go.
            owned: whether ``close`` closes it too.
        """
        self._file = file
        self._owned = owned
        self._waiting: deque[str] = deque()
        self._wanted = threading.Event()
        self._closing = threading.Event()
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="cubewire-log", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Append a line (without its end). Returns at once."""
        if len(self._waiting) >= _MOST_WAITING:
            self.dropped += 1
            return
        self._waiting.append(line)
        if not self._wanted.is_set():
            self._wanted.set()

    def close(self) -> None:
        """Write what waits, for a short time at most."""
        self._closing.set()
        self._wanted.set()
        self._thread.join(_CLOSE_SECONDS)
        if self._owned and not self._thread.is_alive():
            self._file.close()

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            closing = self._closing.wait(_GATHER_SECONDS)
            self._wanted.clear()
            lines = [self._waiting.popleft() for _ in range(len(self._waiting))]
            if lines:
                try:
                    self._file.write("\n".join(lines) + "\n")
                    self._file.flush()
                except (OSError, ValueError):
                    # A closed or full file: there is nowhere left to say so but the counter.
                    self.dropped += len(lines)
            if closing and not self._waiting:
                return
