"""ClickHouse's ArrowStream format: from pieces of bytes to record batches in canonical types.

The format is Arrow's IPC stream: messages of a length, a flatbuffer and a body. Its end is a
message without content, and an answer without that end is a broken one: a server that fails in the
middle of an answer writes its complaint where the next message would stand.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from connectors.clickhouse_types import INTEGER_DIGITS, bare_type, element_type, postgres_type
from connectors.errors import WarehouseError

# Columns without a zone carry this one in Arrow: the statement's session_timezone, a name of UTC
# that no column is declared with.
ZONELESS = "Etc/Zulu"

_CONTINUATION = b"\xff\xff\xff\xff"
_PREFIX = struct.Struct("<4si")
_INT32 = struct.Struct("<i")
_INT64 = struct.Struct("<q")
_UINT16 = struct.Struct("<H")
# Message in format/Message.fbs: version, header type, header, bodyLength. A table's vtable starts
# with its own size and the table's, then has an offset for each field.
_BODY_LENGTH_ENTRY = 4 + 2 * 3

# Arrow types that stand for more than one ClickHouse type.
_AMBIGUOUS = frozenset((pa.int8(), pa.int16(), pa.uint16(), pa.uint32()))
_MICROSECONDS = pa.timestamp("us")
_MICROSECONDS_UTC = pa.timestamp("us", "UTC")
_LIMB_BYTES = 16


class MessageSplitter:
    """Cuts the pieces of an answer into whole messages."""

    def __init__(self) -> None:
        self._data = bytearray()
        self.finished = False
        self.broken = False

    @property
    def rest(self) -> bytes:
        """What has come and belongs to no whole message."""
        return bytes(self._data)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The messages that are whole with this piece."""
        self._data += data
        while not self.finished and not self.broken:
            size = self._message_bytes()
            if size is None or len(self._data) < size:
                return
            message = bytes(self._data[:size])
            del self._data[:size]
            if size == _PREFIX.size:
                self.finished = True
                return
            yield message

    def _message_bytes(self) -> int | None:
        if len(self._data) < _PREFIX.size:
            self.broken = not _CONTINUATION.startswith(self._data[:4])
            return None
        mark, metadata = _PREFIX.unpack_from(self._data)
        if mark != _CONTINUATION or metadata < 0:
            self.broken = True
            return None
        if metadata == 0:
            return _PREFIX.size
        start = _PREFIX.size
        if len(self._data) < start + metadata:
            return None
        table = start + _INT32.unpack_from(self._data, start)[0]
        vtable = table - _INT32.unpack_from(self._data, table)[0]
        body = 0
        if _UINT16.unpack_from(self._data, vtable)[0] > _BODY_LENGTH_ENTRY:
            (offset,) = _UINT16.unpack_from(self._data, vtable + _BODY_LENGTH_ENTRY)
            body = _INT64.unpack_from(self._data, table + offset)[0] if offset else 0
        return int(start + metadata + body)


def needs_description(schema: pa.Schema) -> bool:
    """Whether some column's Arrow type does not tell its ClickHouse type."""
    return any(_ambiguous(field.type) for field in schema)


def _ambiguous(kind: pa.DataType) -> bool:
    if pa.types.is_list(kind):
        return _ambiguous(kind.value_type)
    return kind in _AMBIGUOUS or pa.types.is_fixed_size_binary(kind)


