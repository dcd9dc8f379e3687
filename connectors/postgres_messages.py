"""The few messages of the PostgreSQL protocol that running one statement takes, as bytes.

Names are those of the manual's chapter "Message Formats". Rows are not decoded: a run of DataRow
messages is one piece of bytes and a count.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

DATA_ROW = ord("D")
PARSE_COMPLETE = ord("1")
BIND_COMPLETE = ord("2")
ROW_DESCRIPTION = ord("T")
NO_DATA = ord("n")
COMMAND_COMPLETE = ord("C")
EMPTY_QUERY = ord("I")
ERROR = ord("E")
READY = ord("Z")
PARAMETER_STATUS = ord("S")

DESCRIBE_STATEMENT = b"D\x00\x00\x00\x06S\x00"
DESCRIBE_PORTAL = b"D\x00\x00\x00\x06P\x00"
EXECUTE = b"E\x00\x00\x00\x09\x00\x00\x00\x00\x00"
SYNC = b"S\x00\x00\x00\x04"

_HEADER_BYTES = 5
_INT32 = struct.Struct("!i")
_UINT32 = struct.Struct("!I")
_INT16 = struct.Struct("!h")
_UINT16 = struct.Struct("!H")
_FIELD = struct.Struct("!IhIhih")


@dataclass(frozen=True, slots=True)
class Received:
    """One message's body; or for DATA_ROW, ``rows`` whole messages with their headers."""

    kind: int
    data: bytes
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Field:
    """A column of a RowDescription."""

    name: str
    type_oid: int
    modifier: int


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + _INT32.pack(len(body) + 4) + body


def parse(sql: bytes, parameter_oids: Sequence[int] = ()) -> bytes:
    """Parse into the unnamed statement. ``sql`` holds no zero byte."""
    oids = b"".join(_UINT32.pack(oid) for oid in parameter_oids)
    return _message(b"P", b"\x00" + sql + b"\x00" + _UINT16.pack(len(parameter_oids)) + oids)


def bind(values: Sequence[bytes | None], result_formats: Sequence[int]) -> bytes:
    """Bind the unnamed statement to the unnamed portal, parameters as text."""
    parts = [b"\x00\x00\x00\x00", _UINT16.pack(len(values))]
    for value in values:
        parts.append(_INT32.pack(-1) if value is None else _INT32.pack(len(value)) + value)
    parts.append(_UINT16.pack(len(result_formats)))
    parts += [_INT16.pack(code) for code in result_formats]
    return _message(b"B", b"".join(parts))


def fields_of_error(body: bytes) -> dict[str, str]:
    """The fields of an ErrorResponse by their one-letter codes."""
    fields: dict[str, str] = {}
    for part in body.split(b"\x00"):
        if part:
            fields[chr(part[0])] = part[1:].decode(errors="replace")
    return fields


def fields_of_description(body: bytes) -> tuple[Field, ...]:
    """The columns of a RowDescription."""
    (count,) = _UINT16.unpack_from(body, 0)
    position = 2
    fields = []
    for _ in range(count):
        end = body.index(b"\x00", position)
        name = body[position:end].decode(errors="replace")
        _, _, type_oid, _, modifier, _ = _FIELD.unpack_from(body, end + 1)
        fields.append(Field(name, type_oid, modifier))
        position = end + 1 + _FIELD.size
    return tuple(fields)


def parameter_of_status(body: bytes) -> tuple[str, str]:
    """Name and value of a ParameterStatus."""
    name, value, _ = body.split(b"\x00")
    return name.decode(errors="replace"), value.decode(errors="replace")


class MessageSplitter:
    """Cuts a byte stream into messages, whatever the pieces it arrives in."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._needed = 0

    def feed(self, data: bytes) -> list[Received]:
        """The messages that ``data`` completes."""
        if self._rest:
            # A long message arrives in many pieces: they are only joined, and cut once it is whole.
            self._rest += data
            if len(self._rest) < self._needed:
                return []
            data = bytes(self._rest)
            self._rest.clear()
        received: list[Received] = []
        length_at = _UINT32.unpack_from
        end = len(data)
        position = run = rows = 0
        self._needed = _HEADER_BYTES
        while position + _HEADER_BYTES <= end:
            stop = position + 1 + length_at(data, position + 1)[0]
            if stop > end:
                self._needed = stop - position
                break
            kind = data[position]
            if kind == DATA_ROW:
                rows += 1
            else:
                if rows:
                    received.append(Received(DATA_ROW, data[run:position], rows))
                    rows = 0
                received.append(Received(kind, data[position + _HEADER_BYTES : stop]))
                run = stop
            position = stop
        if rows:
            received.append(Received(DATA_ROW, data[run:position], rows))
        if position < end:
            self._rest += data[position:]
        return received
