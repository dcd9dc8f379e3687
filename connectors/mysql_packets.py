"""The packets of the MySQL protocol that one prepared statement takes, as bytes.

Names are those of the MySQL and MariaDB manuals ("Client/Server Protocol"). Rows are not decoded: a
run of them is one piece of bytes and where each row starts.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

# First bytes of what a server sends.
OK = 0x00
ROW = 0x00
EOF = 0xFE
ERROR = 0xFF

MAX_PAYLOAD = 0xFFFFFF
_EOF_BELOW = 9

_COM_QUERY = b"\x03"
_COM_PING = b"\x0e"
_COM_STMT_PREPARE = b"\x16"
_COM_STMT_EXECUTE = 0x17
_COM_STMT_CLOSE = 0x19

_HEADER_BYTES = 4
_PREPARED = struct.Struct("<xIHHxH")
_EXECUTE = struct.Struct("<BIBI")
_CLOSE = struct.Struct("<BI")
_DEFINITION = struct.Struct("<xHIBHB")
_ERROR_CODE = struct.Struct("<xH")

UNSIGNED_FLAG = 0x20


@dataclass(frozen=True, slots=True)
class Received:
    """One packet's payload; or a run of packets that start with ROW, and where each starts."""

    kind: int
    data: bytes
    starts: Sequence[int] = (0,)

    @property
    def payload(self) -> bytes:
        """The first packet's payload, and what follows it in a run."""
        return self.data[self.starts[0] :]

    @property
    def is_eof(self) -> bool:
        """Whether it ends a list of packets."""
        return self.kind == EOF and len(self.data) < _EOF_BELOW


@dataclass(frozen=True, slots=True)
class Prepared:
    """A statement that the server has prepared."""

    statement_id: int
    columns: int
    parameters: int


@dataclass(frozen=True, slots=True)
class Field:
    """A column definition.

    Attributes:
        charset: id of the collation of its text; 63 for bytes.
        length: how long its text can be, in bytes.
        type_code: ``MYSQL_TYPE_*``.
        flags: ``NOT_NULL_FLAG`` and so on.
        decimals: digits after the point.
    """

    name: str
    charset: int
    length: int
    type_code: int
    flags: int
    decimals: int

    @property
    def unsigned(self) -> bool:
        """Whether an integer has no sign."""
        return bool(self.flags & UNSIGNED_FLAG)


@dataclass(frozen=True, slots=True)
class Value:
    """A parameter as COM_STMT_EXECUTE sends it; ``data`` of None is NULL."""

    type_code: int
    data: bytes | None
    flags: int = 0


def _packets(payload: bytes) -> bytes:
    """A command: its payload in packets numbered from 0."""
    parts = []
    number = 0
    while True:
        part = payload[number * MAX_PAYLOAD : (number + 1) * MAX_PAYLOAD]
        parts.append(len(part).to_bytes(3, "little") + bytes((number % 256,)) + part)
        number += 1
        if len(part) < MAX_PAYLOAD:
            return b"".join(parts)


def ping() -> bytes:
    """Ask whether the server is there."""
    return _packets(_COM_PING)


def query(sql: bytes) -> bytes:
    """Run a statement as text."""
    return _packets(_COM_QUERY + sql)


def prepare(sql: bytes) -> bytes:
    """Prepare a statement."""
    return _packets(_COM_STMT_PREPARE + sql)


