"""Rows of the binary protocol as Arrow record batches, column by column with numpy.

The positions of all values of a column are known once those of the column before are, so each step
works on all rows of a run at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from connectors.errors import WarehouseError
from connectors.mysql_packets import Field
from connectors.mysql_types import (
    DATE,
    DATETIME,
    DOUBLE,
    FLOAT,
    INT24,
    LONG,
    LONGLONG,
    SHORT,
    TIME,
    TIMESTAMP,
    TINY,
    YEAR,
    ColumnType,
)

Bytes = npt.NDArray[np.uint8]
Positions = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[Any]

_FIXED = {
    (TINY, False): "i1",
    (TINY, True): "u1",
    (SHORT, False): "<i2",
    (SHORT, True): "<u2",
    (YEAR, False): "<u2",
    (YEAR, True): "<u2",
    (INT24, False): "<i4",
    (INT24, True): "<u4",
    (LONG, False): "<i4",
    (LONG, True): "<u4",
    (LONGLONG, False): "<i8",
    (LONGLONG, True): "<u8",
    (FLOAT, False): "<f4",
    (FLOAT, True): "<f4",
    (DOUBLE, False): "<f8",
    (DOUBLE, True): "<f8",
}
_MOMENTS = (DATE, DATETIME, TIMESTAMP)
_MICROSECONDS_OF_DAY = 86_400_000_000
# Values longer than this on average are copied one by one, which takes no index of their bytes.
_LONG_BYTES = 200
# Offset of the first column's bit in a row's bitmap of NULLs.
_NULL_BIT = 2


def decode_rows(
    data: bytes, starts: Sequence[int], fields: Sequence[Field], types: Sequence[ColumnType],
    schema: pa.Schema,
) -> pa.RecordBatch:  # fmt: skip
    """The record batch of the rows that start at ``starts``."""
    content = np.frombuffer(data, np.uint8)
    first = np.array(starts, np.int64)
    bitmap = first + 1
    position = bitmap + (len(fields) + 7 + _NULL_BIT) // 8
    columns = []
    for number, (field, kind) in enumerate(zip(fields, types, strict=True)):
        byte, bit = divmod(number + _NULL_BIT, 8)
        null = (content[bitmap + byte] & (1 << bit)) != 0
        column, position = _column(content, position, null, field, kind)
        columns.append(_as_shown(column, schema.field(number).type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _as_shown(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """A column in the type in which it is announced. Raises WarehouseError (22003)."""
    if column.type == kind:
        return column
    if pa.types.is_boolean(kind) and pa.types.is_decimal(column.type):
        column = pc.cast(column, pa.int64())
    if pa.types.is_boolean(column.type) and pa.types.is_decimal(kind):
        column = pc.cast(column, pa.int8())
    try:
        return pc.cast(column, kind)
    except pa.ArrowInvalid as error:
        raise WarehouseError(
            "22003", f"a value is out of range for type {kind}", detail=str(error)
        ) from error


def _column(
    content: Bytes, start: Positions, null: Flags, field: Field, kind: ColumnType
) -> tuple[pa.Array, Positions]:
    """The values of a column, and where those of the next are."""
    code = _FIXED.get((field.type_code, field.unsigned))
    if code is not None:
        width = np.dtype(code).itemsize
        numbers = _gather(content, start, width).view(code).reshape(-1)
        return _numbers(numbers, null, kind), start + np.where(null, 0, width)
    at, sizes = _lengths(content, start)
    sizes = np.where(null, 0, sizes)
    after = np.where(null, start, at + sizes)
    if field.type_code in _MOMENTS:
        return _moments(content, at, sizes, null, kind), after
    if field.type_code == TIME:
        return _times(content, at, sizes, null, kind), after
    if kind.name == "bool":  # BIT(1), which is sent as a byte
        flags = content[np.minimum(at, len(content) - 1)] != 0
        return pa.array(flags, mask=null), after
    if kind.name == "numeric":
        texts = _variable(content, at, sizes, null, pa.string())
        return pc.cast(texts, kind.arrow), after
    return _variable(content, at, sizes, null, kind.arrow), after


def _gather(content: Bytes, positions: Positions, width: int) -> Bytes:
    """``width`` bytes from each position, one row each. Positions past the end give any bytes."""
    index = positions[:, None] + np.arange(width)
    return np.ascontiguousarray(content[np.minimum(index, len(content) - 1)])


def _lengths(content: Bytes, start: Positions) -> tuple[Positions, Positions]:
    """Where values with a length before them start, and how long they are."""
    first = content[np.minimum(start, len(content) - 1)]
    sizes = first.astype(np.int64)
    skip = np.ones(len(sizes), np.int64)
    for mark, width in ((0xFC, 2), (0xFD, 3), (0xFE, 8)):
        found = first == mark
        if found.any():
            wide = np.zeros((int(found.sum()), 8), np.uint8)
            wide[:, :width] = _gather(content, start[found] + 1, width)
            sizes[found] = wide.view("<i8").reshape(-1)
            skip[found] = 1 + width
    return start + skip, sizes


def _numbers(numbers: Numbers, null: Flags, kind: ColumnType) -> pa.Array:
    if kind.name == "bool":
        return pa.array(numbers != 0, mask=null)
    if kind.name == "numeric":
        return pc.cast(pa.array(numbers.astype(np.uint64), mask=null), kind.arrow)
    wanted = np.dtype(kind.arrow.to_pandas_dtype())
    return pa.array(numbers.astype(wanted), mask=null)


def _variable(
    content: Bytes, start: Positions, sizes: Positions, null: Flags, kind: pa.DataType
) -> pa.Array:
    offsets = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=offsets[1:])
    if offsets[-1] > _LONG_BYTES * len(sizes):
        ranges = zip(start.tolist(), (start + sizes).tolist(), strict=True)
        values = np.concatenate([content[begin:end] for begin, end in ranges])
    else:
        # Where each byte of the joined values stands in the packets.
        values = content[np.repeat(start - offsets[:-1], sizes) + np.arange(offsets[-1])]
    valid = pa.array(~null).buffers()[1] if null.any() else None
    return pa.Array.from_buffers(
        kind,
        len(sizes),
        [valid, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(values)],
        null_count=int(null.sum()),
    )


def _part(head: Bytes, offset: int, code: str) -> Positions:
    width = np.dtype(code).itemsize
    part = np.ascontiguousarray(head[:, offset : offset + width])
    return part.view(code).reshape(-1).astype(np.int64)


def _moments(
    content: Bytes, at: Positions, sizes: Positions, null: Flags, kind: ColumnType
) -> pa.Array:
    """Dates and timestamps: year, month, day; then hour, minute, second; then microseconds."""
    head = _gather(content, at, 11)
    # What a shorter value leaves out is zero.
    head[np.arange(11)[None, :] >= sizes[:, None]] = 0
    year, month, day = _part(head, 0, "<u2"), _part(head, 2, "u1"), _part(head, 3, "u1")
    days = _days(year, month, day, null)
    if kind.name == "date":
        return pa.array(days.astype(np.int32), mask=null).view(kind.arrow)
    microseconds = _microseconds(head, 4) + _part(head, 7, "<u4")
    return pa.array(days * _MICROSECONDS_OF_DAY + microseconds, mask=null).view(kind.arrow)


def _microseconds(head: Bytes, offset: int) -> Positions:
    """Hour, minute and second as microseconds."""
    hour, minute, second = (_part(head, offset + each, "u1") for each in range(3))
    return ((hour * 60 + minute) * 60 + second) * 1_000_000


def _days(year: Positions, month: Positions, day: Positions, null: Flags) -> Positions:
    """Days since 1970. Raises WarehouseError (22008) for what is no date, such as 0000-00-00."""
    wrong = ~null & ((year < 1) | (month < 1) | (month > 12) | (day < 1))
    safe = np.where(null | wrong, 1970, year), np.where(null | wrong, 1, month)
    months = (safe[0] - 1970) * 12 + safe[1] - 1
    first = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    following = (months + 1).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    wrong |= ~null & (first + day > following)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise WarehouseError(
            "22008",
            f'date/time field value out of range: "{year[row]:04}-{month[row]:02}-{day[row]:02}"',
            hint="A zero date is no date in PostgreSQL. Let the model's SQL make it NULL.",
        )
    return first + day - 1


def _times(
    content: Bytes, at: Positions, sizes: Positions, null: Flags, kind: ColumnType
) -> pa.Array:
    """Times of day. MySQL's TIME may be negative and hundreds of hours long, which is refused."""
    head = _gather(content, at, 12)
    head[np.arange(12)[None, :] >= sizes[:, None]] = 0
    microseconds = _microseconds(head, 5) + _part(head, 8, "<u4")
    wrong = ~null & ((_part(head, 0, "u1") != 0) | (_part(head, 1, "<u4") != 0))
    if wrong.any():
        raise WarehouseError(
            "22008",
            "a TIME of MySQL is negative or has more than 24 hours, which is no time of day",
            hint="Let the model's SQL make seconds of it with TIME_TO_SEC.",
        )
    return pa.array(microseconds, mask=null).view(kind.arrow)
