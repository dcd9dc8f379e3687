"""SQL cursors: DECLARE, FETCH and MOVE in all their forms (manual, DECLARE and FETCH pages).

Rows that have gone by are kept, up to a configured number of bytes, so that a cursor can be read
backwards. A cursor declared neither SCROLL nor NO SCROLL gives that up when it outgrows the limit;
one declared SCROLL is refused beyond it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

from proxy.errors import SessionError
from proxy.rows.encoded import EncodedRows
from proxy.session.reader import RowReader

Direction = Literal["forward", "backward", "absolute", "relative"]
Opener = Callable[[tuple[int, ...]], Awaitable[RowReader]]

READ_ROWS = 8_192


@dataclass(slots=True, eq=False)
class KeptRows:
    """Bytes of rows that the cursors of one session keep together, and may keep."""

    limit: int
    used: int = 0


@dataclass(slots=True, eq=False)
class Cursor:
    """One declared cursor.

    ``position`` is the row it stands on: 0 before the first, ``total + 1`` after the last.
    ``may_run_again`` says whether running the query again gives the rows of its declaration.
    ``fresh`` is true until the transaction that declared it has committed.
    """

    name: str
    opener: Opener
    scroll: bool | None
    binary: bool
    hold: bool
    keep: KeptRows
    may_run_again: Callable[[], bool] = lambda: False
    position: int = 0
    fresh: bool = True
    total: int | None = None
    _reader: RowReader | None = None
    _formats: tuple[int, ...] = ()
    _kept: list[EncodedRows] = field(default_factory=list)
    _ends: list[int] = field(default_factory=list)
    _kept_rows: int = 0
    _kept_bytes: int = 0
    _read_rows: int = 0
    _keeping: bool = True

    async def open(self, formats: tuple[int, ...] | None, columns: int) -> None:
        """Start the query in these result formats, or check that it runs in them.

        MOVE sends no rows and so takes any format (None).

        Raises 0A000 where an earlier FETCH asked for other formats: its rows are encoded already.
        """
        if self._reader is None:
            self._keeping = self.scroll is not False
            self._formats = (0,) * columns if formats is None else formats
            self._reader = await self.opener(self._formats)
        elif formats is not None and formats != self._formats:
            if not self._read_rows and self.may_run_again():
                # Nothing was read of it yet: no row has to be told in two formats.
                await self._reader.close()
                self._formats = formats
                self._reader = await self.opener(formats)
                return
            raise SessionError(
                "0A000",
                f'cursor "{self.name}" has been read in another result format',
                hint="Fetch all rows of a cursor in one format, text or binary.",
            )

    async def close(self) -> None:
        """Free the result."""
        if self._reader is not None:
            await self._reader.close()
        self._forget()

    async def fetch(self, direction: Direction, count: int | None) -> AsyncIterator[EncodedRows]:
        """Rows in the order of the direction, moving the position; ``count`` None is ALL."""
        if direction in ("forward", "backward") and count is not None and count < 0:
            direction = "backward" if direction == "forward" else "forward"
            count = -count
        if direction in ("forward", "backward") and count == 0:
            direction = "relative"
        if direction == "forward":
            async for rows in self._forward(count):
                yield rows
        elif direction == "backward":
            async for rows in self._backward(count):
                yield rows
        else:
            target = count or 0
            if direction == "relative":
                target += self.position
            elif target < 0:
                target = await self._count() + 1 + target
            row = await self._row_at(target)
            if row is not None:
                yield row

    async def _forward(self, count: int | None) -> AsyncIterator[EncodedRows]:
        left = count
        while left is None or left > 0:
            rows = await self._after(self.position, READ_ROWS if left is None else left)
            if rows is None:
                self.position = (self.total or 0) + 1
                return
            self.position += rows.rows
            if left is not None:
                left -= rows.rows
            yield rows

    async def _backward(self, count: int | None) -> AsyncIterator[EncodedRows]:
        self._require_scroll()
        left = count
        while (left is None or left > 0) and self.position > 1:
            self.position -= 1
            yield self._kept_row(self.position)
            if left is not None:
                left -= 1
        if left is None or left > 0:
            self.position = 0

    async def _row_at(self, target: int) -> EncodedRows | None:
        if target <= 0:
            if self.position > 0:
                self._require_scroll()
            self.position = 0
            return None
        if target <= self.position and target <= self._read_rows:
            self._require_scroll()
            self.position = target
            return self._kept_row(target)
        while self.position < target:
            rows = await self._after(self.position, target - self.position)
            if rows is None:
                self.position = (self.total or 0) + 1
                return None
            self.position += rows.rows
            if self.position == target:
                return rows.slice(rows.rows - 1, rows.rows)
        return None

    async def _after(self, position: int, limit: int) -> EncodedRows | None:
        """Rows from ``position + 1`` on, at most ``limit``, kept ones first."""
        if position < self._kept_rows and self._keeping:
            return self._kept_from(position, limit)
        if self.total is not None or self._reader is None:
            return None
        rows = await self._reader.read(limit)
        if rows is None:
            self.total = self._read_rows
            return None
        self._read_rows += rows.rows
        self._keep(rows)
        return rows

    async def _count(self) -> int:
        """The number of rows, reading to the end."""
        self._require_scroll()
        while await self._after(self._read_rows, READ_ROWS) is not None:
            pass
        self._require_scroll()
        return self._read_rows

    def _keep(self, rows: EncodedRows) -> None:
        if not self._keeping:
            return
        size = len(rows)
        if self.keep.used + size > self.keep.limit:
            if self.scroll:
                raise SessionError(
                    "53200",
                    f'cursor "{self.name}" would keep more than {self.keep.limit} bytes of rows',
                    hint="Declare it with NO SCROLL, or raise server.max_cursor_bytes.",
                )
            self._keeping = False
            self._forget()
            return
        self._kept.append(rows)
        self._kept_rows += rows.rows
        self._ends.append(self._kept_rows)
        self._kept_bytes += size
        self.keep.used += size

    def _forget(self) -> None:
        self._kept.clear()
        self.keep.used -= self._kept_bytes
        self._kept_bytes = 0

    def _kept_from(self, position: int, limit: int) -> EncodedRows:
        index = bisect_right(self._ends, position)
        chunk = self._kept[index]
        start = position - (self._ends[index] - chunk.rows)
        return chunk.slice(start, min(chunk.rows, start + limit))

    def _kept_row(self, number: int) -> EncodedRows:
        return self._kept_from(number - 1, 1)

    def _require_scroll(self) -> None:
        if self.scroll is False or not self._keeping:
            raise SessionError(
                "55000",
                "cursor can only scan forward",
                hint="Declare it with SCROLL option to enable backward scan.",
            )
