"""Columns as pieces of bytes, and the one place where pieces are put side by side.

A column's values are one or more *pieces* per row. A fixed piece is a numpy array whose items are
the bytes (any dtype: its memory is what is sent); a variable piece is an Arrow binary array. Fixed
pieces that stand next to each other are written into one structured array, so that a row of fixed
pieces only needs no join at all; the rest is joined by Arrow, outside Python's lock.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Array: TypeAlias = npt.NDArray[Any]
Piece: TypeAlias = Any  # Array, pa.Array or bytes
Mask: TypeAlias = npt.NDArray[np.bool_]

# Arrow's binary arrays address their bytes with int32.
OFFSET_LIMIT = 2**31 - 1
# How much is squeezed at a time: what stays in a core's cache.
_SQUEEZED_BYTES = 2**18
_INTEGERS = {4: pa.int32(), 8: pa.int64()}
_SMALL = (pa.binary(), pa.string())
_LARGE = (pa.large_binary(), pa.large_string())


@dataclass(frozen=True, slots=True)
class Cells:
    """One column of values as bytes.

    Attributes:
        pieces: what stands side by side in each value; bytes are the same in each row.
        lengths: bytes per value (int64), or one number if all values have the same length. What it
            says of a NULL is of no meaning.
        valid: False where NULL; None if nothing is NULL.
    """

    pieces: tuple[Piece, ...]
    lengths: Array | int
    valid: Mask | None = None


def raw(array: pa.Array, dtype: npt.DTypeLike) -> Array:
    """The values of a fixed-width Arrow array as stored, without copying."""
    kind = np.dtype(dtype)
    buffer = array.buffers()[1]
    if buffer is None:
        return np.zeros(len(array), kind)
    return np.frombuffer(buffer, kind, len(array), array.offset * kind.itemsize)


def validity(array: pa.Array) -> Mask | None:
    """False where NULL; None if nothing is."""
    if not array.null_count:
        return None
    buffer = array.buffers()[0]
    return np.zeros(len(array), np.bool_) if buffer is None else _bits(array, buffer)


def truth(array: pa.Array) -> Mask:
    """The values of a boolean array; what is said where NULL is of no meaning."""
    buffer = array.buffers()[1]
    return np.zeros(len(array), np.bool_) if buffer is None else _bits(array, buffer)


def _bits(array: pa.Array, buffer: pa.Buffer) -> Mask:
    end = array.offset + len(array)
    bits = np.unpackbits(np.frombuffer(buffer, np.uint8), count=end, bitorder="little")
    return bits[array.offset :].view(np.bool_)


# ``pa.array``, ``pa.scalar`` and ``to_numpy`` import pandas where it is installed: a second.


def numbers(values: Array) -> pa.Array:
    """Integers as an Arrow array over the same memory."""
    data = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(_INTEGERS[values.dtype.itemsize], len(values), [None, data])


def flags(mask: Mask) -> pa.Array:
    """A boolean Arrow array."""
    return pa.Array.from_buffers(pa.bool_(), len(mask), [None, bitmap(mask)])


@functools.lru_cache(maxsize=256)
def constant(value: bytes, kind: pa.DataType) -> pa.Scalar:
    """Bytes as a scalar of a string or binary type."""
    offsets = np.array([0, len(value)], np.int64 if kind in _LARGE else np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(value)]
    return pa.Array.from_buffers(kind, 1, buffers)[0]


def binaries(values: Sequence[bytes | None]) -> pa.Array:
    """A binary Arrow array of Python's values."""
    given = [value or b"" for value in values]
    lengths = np.fromiter(map(len, given), np.int64, len(given))
    valid = None
    if None in values:
        valid = np.fromiter((value is not None for value in values), np.bool_, len(values))
    return ragged(np.frombuffer(b"".join(given), np.uint8), lengths, valid)


def raw_filled(array: pa.Array, dtype: npt.DTypeLike) -> tuple[Array, Mask | None]:
    """Values with zero where NULL (what lies under a NULL is undefined), and the validity."""
    values, valid = raw(array, dtype), validity(array)
    if valid is not None:
        values = np.where(valid, values, np.zeros((), values.dtype))
    return values, valid


def variable_lengths(array: pa.Array) -> Array:
    """Bytes per value of a binary or string array; meaningless where NULL."""
    buffer = array.buffers()[1]
    if buffer is None or not len(array):
        return np.zeros(len(array), np.int64)
    kind = np.dtype(np.int64 if array.type in _LARGE else np.int32)
    offsets = np.frombuffer(buffer, kind, len(array) + 1, array.offset * kind.itemsize)
    return (offsets[1:] - offsets[:-1]).astype(np.int64, copy=False)


def variable_cells(array: pa.Array) -> Cells:
    """Cells of an Arrow binary or string array, byte for byte."""
    return Cells((array,), variable_lengths(array), validity(array))


def fixed_cells(values: Array, valid: Mask | None) -> Cells:
    """Cells whose bytes are the memory of ``values``."""
    return Cells((values,), values.dtype.itemsize, valid)


