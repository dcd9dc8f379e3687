"""Integers, strings and counted lists of the protocol (manual, "Message Data Types").

A count or a length is compared with the bytes at hand before anything is built from it, so that a
lying header costs nothing. The wording of the errors is that of PostgreSQL's pqformat.c.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TypeVar

from proxy.wire.errors import ProtocolViolation

HEADER = struct.Struct(">Bi")
"""Type byte and length of every message but the first; the length counts itself."""

STARTUP_HEADER = struct.Struct(">iHH")
"""Length and protocol version of a message that opens a connection."""

VERSION = struct.Struct(">HH")
UINT16 = struct.Struct(">H")
INT16 = struct.Struct(">h")
INT32 = struct.Struct(">i")
UINT32 = struct.Struct(">I")

MAX_COUNT = 0xFFFF
"""Counts are 16 bits wide and read as unsigned, as PostgreSQL reads them."""

Value = bytes | None
"""A parameter or a column as it travels: None is NULL (length -1)."""

_T = TypeVar("_T")


def insufficient_data() -> ProtocolViolation:
    """A field reaches beyond the end of its message."""
    return ProtocolViolation("08P01", "insufficient data left in message")


def invalid_format() -> ProtocolViolation:
    """Bytes are left behind the last field."""
    return ProtocolViolation("08P01", "invalid message format")


def invalid_string() -> ProtocolViolation:
    """A string has no terminating zero byte."""
    return ProtocolViolation("08P01", "invalid string in message")


def decode_text(raw: bytes) -> str:
    """Client text is UTF-8; anything else is 22021, naming the bytes as PostgreSQL does."""
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        lead = raw[error.start]
        # The length a lead byte promises, as pg_utf_mblen counts it; stray bytes promise one.
        promised = 2 if lead & 0xE0 == 0xC0 else 3 if lead & 0xF0 == 0xE0 else 1
        if lead & 0xF8 == 0xF0:
            promised = 4
        named = " ".join(f"0x{byte:02x}" for byte in raw[error.start : error.start + promised])
        message = f'invalid byte sequence for encoding "UTF8": {named}'
        raise ProtocolViolation("22021", message) from None


def encode_text(text: str) -> bytes:
    """A zero-terminated string. A zero inside would end it early, so it is refused."""
    raw = text.encode()
    if 0 in raw:
        raise ValueError("a protocol string cannot hold a zero byte")
    return raw + b"\0"


def frame(kind: int, body: bytes) -> bytes:
    """A whole message: type byte, length, body."""
    return HEADER.pack(kind, len(body) + 4) + body


def encode_value(value: Value) -> bytes:
    """A length and so many bytes, or -1 for NULL."""
    return b"\xff\xff\xff\xff" if value is None else INT32.pack(len(value)) + value


def encode_values(values: Sequence[Value]) -> bytes:
    """A count, then each value with its length."""
    return UINT16.pack(checked_count(values)) + b"".join(map(encode_value, values))


def encode_formats(formats: Sequence[int]) -> bytes:
    """A count, then 16-bit codes."""
    return struct.pack(f">H{len(formats)}h", checked_count(formats), *formats)


def encode_oids(oids: Sequence[int]) -> bytes:
    """A count, then 32-bit object identifiers."""
    return struct.pack(f">H{len(oids)}I", checked_count(oids), *oids)


def checked_count(items: Sequence[_T]) -> int:
    """The number of items, which must fit the 16 bits that carry it."""
    if len(items) > MAX_COUNT:
        raise ValueError(f"{len(items)} items do not fit a 16-bit count")
    return len(items)


class Reader:
    """Reads one message body from front to back; every shortage is a ProtocolViolation."""

    __slots__ = ("body", "offset")

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.offset = 0

    def _take(self, shape: struct.Struct) -> int:
        try:
            (number,) = shape.unpack_from(self.body, self.offset)
        except struct.error:
            raise insufficient_data() from None
        self.offset += shape.size
        return int(number)

    def byte(self) -> int:
        """One unsigned byte."""
        if self.offset >= len(self.body):
            # PostgreSQL has a wording of its own for a missing single byte.
            raise ProtocolViolation("08P01", "no data left in message")
        self.offset += 1
        return self.body[self.offset - 1]

    def uint16(self) -> int:
        """An unsigned 16-bit integer: a count."""
        return self._take(UINT16)

    def int16(self) -> int:
        """A signed 16-bit integer: a format code, a type size."""
        return self._take(INT16)

    def int32(self) -> int:
        """A signed 32-bit integer."""
        return self._take(INT32)

    def uint32(self) -> int:
        """An unsigned 32-bit integer: an object identifier."""
        return self._take(UINT32)

    def string(self) -> str:
        """A zero-terminated string."""
        end = self.body.find(0, self.offset)
        if end < 0:
            raise invalid_string()
        text = decode_text(self.body[self.offset : end])
        self.offset = end + 1
        return text

    def raw(self, length: int) -> bytes:
        """Exactly so many bytes."""
        if not 0 <= length <= len(self.body) - self.offset:
            raise insufficient_data()
        self.offset += length
        return self.body[self.offset - length : self.offset]

    def rest(self) -> bytes:
        """Whatever is left, possibly nothing."""
        return self.raw(len(self.body) - self.offset)

    def value(self) -> Value:
        """A length and so many bytes; -1 is NULL."""
        length = self.int32()
        return None if length == -1 else self.raw(length)

    def formats(self) -> tuple[int, ...]:
        """A count, then 16-bit format codes."""
        count = self.uint16()
        return struct.unpack(f">{count}h", self.raw(2 * count))

    def oids(self) -> tuple[int, ...]:
        """A count, then 32-bit object identifiers."""
        count = self.uint16()
        return struct.unpack(f">{count}I", self.raw(4 * count))

    def values(self) -> tuple[Value, ...]:
        """A count, then values with their lengths; -1 is NULL."""
        count = self.uint16()
        body, offset, end = self.body, self.offset, len(self.body)
        if end - offset < 4 * count:
            raise insufficient_data()
        values: list[Value] = []
        for _ in range(count):
            start = offset + 4
            if start > end:
                raise insufficient_data()
            (length,) = INT32.unpack_from(body, offset)
            if length == -1:
                values.append(None)
                offset = start
                continue
            offset = start + length
            if length < 0 or offset > end:
                raise insufficient_data()
            values.append(body[start:offset])
        self.offset = offset
        return tuple(values)

    def end(self) -> None:
        """The message must be used up."""
        if self.offset != len(self.body):
            raise invalid_format()
