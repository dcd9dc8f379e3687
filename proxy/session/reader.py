"""Reading a row source in portions."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.rows.encoded import EncodedRows
from proxy.sources import RowSource


@dataclass(slots=True, eq=False)
class RowReader:
    """Reads a source in portions of any size, keeping what a portion left over."""

    source: RowSource
    _left: EncodedRows | None = None
    exhausted: bool = False

    async def read(self, limit: int | None) -> EncodedRows | None:
        """Up to ``limit`` rows (None: as many as come at once); None when there are no more."""
        rows, self._left = self._left, None
        if rows is None and not self.exhausted:
            rows = await self.source.next_rows()
        if rows is None:
            self.exhausted = True
            return None
        if limit is not None and rows.rows > limit:
            self._left = rows.slice(limit, rows.rows)
            return rows.slice(0, limit)
        return rows

    async def at_end(self) -> bool:
        """Whether no row is left, fetching ahead if that is not known."""
        if self._left is None and not self.exhausted:
            self._left = await self.source.next_rows()
            if self._left is None:
                self.exhausted = True
        return self._left is None

    async def close(self) -> None:
        """Free the result."""
        self._left = None
        self.exhausted = True
        await self.source.close()