def bitmap(valid: Mask | None) -> pa.Buffer | None:
    """Arrow's validity bitmap."""
    return None if valid is None else pa.py_buffer(np.packbits(valid, bitorder="little"))


def ragged(data: Array, lengths: Array, valid: Mask | None = None) -> pa.Array:
    """A binary array over ``data``, cut into ``lengths``."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    large = int(offsets[-1]) > OFFSET_LIMIT
    kind = pa.large_binary() if large else pa.binary()
    stored = offsets if large else offsets.astype(np.int32)
    buffers = [bitmap(valid), pa.py_buffer(stored), pa.py_buffer(np.ascontiguousarray(data))]
    return pa.Array.from_buffers(kind, len(lengths), buffers)


def _as_binary(piece: Array, valid: Mask | None, large: bool) -> pa.Array:
    """A fixed piece as an Arrow binary array, NULL where not valid."""
    size, rows = piece.dtype.itemsize, len(piece)
    offsets: Array = np.arange(rows + 1, dtype=np.int64 if large else np.int32) * size
    kind = pa.large_binary() if large else pa.binary()
    buffers = [bitmap(valid), pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(piece))]
    return pa.Array.from_buffers(kind, rows, buffers)


def _viewed(array: pa.Array, large: bool) -> pa.Array:
    """A variable piece as bytes: a view, which costs nothing, unless the offsets must change."""
    same, kind = (_LARGE, pa.large_binary()) if large else (_SMALL, pa.binary())
    return array.view(kind) if array.type in same else array.cast(kind)


def _with_nulls(array: pa.Array, valid: Mask | None) -> pa.Array:
    """A variable piece, NULL where not valid."""
    if valid is None or array.null_count:
        return array
    mask = np.concatenate([np.zeros(array.offset, np.bool_), valid]) if array.offset else valid
    buffers = [bitmap(mask), *array.buffers()[1:]]
    return pa.Array.from_buffers(array.type, len(array), buffers, offset=array.offset)


def _merged_type(pieces: Sequence[Array | bytes]) -> np.dtype[Any]:
    """The structured type that holds fixed pieces side by side."""
    return np.dtype(
        [
            (f"f{i}", f"S{len(piece)}" if isinstance(piece, bytes) else piece.dtype)
            for i, piece in enumerate(pieces)
        ]
    )


def _fill(out: Array, pieces: Sequence[Array | bytes]) -> None:
    """Write fixed pieces into a structured array."""
    if any(isinstance(piece, bytes) for piece in pieces):
        template = np.zeros((), out.dtype)
        for index, piece in enumerate(pieces):
            if isinstance(piece, bytes):
                template[f"f{index}"] = piece
        out[:] = template
    for index, piece in enumerate(pieces):
        if not isinstance(piece, bytes):
            out[f"f{index}"] = piece


def _merge(pieces: Sequence[Array | bytes], rows: int) -> Array:
    """Fixed pieces side by side as one structured array."""
    if len(pieces) == 1 and not isinstance(pieces[0], bytes):
        return pieces[0]
    out: Array = np.empty(rows, _merged_type(pieces))
    _fill(out, pieces)
    return out


@dataclass(frozen=True, slots=True)
class _Group:
    """Fixed pieces side by side that are NULL together, if at all."""

    pieces: list[Array | bytes]
    valid: Mask | None

    def width(self) -> int:
        return sum(
            len(piece) if isinstance(piece, bytes) else piece.dtype.itemsize
            for piece in self.pieces
        )


def _compressed(groups: Sequence[_Group], rows: int) -> tuple[Array, Array]:
    """Groups of which some are NULL as bytes without gaps, and the bytes per row."""
    pieces = [piece for group in groups for piece in group.pieces]
    kind = _merged_type(pieces)
    lengths = np.full(rows, kind.itemsize, np.int64)
    for group in groups:
        if group.valid is not None:
            lengths -= ~group.valid * np.int64(group.width())
    out = np.empty(int(lengths.sum()), np.uint8)
    # Some rows at a time, in memory that is used again: fresh memory costs more than the work.
    step = max(_SQUEEZED_BYTES // kind.itemsize, 64)
    room = np.empty(min(step, rows), kind)
    kept = np.ones((len(room), kind.itemsize), np.bool_)
    position = 0
    for first in range(0, rows, step):
        last = min(first + step, rows)
        part, mask = room[: last - first], kept[: last - first]
        _fill(part, [p if isinstance(p, bytes) else p[first:last] for p in pieces])
        start = 0
        for group in groups:
            stop = start + group.width()
            if group.valid is not None:
                mask[:, start:stop] = group.valid[first:last, None]
            start = stop
        squeezed = part.view(np.uint8).reshape(mask.shape)[mask]
        out[position : position + len(squeezed)] = squeezed
        position += len(squeezed)
    return out, lengths


def _is_dense(groups: Sequence[_Group]) -> bool:
    """Whether so many of a run's columns have NULLs that it is cheaper to squeeze out the gaps.

    A part of its own for a column with NULLs, and for what follows it, takes the join about as long
    as squeezing 29 bytes takes.
    """
    nullable = sum(group.valid is not None for group in groups)
    return sum(group.width() for group in groups) < 29 * nullable


class Rows:
    """Gathers the pieces of a row and joins them."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._parts: list[pa.Array | list[_Group]] = []

    def add(self, piece: Array | bytes) -> None:
        """The same bytes in each row, or bytes of fixed size that differ by row."""
        self._fixed(piece, None)

    def cells(self, cells: Cells) -> None:
        """A column's values, nothing where NULL."""
        for piece in cells.pieces:
            if isinstance(piece, pa.Array):
                self._parts.append(_with_nulls(piece, cells.valid))
            else:
                self._fixed(piece, cells.valid)

    def _fixed(self, piece: Array | bytes, valid: Mask | None) -> None:
        last = self._parts[-1] if self._parts else None
        if not isinstance(last, list):
            self._parts.append([_Group([piece], valid)])
        elif last[-1].valid is valid:
            last[-1].pieces.append(piece)
        else:
            last.append(_Group([piece], valid))

    def join(self, size: int) -> memoryview:
        """All rows' bytes; ``size`` is their number."""
        if len(self._parts) == 1 and isinstance(self._parts[0], list):
            groups = self._parts[0]
            if len(groups) == 1 and groups[0].valid is None:
                merged = _merge(groups[0].pieces, self._rows)
                return memoryview(np.ascontiguousarray(merged).view(np.uint8).data)
            if _is_dense(groups):
                return memoryview(_compressed(groups, self._rows)[0].data)
        joined = self._joined(*self._arguments(size))
        data = memoryview(joined.buffers()[2] or b"").cast("B")
        return data[:size]

    def array(self, size: int) -> pa.Array:
        """As ``join``, as an Arrow binary array with one value per row."""
        arguments, large = self._arguments(size)
        if len(arguments) == 1 and not arguments[0].null_count:
            return arguments[0]
        return self._joined(arguments, large)

    def _arguments(self, size: int) -> tuple[list[pa.Array], bool]:
        """The parts as arrays of one type, and whether that type has 64 bit offsets."""
        parts: list[pa.Array | tuple[Array, Mask | None]] = []
        for part in self._parts:
            if isinstance(part, pa.Array):
                parts.append(part)
            elif _is_dense(part):
                parts.append(ragged(*_compressed(part, self._rows)))
            else:
                parts += [(_merge(group.pieces, self._rows), group.valid) for group in part]
        # Values under a NULL take room in a piece, though not in the row.
        fixed = [part[0].nbytes for part in parts if isinstance(part, tuple)]
        large = max([size, *fixed]) > OFFSET_LIMIT
        arguments = [
            _as_binary(part[0], part[1], large) if isinstance(part, tuple) else _viewed(part, large)
            for part in parts
        ]
        return arguments, large

    def _joined(self, arguments: list[pa.Array], large: bool) -> pa.Array:
        separator = constant(b"", pa.large_binary() if large else pa.binary())
        return pc.binary_join_element_wise(*arguments, separator, null_handling="replace")


