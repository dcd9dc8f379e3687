"""The same bytes as the column encoders make, a value at a time, for batches of a few rows.

Arrow and numpy take microseconds to begin anything; below some dozens of rows plain Python is
faster. What is said of a type's format is said in the module of its column encoder, whose functions
for one value are used here; that both ways agree is tested.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from proxy.rows.arrays import needs_quotes, quoted, taken_apart
from proxy.rows.calendar import DAY
from proxy.rows.cells import raw
from proxy.rows.encoded import LONGEST_ROW, EncodedRows, too_long
from proxy.rows.errors import EncodeError
from proxy.rows.floats import rounded_digits, rounded_text, shortest_text
from proxy.rows.intervals import STORED, one_to_micros
from proxy.rows.moments import MomentStyle, binary_date, binary_timestamp, clock_text
from proxy.rows.numerics import binary_of_text, plain_text
from proxy.rows.zones import Zone

Values = list[bytes | None]
Scalar = Callable[[pa.Array], Values]

_NULL = b"\xff\xff\xff\xff"
_LENGTH = struct.Struct("!i").pack
_HEADER = struct.Struct("!cih").pack


def small_rows(columns: Sequence[Values], rows: int) -> EncodedRows:
    """DataRow messages from each column's values."""
    out: list[bytes] = []
    offsets = [0]
    size = 0
    for row in zip(*columns, strict=True) if columns else [()] * rows:
        body = b"".join([_NULL if value is None else _LENGTH(len(value)) + value for value in row])
        if len(body) > LONGEST_ROW:
            raise too_long()
        out.append(_HEADER(b"D", len(body) + 6, len(columns)))
        out.append(body)
        size += len(body) + 7
        offsets.append(size)
    return EncodedRows(memoryview(b"".join(out)), rows, offsets)


def stored(array: pa.Array, dtype: Any) -> list[Any]:
    """The numbers of a fixed-width array as stored, None where NULL."""
    values: list[Any] = raw(array, dtype).tolist()
    if not array.null_count:
        return values
    valid = array.is_valid().to_pylist()
    return [value if real else None for value, real in zip(values, valid, strict=True)]


def each(one: Callable[[Any], bytes], array: pa.Array) -> Values:
    """``one`` of each Python value."""
    return [None if value is None else one(value) for value in array.to_pylist()]


def each_stored(one: Callable[[Any], bytes], dtype: Any, array: pa.Array) -> Values:
    """``one`` of each stored number."""
    return [None if value is None else one(value) for value in stored(array, dtype)]


def mapped(one: Callable[[Any], bytes]) -> Scalar:
    """A column's values through Python's own."""
    return functools.partial(each, one)


def from_stored(one: Callable[[Any], bytes], dtype: Any) -> Scalar:
    """A column's values through the numbers as stored."""
    return functools.partial(each_stored, one, dtype)


def bool_text(value: bool) -> bytes:
    """``t`` or ``f``."""
    return b"t" if value else b"f"


def bool_binary(value: bool) -> bytes:
    """One byte."""
    return b"\1" if value else b"\0"


def integer_text(value: int) -> bytes:
    """Decimal digits."""
    return b"%d" % value


def float_text(kind: str, extra_float_digits: int) -> Callable[[float], bytes]:
    """Text of a float4 or float8."""
    if extra_float_digits <= 0:
        return functools.partial(rounded_text, digits=rounded_digits(kind, extra_float_digits))
    return functools.partial(shortest_text, kind=kind)


def numeric_text(value: Any) -> bytes:
    """Text of a Decimal, or of text."""
    return value.encode() if isinstance(value, str) else plain_text(value).encode()


def numeric_binary(value: Any) -> bytes:
    """Binary form of a Decimal, or of text."""
    return binary_of_text(value if isinstance(value, str) else plain_text(value))


def bytea_hex(value: bytes) -> bytes:
    r"""``\x`` and digits."""
    return b"\\x" + value.hex().encode()


def uuid_text(array: pa.Array) -> Values:
    """36 characters."""
    if not pa.types.is_fixed_size_binary(array.type):
        return mapped(str.encode)(array)

    def one(value: bytes) -> bytes:
        text = value.hex()
        return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:])).encode()

    return each(one, array)


def uuid_binary(array: pa.Array) -> Values:
    """16 bytes."""
    if pa.types.is_fixed_size_binary(array.type):
        values: Values = array.to_pylist()
        return values

    def one(value: str) -> bytes:
        if len(value) != 36:
            raise EncodeError("22P02", "invalid input syntax for type uuid")
        return bytes.fromhex(value.replace("-", ""))

    return each(one, array)


def jsonb_binary(value: str) -> bytes:
    """A version byte and the text."""
    return b"\1" + value.encode()


def time_text(micros: int) -> bytes:
    """``HH:MM:SS.ffffff``."""
    return clock_text(_checked(micros))


def time_binary(micros: int) -> bytes:
    """Microseconds."""
    return struct.pack("!q", _checked(micros))


def _checked(micros: int) -> int:
    if not 0 <= micros <= DAY:
        raise EncodeError("22008", "time out of range")
    return micros


def timestamp_text(style: MomentStyle, zone: Zone | None) -> Callable[[int], bytes]:
    """Text of a timestamp."""
    return functools.partial(style.timestamp, zone=zone)


def date_binary(days: int) -> bytes:
    """Days since 2000."""
    return struct.pack("!i", binary_date(days))


def timestamp_binary(micros: int) -> bytes:
    """Microseconds since 2000."""
    return struct.pack("!q", binary_timestamp(micros))


def interval_text(style: Callable[[int, int, int], str]) -> Scalar:
    """Text of intervals."""

    def one(value: tuple[int, int, int]) -> bytes:
        return style(value[0], value[1], one_to_micros(value[2])).encode()

    return from_stored(one, STORED)


def interval_binary(value: tuple[int, int, int]) -> bytes:
    """Microseconds, days, months."""
    return struct.pack("!qii", one_to_micros(value[2]), value[1], value[0])


def array_text(array: pa.Array, element: Scalar) -> Values:
    """``{1,NULL,"a b"}``."""
    lists = taken_apart(array)
    texts = [
        b"NULL" if text is None else quoted(text) if needs_quotes(text) else text
        for text in element(lists.elements)
    ]
    bounds = lists.offsets.tolist()
    return [
        b"{" + b",".join(texts[start:stop]) + b"}" if real else None
        for start, stop, real in zip(bounds, bounds[1:], lists.real(), strict=False)
    ]


def array_binary(array: pa.Array, element: Scalar, element_oid: int) -> Values:
    """Header and elements."""
    lists = taken_apart(array)
    values = element(lists.elements)
    bounds = lists.offsets.tolist()
    return [
        _one_array(values[start:stop], element_oid) if real else None
        for start, stop, real in zip(bounds, bounds[1:], lists.real(), strict=False)
    ]


def _one_array(values: Values, element_oid: int) -> bytes:
    if not values:
        return struct.pack("!iiI", 0, 0, element_oid)
    header = struct.pack("!iiIii", 1, None in values, element_oid, len(values), 1)
    return header + b"".join(
        [_NULL if value is None else _LENGTH(len(value)) + value for value in values]
    )
