"""Level 1: results in this process, encoded as they go to clients, bounded in bytes.

What was used least recently goes first. Ages are counted by the monotonic clock: setting the
system's clock makes no entry immortal and none old.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from proxy.rows.encoded import EncodedRows

Key = tuple[bytes, bytes]
"""What was asked, and the form in which the rows are written."""

ENTRY_BYTES = 600
"""What an entry takes besides its rows: the entry, its key, its place in the order."""
CHUNK_BYTES = 300
OFFSET_BYTES = 8


def size_of(rows: EncodedRows) -> int:
    """Bytes that a run of rows takes, the place of each row included."""
    return len(rows) + OFFSET_BYTES * rows.rows + CHUNK_BYTES


@dataclass(slots=True, eq=False)
class Entry:
    """One whole result.

    Attributes:
        chunks: its rows in order.
        size: bytes that it takes.
        stored: monotonic seconds as of which the data is known to be current.
        cubes: whose data it holds.
        alive: false once it has left the cache.
    """

    key: Key
    chunks: tuple[EncodedRows, ...]
    size: int
    stored: float
    cubes: tuple[str, ...]
    alive: bool = True


@dataclass(slots=True)
class MemoryStore:
    """The entries.

    Attributes:
        capacity: bytes that they may take together.
        evictions: entries that had to make room.
    """

    capacity: int
    used: int = 0
    evictions: int = 0
    _entries: OrderedDict[Key, Entry] = field(default_factory=OrderedDict)

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key) -> Entry | None:
        """The entry under a key, now the most recently used."""
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    def touch(self, entry: Entry) -> None:
        """An entry that is alive has been used without being looked up."""
        self._entries.move_to_end(entry.key)

    def put(
        self, key: Key, chunks: Sequence[EncodedRows], stored: float, cubes: tuple[str, ...]
    ) -> Entry | None:
        """Keep a whole result; None where it is larger than all there is."""
        size = ENTRY_BYTES + sum(map(size_of, chunks))
        self._drop(key)
        if size > self.capacity:
            return None
        entry = Entry(key, tuple(chunks), size, stored, cubes)
        self._entries[key] = entry
        self.used += size
        while self.used > self.capacity:
            self._drop(next(iter(self._entries)))
            self.evictions += 1
        return entry

    def discard(self, cubes: frozenset[str] | None) -> None:
        """Free what holds data of these cubes; None is everything."""
        for key, entry in list(self._entries.items()):
            if cubes is None or not cubes.isdisjoint(entry.cubes):
                self._drop(key)

    def _drop(self, key: Key) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            entry.alive = False
            self.used -= entry.size