class Canonical:
    """Brings batches into the types that stand for PostgreSQL's.

    ``described`` has the ClickHouse type of each column, where ``needs_description`` asks for it.
    Moments with a zone are in ``time_zone``.
    """

    def __init__(self, schema: pa.Schema, described: Sequence[str] | None, time_zone: str) -> None:
        names = described if described is not None else [""] * len(schema)
        if len(names) != len(schema):
            raise WarehouseError("XX000", "the columns changed while the statement ran")
        self._described = names
        self.schema = pa.schema(
            [
                pa.field(field.name, canonical_type(field.type, name, time_zone))
                for field, name in zip(schema, names, strict=True)
            ]
        )

    def batch(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch in canonical types. Raises WarehouseError 22021 for text that is not UTF-8."""
        columns = [
            _canonical(column, name, field.type)
            for column, name, field in zip(batch.columns, self._described, self.schema, strict=True)
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)


def canonical_type(kind: pa.DataType, described: str, time_zone: str) -> pa.DataType:
    """The Arrow type that a column is handed on in."""
    if pa.types.is_list(kind):
        inner = element_type(described) or ""
        return pa.list_(pa.field("item", canonical_type(kind.value_type, inner, time_zone)))
    if isinstance(kind, pa.BaseExtensionType):
        return pa.string() if kind.extension_name == "arrow.uuid" else _refused(str(kind))
    if pa.types.is_timestamp(kind):
        if kind.unit == "ns":
            return _refused("DateTime64 with more than 6 digits")
        return _MICROSECONDS if kind.tz == ZONELESS else pa.timestamp("us", time_zone)
    if kind == pa.uint64():
        return pa.decimal128(INTEGER_DIGITS["UInt64"], 0)
    if pa.types.is_null(kind):
        return pa.string()
    if _ambiguous(kind):
        return _described_type(described, time_zone)
    if kind in _UNCHANGED or pa.types.is_decimal(kind):
        return kind
    if kind == pa.uint8():
        return pa.int16()
    return _refused(str(kind))


_UNCHANGED = frozenset(
    (pa.bool_(), pa.int32(), pa.int64(), pa.float32(), pa.float64(), pa.string(), pa.date32())
)
_BY_POSTGRES_TYPE = {
    "int2": pa.int16(),
    "int4": pa.int32(),
    "int8": pa.int64(),
    "text": pa.string(),
    "varchar": pa.string(),
    "uuid": pa.string(),
    "date": pa.date32(),
    "timestamp": _MICROSECONDS,
}


def _described_type(described: str, time_zone: str) -> pa.DataType:
    found = postgres_type(described)
    if found is None:
        return _refused(described)
    if found.name == "numeric":
        return pa.decimal256(INTEGER_DIGITS[bare_type(described)], 0)
    if found.name == "timestamptz":
        return pa.timestamp("us", time_zone)
    return _BY_POSTGRES_TYPE[found.name]


def _refused(kind: str) -> pa.DataType:
    raise WarehouseError(
        "0A000",
        f"the data source returned a column of type {kind}, which PostgreSQL has no counterpart of",
        hint="Convert it in the SQL of the cube, such as toString(column).",
    )


def _canonical(column: pa.Array, described: str, wanted: pa.DataType) -> pa.Array:
    kind = column.type
    if pa.types.is_list(kind):
        values = _canonical(column.values, element_type(described) or "", wanted.value_type)
        missing = column.is_null() if column.null_count else None
        return pa.ListArray.from_arrays(column.offsets, values, type=wanted, mask=missing)
    bare = bare_type(described)
    if isinstance(kind, pa.BaseExtensionType):
        return _uuid_texts(column.storage)
    if pa.types.is_fixed_size_binary(kind) and not pa.types.is_decimal(kind):
        return _from_bytes(column, bare)
    if pa.types.is_timestamp(kind) and kind.unit == "us":
        return column.cast(pa.int64()).cast(wanted)
    if pa.types.is_timestamp(kind):
        # To UTC first: what has no zone in the end is the time of day there.
        return column.cast(_MICROSECONDS_UTC).cast(pa.int64()).cast(wanted)
    if bare.startswith("Enum"):
        return _enum_texts(column, bare)
    if pa.types.is_timestamp(wanted):  # DateTime comes as its seconds
        seconds = pc.multiply(column.cast(pa.int64()), 1_000_000)
        return seconds.cast(wanted)
    if pa.types.is_date32(wanted) and kind == pa.uint16():
        return column.cast(pa.int32()).cast(wanted)
    if kind == pa.string():
        _check_utf8(column)
    return column if kind == wanted else column.cast(wanted)


def _check_utf8(column: pa.Array) -> None:
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        raise WarehouseError("22021", 'invalid byte sequence for encoding "UTF8"') from None


def _from_bytes(column: pa.Array, bare: str) -> pa.Array:
    if bare == "UUID":
        return _uuid_texts(column)
    if bare in INTEGER_DIGITS:
        return _wide_integers(column, signed=bare == "Int128")
    texts = [None if item is None else item.rstrip(b"\x00") for item in column.to_pylist()]
    try:
        return pa.array([None if text is None else text.decode() for text in texts], pa.string())
    except UnicodeDecodeError:
        raise WarehouseError("22021", 'invalid byte sequence for encoding "UTF8"') from None


def _wide_integers(column: pa.Array, *, signed: bool) -> pa.Array:
    """Integers of 16 bytes, little-endian, as decimals: those are integers of 32 bytes."""
    values = [
        None if item is None else int.from_bytes(item, "little", signed=signed)
        for item in column.to_pylist()
    ]
    wide = b"".join(
        (value or 0).to_bytes(2 * _LIMB_BYTES, "little", signed=True) for value in values
    )
    valid = None
    if column.null_count:
        valid = pa.array([value is not None for value in values]).buffers()[1]
    kind = pa.decimal256(INTEGER_DIGITS["Int128"], 0)
    return pa.Array.from_buffers(kind, len(values), [valid, pa.py_buffer(wide)])


def _uuid_texts(column: pa.Array) -> pa.Array:
    return pa.array(
        [None if item is None else str(uuid.UUID(bytes=item)) for item in column.to_pylist()],
        pa.string(),
    )


def _enum_texts(column: pa.Array, bare: str) -> pa.Array:
    names = enum_names(bare)
    return pa.array(
        [None if item is None else names[item] for item in column.to_pylist()], pa.string()
    )


def enum_names(bare: str) -> dict[int, str]:
    """The texts of ``Enum8('a' = 1, 'b' = 2)`` by their numbers."""
    names: dict[int, str] = {}
    position = bare.index("(") + 1
    while position < len(bare) - 1:
        text, position = _quoted(bare, position)
        end = bare.find(", '", position)
        end = len(bare) - 1 if end < 0 else end
        names[int(bare[position:end].strip(" ="))] = text
        position = end + 2
    return names


_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "b": "\b", "f": "\f"}


def _quoted(text: str, position: int) -> tuple[str, int]:
    """The text in quotes that starts at ``position``, and where it has ended."""
    found: list[str] = []
    position += 1
    while text[position] != "'":
        if text[position] == "\\":
            position += 1
            found.append(_ESCAPES.get(text[position], text[position]))
        else:
            found.append(text[position])
        position += 1
    return "".join(found), position + 1
