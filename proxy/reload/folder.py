"""Watching the model folder.

It is looked at once in a while, which costs a fraction of a millisecond and finds every change
wherever the folder is: the kernel's notifications say nothing of network and container mounts.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

State = frozenset[tuple[str, int, int, int]]
"""Path, size, time of change and number of each file."""

_SKIPPED = frozenset((".git", "__pycache__"))


def state_of(folder: Path) -> State:
    """What tells that a file was added, removed or written. Links are followed."""
    found: set[tuple[str, int, int, int]] = set()
    for path, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if name not in _SKIPPED]
        for name in files:
            file = os.path.join(path, name)
            try:
                status = os.stat(file)
            except OSError:
                continue  # gone since it was listed, which the next look sees
            found.add((file, status.st_size, status.st_mtime_ns, status.st_ino))
    return frozenset(found)


@dataclass(slots=True, eq=False)
class FolderWatch:
    """Tells when a folder has changed and come to rest.

    Attributes:
        debounce: seconds for which nothing may have changed before a change counts: files are
            written one after the other.
    """

    folder: Path
    debounce: float
    clock: Callable[[], float] = time.monotonic
    _loaded: State = field(init=False)
    _seen: State | None = None
    _since: float = 0.0

    def __post_init__(self) -> None:
        self._loaded = state_of(self.folder)

    def changed(self) -> bool:
        """Whether the folder is not what was loaded, and is at rest."""
        now = state_of(self.folder)
        if now == self._loaded:
            self._seen = None
            return False
        if now != self._seen:
            self._seen, self._since = now, self.clock()
        return self.clock() - self._since >= self.debounce

    def loading(self) -> None:
        """It is being read now: what changes from here on is another change."""
        self._loaded, self._seen = state_of(self.folder), None
