"""The cache of analysed and compiled statements: least recently used out, bounded in bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from proxy.queries import CatalogQuery, CubeQuery

ENTRY_OVERHEAD_BYTES = 4_096
TREE_BYTES_PER_CHARACTER = 8


@dataclass(frozen=True, slots=True, eq=False)
class _Entry:
    query: CubeQuery | CatalogQuery
    size: int


class StatementCache:
    """Statements by everything their meaning depends on.

    The size of an entry is an estimate: a constant, and a multiple of the text's length, measured
    over BI statements.
    """

    def __init__(self, capacity_bytes: int) -> None:
        self._capacity = capacity_bytes
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._size = 0

    def get(self, key: Hashable) -> CubeQuery | CatalogQuery | None:
        """The statement under ``key``, now the most recently used."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry.query

    def put(self, key: Hashable, query: CubeQuery | CatalogQuery, text_length: int) -> None:
        """Keep a statement, dropping the least recently used beyond the capacity."""
        size = ENTRY_OVERHEAD_BYTES + TREE_BYTES_PER_CHARACTER * text_length
        old = self._entries.pop(key, None)
        if old is not None:
            self._size -= old.size
        if size > self._capacity:
            return
        self._entries[key] = _Entry(query, size)
        self._size += size
        while self._size > self._capacity:
            _, evicted = self._entries.popitem(last=False)
            self._size -= evicted.size

    def clear(self) -> None:
        """Forget everything: the model has changed."""
        self._entries.clear()
        self._size = 0
