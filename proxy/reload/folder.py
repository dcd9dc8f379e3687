"""What the model folder holds: whether it has changed, and has come to rest.

A look costs a fraction of a millisecond, and finds every change wherever the folder is.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from semantic.model.files import model_files

State = frozenset[tuple[str, int, int, int]]
"""Path, size, time of change and number of each file."""

Read = TypeVar("Read")

TRIES = 5
"""So often a folder is read anew that was changed meanwhile."""


class UnsettledError(OSError):
    """A folder was changed each time that it was read."""


def state_of(folder: Path) -> State:
    """What tells that a file of the model was added, removed or written. Links are followed."""
    found: set[tuple[str, int, int, int]] = set()
    for file in model_files(folder):
        try:
            status = file.stat()
        except OSError:
            continue  # gone since it was listed, which the next look sees
        found.add((str(file), status.st_size, status.st_mtime_ns, status.st_ino))
    return frozenset(found)


def leads_elsewhere(folder: Path) -> bool:
    """Whether the folder, or a file of the model in it, is reached over a link from outside."""
    root = os.path.realpath(folder)
    if root != os.path.abspath(folder):
        return True
    inside = os.path.join(root, "")
    return any(not os.path.realpath(file).startswith(inside) for file in model_files(folder))


def read_whole(folder: Path, read: Callable[[], Read]) -> Read:
    """Read a folder's files as they were at one moment.

    Raises UnsettledError where they are written all the time.
    """
    before = state_of(folder)
    for _ in range(TRIES):
        try:
            found = read()
        except Exception:
            # Half of a change is no model, which is nobody's fault.
            if state_of(folder) == before:
                raise
        else:
            if state_of(folder) == before:
                return found
        before = state_of(folder)
    raise UnsettledError(f"{folder} was changed whenever it was read")


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

    @property
    def rests_in(self) -> float | None:
        """Seconds until a change counts, if nothing else follows; None where there is none."""
        if self._seen is None:
            return None
        return max(0.0, self._since + self.debounce - self.clock())

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
