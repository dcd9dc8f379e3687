"""An append-only file of lines that rotates by size and age.

One process writes a file: it holds a lock on it. What a failed write has left is taken back, so
that a full disk leaves whole lines; what a crash has left of one is cut off at the next start.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_TAIL_BYTES = 1024 * 1024
"""Where the last line is looked for: far longer than any line."""

_BEGINNING = b'{"seq":'
"""Of every line."""


@dataclass(frozen=True, slots=True)
class FileLimits:
    """When a file is closed and another begun.

    Attributes:
        max_bytes: of one file; 0 is any.
        max_age: seconds since its first line; 0 is any.
        keep: rotated files that stay; 0 is all.
        fsync: whether lines are on the disk before the next batch is taken.
    """

    max_bytes: int = 0
    max_age: float = 0.0
    keep: int = 0
    fsync: bool = False


class FileSink:
    """See the module.

    Attributes:
        torn_bytes: of an unfinished line that was cut off at the start.
    """

    def __init__(
        self, path: Path, limits: FileLimits, clock: Callable[[], float] = time.time
    ) -> None:
        """Open the file. Raises OSError where that cannot be done, or another process has it."""
        self._path = path
        self._limits = limits
        self._clock = clock
        self._descriptor = -1
        self._size = 0
        self._since = 0.0
        self.torn_bytes = 0
        self._last: str | None = None
        self._open()
        self._read_tail()

    def last_line(self) -> str | None:
        """The newest line, also of the newest rotated file where this one is empty."""
        if self._last is None:
            for older in reversed(self._rotated()):
                lines = older.read_bytes()[-_TAIL_BYTES:].splitlines()
                return lines[-1].decode(errors="replace") if lines else None
        return self._last

    def write(self, lines: Sequence[str]) -> None:
        """See Sink."""
        if self._descriptor < 0 or self._replaced():
            self.close()
            self._open()
        data = ("\n".join(lines) + "\n").encode()
        if self._is_full(len(data)):
            self._rotate()
        if not self._size:
            self._since = self._clock()
        try:
            _write_all(self._descriptor, data)
            if self._limits.fsync:
                os.fsync(self._descriptor)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(data)

    def close(self) -> None:
        """See Sink."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise OSError(f"{self._path} is being written by another process") from error
        self._descriptor = descriptor
        state = os.fstat(descriptor)
        self._size = state.st_size
        self._since = state.st_ctime if self._size else self._clock()

    def _read_tail(self) -> None:
        start = max(0, self._size - _TAIL_BYTES)
        tail = os.pread(self._descriptor, self._size - start, start)
        whole = tail.rfind(b"\n") + 1
        self.torn_bytes = len(tail) - whole
        if self.torn_bytes:
            if not tail[whole:].startswith(_BEGINNING[: self.torn_bytes]):
                self.close()
                raise OSError(f"{self._path} ends in what is no line of an audit trail")
            self._size -= self.torn_bytes
            os.ftruncate(self._descriptor, self._size)
        lines = tail[:whole].splitlines()
        if lines:
            self._last = lines[-1].decode(errors="replace")

    def _replaced(self) -> bool:
        """Whether the path no longer leads to the file that is open. Raises OSError."""
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return True
        here = os.fstat(self._descriptor)
        return (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino)

    def _is_full(self, more: int) -> bool:
        limits = self._limits
        if not self._size:
            return False
        if limits.max_bytes and self._size + more > limits.max_bytes:
            return True
        return bool(limits.max_age) and self._clock() - self._since > limits.max_age

    def _rotate(self) -> None:
        moment = datetime.fromtimestamp(self._clock(), UTC)
        name = f"{self._path.name}.{moment:%Y%m%dT%H%M%S.%fZ}"
        while (target := self._path.with_name(name)).exists():
            name += "a"  # two within a microsecond: the name still sorts after the other's
        self._path.rename(target)
        self.close()
        self._open()
        if self._limits.keep:
            for old in self._rotated()[: -self._limits.keep]:
                with suppress(OSError):
                    old.unlink()

    def _rotated(self) -> list[Path]:
        """Oldest first."""
        return sorted(self._path.parent.glob(f"{self._path.name}.[0-9]*Z*"))


def _write_all(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
