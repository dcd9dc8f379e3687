"""Rows as they go to the client: whole DataRow messages, cut without copying."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from proxy.rows.errors import EncodeError

LONGEST_ROW = 2**30 - 1
"""PostgreSQL's own limit (MaxAllocSize); lengths in messages are of 32 bits."""

Offsets = npt.NDArray[np.int64]


def too_long() -> EncodeError:
    """A row above LONGEST_ROW."""
    return EncodeError("54000", "a row is longer than a message may be")


@dataclass(slots=True)
class EncodedRows:
    """A run of DataRow messages ('D', int32 length, int16 column count, columns).

    Attributes:
        data: the messages, back to back, as flat bytes.
        rows: how many messages ``data`` holds.
    """

    data: memoryview
    rows: int
    _offsets: Offsets | list[int] | None = None
    _lengths: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        """Number of bytes."""
        return len(self.data)

    @property
    def offsets(self) -> Offsets:
        """Where each row starts in ``data``; one more entry says where the last one ends."""
        offsets = self._offsets
        if not isinstance(offsets, np.ndarray):
            found = self._find_offsets() if offsets is None else np.array(offsets, np.int64)
            self._offsets = offsets = found
        return offsets

    def slice(self, start: int, stop: int) -> EncodedRows:
        """Rows ``start`` up to, not including, ``stop``; shares the bytes."""
        start = min(max(start, 0), self.rows)
        stop = min(max(stop, start), self.rows)
        if start == 0 and stop == self.rows:
            return self
        offsets = self.offsets[start : stop + 1]
        data = self.data[int(offsets[0]) : int(offsets[-1])]
        return EncodedRows(data, stop - start, offsets - offsets[0])

    def _find_offsets(self) -> Offsets:
        offsets = np.zeros(self.rows + 1, np.int64)
        if self._lengths is not None:
            np.cumsum(self._lengths, out=offsets[1:])
            return offsets
        # Only rows relayed from elsewhere come here: their lengths stand in the messages alone.
        data = self.data
        length = struct.Struct("!i").unpack_from
        position = 0
        for row in range(1, self.rows + 1):
            position += 1 + length(data, position + 1)[0]
            offsets[row] = position
        return offsets


def rows_from_lengths(data: memoryview, lengths: npt.NDArray[np.int64]) -> EncodedRows:
    """Messages whose lengths (whole message, with its type byte) are known."""
    return EncodedRows(data, len(lengths), None, lengths)


def rows_from_bodies(bodies: Sequence[bytes]) -> EncodedRows:
    """DataRow messages from their bodies (int16 count and columns, without header)."""
    pack = struct.Struct("!ci").pack
    parts: list[bytes] = []
    for body in bodies:
        parts.append(pack(b"D", len(body) + 4))
        parts.append(body)
    lengths = np.fromiter(map(len, bodies), np.int64, len(bodies)) + 5
    return rows_from_lengths(memoryview(b"".join(parts)), lengths)


def rows_from_messages(data: bytes, rows: int | None = None) -> EncodedRows:
    """Whole DataRow messages as another server sent them.

    Args:
        data: the messages.
        rows: their number, if known; else the messages are counted.
    """
    view = memoryview(data).cast("B")
    if rows is None:
        length = struct.Struct("!i").unpack_from
        rows, position, end = 0, 0, len(view)
        while position < end:
            position += 1 + length(view, position + 1)[0]
            rows += 1
    return EncodedRows(view, rows)