def execute(statement_id: int, values: Sequence[Value]) -> bytes:
    """Run a prepared statement without a cursor: rows are sent as they are made."""
    head = _EXECUTE.pack(_COM_STMT_EXECUTE, statement_id, 0, 1)
    if not values:
        return _packets(head)
    nulls = bytearray((len(values) + 7) // 8)
    types = bytearray()
    data = []
    for number, value in enumerate(values):
        types += bytes((value.type_code, value.flags))
        if value.data is None:
            nulls[number // 8] |= 1 << number % 8
        else:
            data.append(value.data)
    return _packets(head + bytes(nulls) + b"\x01" + bytes(types) + b"".join(data))


def close_statement(statement_id: int) -> bytes:
    """Forget a prepared statement. The server does not answer."""
    return _packets(_CLOSE.pack(_COM_STMT_CLOSE, statement_id))


def length_encoded(data: bytes) -> bytes:
    """Bytes after their length."""
    size = len(data)
    if size < 251:
        return bytes((size,)) + data
    if size < 1 << 16:
        return b"\xfc" + size.to_bytes(2, "little") + data
    if size < 1 << 24:
        return b"\xfd" + size.to_bytes(3, "little") + data
    return b"\xfe" + size.to_bytes(8, "little") + data


def prepared(data: bytes) -> Prepared:
    """The COM_STMT_PREPARE_OK of a payload."""
    statement_id, columns, parameters, _ = _PREPARED.unpack_from(data)
    return Prepared(statement_id, columns, parameters)


def error_of(data: bytes) -> tuple[int, str, str]:
    """Number, SQLSTATE and message of an ERR packet."""
    (number,) = _ERROR_CODE.unpack_from(data)
    if data[3:4] == b"#":
        return number, data[4:9].decode(errors="replace"), data[9:].decode(errors="replace")
    return number, "", data[3:].decode(errors="replace")


def count_of(data: bytes) -> int:
    """How many columns the result has that this payload announces."""
    return _length(data, 0)[0]


def field_of(data: bytes) -> Field:
    """The column of a ColumnDefinition41."""
    position = 0
    texts = []
    for _ in range(6):  # catalog, schema, table, org_table, name, org_name
        size, position = _length(data, position)
        texts.append(data[position : position + size])
        position += size
    charset, length, type_code, flags, decimals = _DEFINITION.unpack_from(data, position)
    return Field(texts[4].decode(errors="replace"), charset, length, type_code, flags, decimals)


def _length(data: bytes, position: int) -> tuple[int, int]:
    """A length-encoded integer and the position after it."""
    first = data[position]
    if first < 251:
        return first, position + 1
    width = {0xFC: 2, 0xFD: 3, 0xFE: 8}[first]
    stop = position + 1 + width
    return int.from_bytes(data[position + 1 : stop], "little"), stop


class PacketSplitter:
    """Cuts a byte stream into packets, whatever the pieces it arrives in."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._needed = 0
        self._long = bytearray()

    def feed(self, data: bytes) -> list[Received]:
        """The packets that ``data`` completes."""
        if self._rest:
            # A long packet arrives in many pieces: they are only joined, and cut once it is whole.
            self._rest += data
            if len(self._rest) < self._needed:
                return []
            data = bytes(self._rest)
            self._rest.clear()
        received: list[Received] = []
        starts: list[int] = []
        end = len(data)
        position = 0
        self._needed = _HEADER_BYTES
        while position + _HEADER_BYTES <= end:
            size = data[position] | data[position + 1] << 8 | data[position + 2] << 16
            start = position + _HEADER_BYTES
            stop = start + size
            if stop > end:
                self._needed = stop - position
                break
            if size and size < MAX_PAYLOAD and not self._long and data[start] == ROW:
                starts.append(start)
            else:
                if starts:
                    received.append(Received(ROW, data, starts))
                    starts = []
                received += self._single(data[start:stop])
            position = stop
        if starts:
            received.append(Received(ROW, data, starts))
        if position < end:
            self._rest += data[position:]
        return received

    def _single(self, payload: bytes) -> list[Received]:
        """A packet by itself, joined with those that it continues."""
        if self._long or len(payload) == MAX_PAYLOAD:
            self._long += payload
            if len(payload) == MAX_PAYLOAD:
                return []
            payload = bytes(self._long)
            self._long.clear()
        return [Received(payload[0] if payload else OK, payload)]
