"""DataRow messages as Arrow record batches, column by column with numpy.

The positions of all values of a column are known once those of the column before are, so each step
works on all rows of a run at once. Columns come in binary where ``postgres_types`` says so.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from connectors.errors import WarehouseError
from connectors.postgres_types import BINARY_TYPES

Bytes = npt.NDArray[np.uint8]
Positions = npt.NDArray[np.int64]

# Days and microseconds from 1970-01-01 to 2000-01-01, where PostgreSQL counts from
# (POSTGRES_EPOCH_JDATE in src/include/datatype/timestamp.h).
EPOCH_DAYS = 10957
EPOCH_MICROSECONDS = EPOCH_DAYS * 86_400_000_000

_FIRST_COLUMN = 7  # after the type byte, int32 length and int16 count of columns
_FIXED: dict[str, tuple[str, int]] = {
    "int2": (">i2", 2),
    "int4": (">i4", 4),
    "int8": (">i8", 8),
    "float4": (">f4", 4),
    "float8": (">f8", 8),
    "date": (">i4", 4),
    "time": (">i8", 8),
    "timestamp": (">i8", 8),
    "timestamptz": (">i8", 8),
}


def decode_rows(data: bytes, rows: int, names: Sequence[str], schema: pa.Schema) -> pa.RecordBatch:
    """The record batch of ``rows`` DataRow messages whose columns have types ``names``."""
    content = np.frombuffer(data, np.uint8)
    position = _row_starts(data, rows) + _FIRST_COLUMN
    columns = []
    for name, field in zip(names, schema, strict=True):
        lengths = _gather(content, position, 4).view(">i4").reshape(-1).astype(np.int64)
        start = position + 4
        columns.append(_column(content, start, lengths, name, field.type))
        position = start + np.maximum(lengths, 0)
    if not columns:
        return pa.RecordBatch.from_struct_array(pa.array([{}] * rows, pa.struct([])))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _row_starts(data: bytes, rows: int) -> Positions:
    starts = np.empty(rows, np.int64)
    length_at = struct.Struct("!I").unpack_from
    position = 0
    for row in range(rows):
        starts[row] = position
        position += 1 + length_at(data, position + 1)[0]
    return starts


def _gather(content: Bytes, positions: Positions, width: int) -> Bytes:
    """``width`` bytes from each position, one row each. Positions past the end give any bytes."""
    index = positions[:, None] + np.arange(width)
    return np.ascontiguousarray(content[np.minimum(index, len(content) - 1)])


def _column(
    content: Bytes, start: Positions, lengths: Positions, name: str, kind: pa.DataType
) -> pa.Array:
    null = lengths < 0
    if name in _FIXED:
        code, width = _FIXED[name]
        fixed = _gather(content, start, width).view(code).reshape(-1)
        return _fixed(fixed.astype(fixed.dtype.newbyteorder("=")), null, name, kind)
    if name == "bool":
        flags = content[np.minimum(start, len(content) - 1)] != 0
        return pa.array(flags, kind, mask=null)
    if name.startswith("_"):
        return _list_column(content, start, lengths, name[1:], kind)
    if name == "interval":
        raw = content.tobytes()
        values = zip(start.tolist(), lengths.tolist(), strict=True)
        return pa.array(
            [None if length < 0 else _interval(raw[at : at + length]) for at, length in values],
            kind,
        )
    return _variable(content, start, lengths, null, kind)


def _fixed(
    values: npt.NDArray[Any], null: npt.NDArray[np.bool_], name: str, kind: pa.DataType
) -> pa.Array:
    if name == "date":
        values = _shifted(values, EPOCH_DAYS)
    elif name in ("timestamp", "timestamptz"):
        values = _shifted(values, EPOCH_MICROSECONDS)
    return pa.array(values, mask=null).view(kind)


def _shifted(values: npt.NDArray[Any], epoch: int) -> npt.NDArray[Any]:
    """Values counted from 1970; infinities stay the ends of the integer's range.

    PostgreSQL writes -infinity as the least integer; here it is the negative of the greatest, as
    DuckDB's Arrow has it.
    """
    limits = np.iinfo(values.dtype)
    infinite = values == limits.max
    minus_infinite = values == limits.min
    shifted: npt.NDArray[Any] = values + values.dtype.type(epoch)
    shifted[infinite] = limits.max
    shifted[minus_infinite] = -limits.max
    return shifted


def _variable(
    content: Bytes,
    start: Positions,
    lengths: Positions,
    null: npt.NDArray[np.bool_],
    kind: pa.DataType,
) -> pa.Array:
    sizes = np.maximum(lengths, 0)
    offsets = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=offsets[1:])
    # Where each byte of the joined values stands in the messages.
    index = np.repeat(start - offsets[:-1], sizes) + np.arange(offsets[-1])
    data = content[index]
    valid = None
    if null.any():
        valid = pa.array(~null).buffers()[1]
    return pa.Array.from_buffers(
        kind,
        len(sizes),
        [valid, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(data)],
        null_count=int(null.sum()),
    )


_INTERVAL = struct.Struct("!qii")
_NANOSECONDS_LIMIT = 2**63 // 1000


def _interval(raw: bytes) -> tuple[int, int, int]:
    microseconds, days, months = _INTERVAL.unpack(raw)
    if not -_NANOSECONDS_LIMIT < microseconds < _NANOSECONDS_LIMIT:
        raise WarehouseError("22008", "interval out of range")
    return months, days, microseconds * 1000


_INT32 = struct.Struct("!i")
_ARRAY_HEADER = struct.Struct("!iiI")


def _list_column(
    content: Bytes, start: Positions, lengths: Positions, element: str, kind: pa.ListType
) -> pa.Array:
    """Arrays: first where all elements of all rows are, then all of them as one column."""
    raw = content.tobytes()
    offsets: list[int | None] = []
    texts: list[str | None] = []
    positions: list[int] = []
    sizes: list[int] = []
    binary = element in BINARY_TYPES
    for at, length in zip(start.tolist(), lengths.tolist(), strict=True):
        count = len(positions) if binary else len(texts)
        # An offset that is null makes its list null.
        offsets.append(None if length < 0 else count)
        if length < 0:
            continue
        if binary:
            _find_elements(raw, at, positions, sizes)
        else:
            texts += _text_array(raw[at : at + length].decode())
    offsets.append(len(positions) if binary else len(texts))
    if binary:
        values = _column(
            content,
            np.array(positions, np.int64),
            np.array(sizes, np.int64),
            element,
            kind.value_type,
        )
    else:
        values = pa.array(texts, kind.value_type)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values, type=kind)


def _find_elements(raw: bytes, at: int, positions: list[int], sizes: list[int]) -> None:
    """Append position and length (-1 for NULL) of the elements of the array at ``at``.

    array_send in src/backend/utils/adt/arrayfuncs.c: dimensions, flags, element type; size and
    lower bound of each dimension; then the elements, each after its length.
    """
    dimensions, _, _ = _ARRAY_HEADER.unpack_from(raw, at)
    if dimensions == 0:
        return
    if dimensions > 1:
        raise _several_dimensions()
    (count,) = _INT32.unpack_from(raw, at + 12)
    position = at + 20
    for _ in range(count):
        (size,) = _INT32.unpack_from(raw, position)
        position += 4
        positions.append(position)
        sizes.append(size)
        position += max(size, 0)


def _several_dimensions() -> WarehouseError:
    return WarehouseError(
        "0A000",
        "arrays of more than one dimension are not supported here",
        hint="Cast the array to text, or select it with the usual DateStyle, IntervalStyle, "
        "extra_float_digits and bytea_output.",
    )


def _text_array(text: str) -> list[str | None]:
    """The elements of an array's text form, each as its text."""
    if text.startswith("["):
        text = text[text.index("=") + 1 :]
    elements: list[str | None] = []
    current: list[str] = []
    quoted = was_quoted = False
    position = 1
    while position < len(text):
        char = text[position]
        if char == "\\":
            position += 1
            current.append(text[position])
        elif char == '"':
            quoted = not quoted
            was_quoted = True
        elif quoted:
            current.append(char)
        elif char == "{":
            raise _several_dimensions()
        elif char in ",}":
            word = "".join(current)
            if word or was_quoted:
                elements.append(word if was_quoted or word != "NULL" else None)
            current = []
            was_quoted = False
        else:
            current.append(char)
        position += 1
    return elements