def prefixes(cells: Cells) -> Array | bytes:
    """The int32 lengths that stand before a row's values, -1 for NULL."""
    if cells.valid is not None:
        return np.where(cells.valid, cells.lengths, -1).astype(">i4")
    if isinstance(cells.lengths, int):
        return struct.pack("!i", cells.lengths)
    return cells.lengths.astype(">i4")


def sizes(cells: Cells, rows: int) -> Array:
    """Bytes per row that the values take, zero where NULL."""
    lengths = cells.lengths
    if isinstance(lengths, int):
        lengths = np.full(rows, lengths, np.int64)
    return lengths if cells.valid is None else np.where(cells.valid, lengths, 0)


def flat(cells: Cells, rows: int) -> pa.Array:
    """A column as one binary array without NULLs (nothing where NULL)."""
    gathered = Rows(rows)
    gathered.cells(cells)
    return gathered.array(int(sizes(cells, rows).sum()))


def patched(cells: Cells, rows: int, odd: Mask, text: Callable[[int], bytes]) -> Cells:
    """``cells`` with the values at ``odd`` replaced by ``text`` of their row number."""
    if cells.valid is not None:
        odd = odd & cells.valid
    if not odd.any():
        return cells
    replacements = [text(int(row)) for row in np.nonzero(odd)[0]]
    return substituted(flat(cells, rows), odd, replacements, cells.valid)


def substituted(
    array: pa.Array, odd: Mask, replacements: Sequence[bytes], valid: Mask | None
) -> Cells:
    """A binary array with the values at ``odd`` replaced, in order, as cells."""
    given = binaries(replacements)
    if given.type != array.type:
        array, given = array.cast(pa.large_binary()), given.cast(pa.large_binary())
    array = pc.replace_with_mask(array, flags(odd), given)
    return Cells((array,), variable_lengths(array), valid)
