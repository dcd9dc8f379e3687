"""How many sessions may have a backend of their own, in all catalogs of a process together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from proxy.catalog.connection import ChildConnection
from proxy.catalog.errors import CatalogError


class PrivateQuota:
    """Counts private backends."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: set[ChildConnection] = set()
        self._opening = 0

    @asynccontextmanager
    async def place(self) -> AsyncIterator[set[ChildConnection]]:
        """A place for a backend that is being opened; the connection is to be put into the set.

        Raises CatalogError 53300 where there are as many as there may be.
        """
        self._open -= {item for item in self._open if item.closed}
        if len(self._open) + self._opening >= self._limit:
            raise CatalogError(
                "53300",
                f"more than {self._limit} sessions with temporary tables",
                hint="Drop temporary tables that are not used, or raise "
                "temporary_tables.max_sessions.",
            )
        self._opening += 1
        try:
            yield self._open
        finally:
            self._opening -= 1
