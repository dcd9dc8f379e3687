"""Whole rows as values of composite types, put together from the columns of encoded rows."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from proxy.rows.encoded import LONGEST_ROW, EncodedRows, rows_from_bodies, too_long

_SPECIAL = re.compile(rb'["\\(), \t\n\r\v\f]')
_DOUBLED = re.compile(rb'(["\\])')
_NULL = struct.pack("!i", -1)
_length = struct.Struct("!i")

Value = memoryview | bytes | None


@dataclass(frozen=True, slots=True)
class Record:
    """A composite value.

    Attributes:
        type_oids: of its columns.
        format: 0 for text, 1 for binary; its columns are encoded alike.
    """

    type_oids: tuple[int, ...]
    format: int

    def value(self, columns: Sequence[Value]) -> bytes:
        """What record_out or record_send make of it."""
        return self._binary(columns) if self.format else _text(columns)

    def _binary(self, columns: Sequence[Value]) -> bytes:
        parts: list[Value] = [_length.pack(len(columns))]
        for oid, column in zip(self.type_oids, columns, strict=True):
            parts.append(struct.pack("!I", oid))
            parts.append(_NULL if column is None else _length.pack(len(column)))
            parts.append(column)
        return b"".join(part for part in parts if part is not None)


def _text(columns: Sequence[Value]) -> bytes:
    return b"(" + b",".join(_quoted(column) for column in columns) + b")"


def _quoted(column: Value) -> bytes:
    if column is None:
        return b""
    text = bytes(column)
    if text and _SPECIAL.search(text) is None:
        return text
    return b'"' + _DOUBLED.sub(rb"\1\1", text) + b'"'


def with_records(rows: EncodedRows, layout: Sequence[Record | None]) -> EncodedRows:
    """The rows as the client is told of them.

    Args:
        rows: plain columns in order, then the columns of each record.
        layout: the client's columns, None for a plain one.

    Raises:
        EncodeError: a row got too long (54000).
    """
    plain = sum(item is None for item in layout)
    bodies = []
    for row in range(rows.rows):
        start = int(rows.offsets[row])
        values = _values(rows.data, start + 5)
        single, rest = iter(values[:plain]), plain
        parts: list[Value] = [struct.pack("!h", len(layout))]
        for item in layout:
            if item is None:
                value = next(single)
            else:
                end = rest + len(item.type_oids)
                value, rest = item.value(values[rest:end]), end
            parts.append(_NULL if value is None else _length.pack(len(value)))
            parts.append(value)
        if sum(len(part) for part in parts if part is not None) > LONGEST_ROW:
            raise too_long()
        bodies.append(b"".join(part for part in parts if part is not None))
    return rows_from_bodies(bodies)


def _values(data: memoryview, position: int) -> list[Value]:
    (count,) = struct.unpack_from("!h", data, position)
    position += 2
    values: list[Value] = []
    for _ in range(count):
        (size,) = _length.unpack_from(data, position)
        position += 4
        if size < 0:
            values.append(None)
            continue
        values.append(data[position : position + size])
        position += size
    return values
