"""Messages the server sends, named and laid out as in the manual ("Message Formats", direction B).

Each is a frozen value with ``encode()`` and ``decode(body)``; `decode_message` finds the class by
the type byte. Result rows of the hot path are built elsewhere, many at a time; DataRow here is for
single rows and for reading.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import starmap
from operator import add, attrgetter
from typing import ClassVar, Literal, Self, cast

from proxy.wire.codec import (
    INT32,
    UINT16,
    Reader,
    Value,
    checked_count,
    encode_formats,
    encode_oids,
    encode_text,
    encode_value,
    encode_values,
    frame,
    invalid_format,
)
from proxy.wire.errors import ProtocolViolation
from proxy.wire.message import Message

AUTHENTICATION = ord("R")


class BackendMessage(Message):
    """A message of the server."""

    __slots__ = ()


class Authentication(BackendMessage):
    """The messages that share the type byte ``R``.

    Attributes:
        step: the number that tells them apart, sent before their fields.
    """

    __slots__ = ()
    code: ClassVar[int] = AUTHENTICATION
    step: ClassVar[int]

    def encode(self) -> bytes:
        """The whole message as it travels."""
        return frame(self.code, INT32.pack(self.step) + self._body())

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """As `Message.decode`; the body begins with the step."""
        Reader(body).int32()
        return super().decode(body[4:])


@dataclass(frozen=True, slots=True)
class AuthenticationOk(Authentication):
    """The client is who it says."""

    step: ClassVar[int] = 0


@dataclass(frozen=True, slots=True)
class AuthenticationCleartextPassword(Authentication):
    """Asks for the password as it is."""

    step: ClassVar[int] = 3


@dataclass(frozen=True, slots=True)
class AuthenticationSASL(Authentication):
    """Offers SASL mechanisms, the preferred one first."""

    step: ClassVar[int] = 10
    mechanisms: tuple[str, ...]

    def _body(self) -> bytes:
        return b"".join(encode_text(name) for name in self.mechanisms) + b"\0"

    @classmethod
    def _read(cls, reader: Reader) -> Self:
        names: list[str] = []
        while name := reader.string():
            names.append(name)
        return cls(tuple(names))


@dataclass(frozen=True, slots=True)
class _SASLStep(Authentication):
    data: bytes

    def _body(self) -> bytes:
        return self.data

    @classmethod
    def _read(cls, reader: Reader) -> Self:
        return cls(reader.rest())


@dataclass(frozen=True, slots=True)
class AuthenticationSASLContinue(_SASLStep):
    """A further step of the SASL exchange."""

    step: ClassVar[int] = 11


@dataclass(frozen=True, slots=True)
class AuthenticationSASLFinal(_SASLStep):
    """The last step of the SASL exchange: the server's own proof."""

    step: ClassVar[int] = 12


@dataclass(frozen=True, slots=True)
class NegotiateProtocolVersion(BackendMessage):
    """Names the newest minor version of protocol 3 spoken here, and options not known here.

    PostgreSQL sends, and libpq reads, the whole version number in the first field.
    """

    code: ClassVar[int] = ord("v")
    minor: int
    unknown: tuple[str, ...] = ()

    def _body(self) -> bytes:
        options = b"".join(encode_text(option) for option in self.unknown)
        version = struct.pack(">HHi", 3, self.minor, len(self.unknown))
        return version + options

    @classmethod
    def _read(cls, reader: Reader) -> Self:
        reader.uint16()
        minor = reader.uint16()
        count = reader.int32()
        if not 0 <= count <= len(reader.body):
            raise invalid_format()
        unknown = tuple(reader.string() for _ in range(count))
        return cls(minor, unknown)


@dataclass(frozen=True, slots=True)
class ParameterStatus(BackendMessage):
    """The present value of a setting that drivers follow."""

    code: ClassVar[int] = ord("S")
    name: str
    value: str

    def _body(self) -> bytes:
        return encode_text(self.name) + encode_text(self.value)

    @classmethod
    def _read(cls, reader: Reader) -> Self:
        return cls(reader.string(), reader.string())


@dataclass(frozen=True, slots=True)
class BackendKeyData(BackendMessage):
    """What a CancelRequest must repeat: 4 bytes of key in protocol 3.0, up to 256 in 3.2."""

    code: ClassVar[int] = ord("K")
    process_id: int
    secret_key: bytes

    def _body(self) -> bytes:
        return INT32.pack(self.process_id) + self.secret_key

    @classmethod
    def _read(cls, reader: Reader) -> Self:
        return cls(reader.int32(), reader.rest())


Status = Literal["I", "T", "E"]  # idle, in a transaction, in a failed transaction


@dataclass(frozen=True, slots=True)
class ReadyForQuery(BackendMessage):
    """The server waits for the next query."""

    code: ClassVar[int] = ord("Z")
    status: Status

    def _body(self) -> bytes:
        return self.status.encode()

    @classmethod
    def _read(cls, reader: Reader) -> Self:
        status = chr(reader.byte())
        if status not in "ITE":
            raise invalid_format()
        return cls(cast("Status", status))


@dataclass(frozen=True, slots=True)
class FieldDescription:
    """One column of a RowDescription.

    Attributes:
        name: the column's label.
        table_oid, column: table and attribute number it comes from, 0 for none and always from us.
        type_oid: ``pg_type.oid``.
        type_size: ``pg_type.typlen``: bytes, or negative for a variable width.
        type_modifier: ``pg_attribute.atttypmod``, -1 for none.
        format: 0 text, 1 binary.
    """

    name: str
    table_oid: int = 0
    column: int = 0
    type_oid: int = 25
    type_size: int = -1
    type_modifier: int = -1
    format: int = 0


_FIELD = struct.Struct(">IhIhih")
_NUMBERS = attrgetter("table_oid", "column", "type_oid", "type_size", "type_modifier", "format")


@dataclass(frozen=True, slots=True)
class RowDescription(BackendMessage):
    """The columns of the rows that follow."""

    code: ClassVar[int] = ord("T")
    fields: tuple[FieldDescription, ...]

    def _body(self) -> bytes:
        parts = [UINT16.pack(checked_count(self.fields))]
        for field in self.fields:
            parts += (encode_text(field.name), _FIELD.pack(*_NUMBERS(field)))
        return b"".join(parts)

    @classmethod
    def _read(cls, reader: Reader) -> Self:
        fields = []
        for _ in range(reader.uint16()):
            name = reader.string()
            fields.append(FieldDescription(name, *_FIELD.unpack(reader.raw(_FIELD.size))))
        return cls(tuple(fields))


@dataclass(frozen=True, slots=True)
class ParameterDescription(BackendMessage):
    """The types of a prepared statement's parameters."""

    code: ClassVar[int] = ord("t")
    oids: tuple[int, ...]

    def _body(self) -> bytes:
        return encode_oids(self.oids)

    @classmethod
    def _read(cls, reader: Reader) -> Self:
        return cls(reader.oids())


@dataclass(frozen=True, slots=True)
class DataRow(BackendMessage):
    """One row of a result."""

    code: ClassVar[int] = ord("D")
    values: tuple[Value, ...]

    def _body(self) -> bytes:
        return encode_values(self.values)

    @classmethod
    def _read(cls, reader: Reader) -> Self:
        return cls(reader.values())


@dataclass(frozen=True, slots=True)
class ParseComplete(BackendMessage):
    """Parse is done."""

    code: ClassVar[int] = ord("1")


@dataclass(frozen=True, slots=True)
class BindComplete(BackendMessage):
    """Bind is done."""

    code: ClassVar[int] = ord("2")


@dataclass(frozen=True, slots=True)
class CloseComplete(BackendMessage):
    """Close is done."""

    code: ClassVar[int] = ord("3")


@dataclass(frozen=True, slots=True)
class NoData(BackendMessage):
    """What was described returns no rows."""

    code: ClassVar[int] = ord("n")


@dataclass(frozen=True, slots=True)
class PortalSuspended(BackendMessage):
    """Execute stopped at its row limit; the portal may have more."""

    code: ClassVar[int] = ord("s")


@dataclass(frozen=True, slots=True)
class EmptyQueryResponse(BackendMessage):
    """The text held no statement."""

    code: ClassVar[int] = ord("I")


@dataclass(frozen=True, slots=True)
class CommandComplete(BackendMessage):
    """A statement is done; the tag says which and how many rows."""

    code: ClassVar[int] = ord("C")
    tag: str

    def _body(self) -> bytes:
        return encode_text(self.tag)

    @classmethod
    def _read(cls, reader: Reader) -> Self:
        return cls(reader.string())


@dataclass(frozen=True, slots=True)
class _Report(BackendMessage):
    fields: Mapping[str, str]

    def _body(self) -> bytes:
        return b"".join(map(encode_text, starmap(add, self.fields.items()))) + b"\0"

    @classmethod
    def _read(cls, reader: Reader) -> Self:
        fields: dict[str, str] = {}
        while code := reader.byte():
            fields[chr(code)] = reader.string()
        return cls(fields)


@dataclass(frozen=True, slots=True)
class ErrorResponse(_Report):
    """Something failed: its fields by their one-letter code."""

    code: ClassVar[int] = ord("E")


@dataclass(frozen=True, slots=True)
class NoticeResponse(_Report):
    """Something worth saying that failed nothing: its fields by their one-letter code."""

    code: ClassVar[int] = ord("N")


@dataclass(frozen=True, slots=True)
class NotificationResponse(BackendMessage):
    """A NOTIFY of another session."""

    code: ClassVar[int] = ord("A")
    process_id: int
    channel: str
    payload: str

    def _body(self) -> bytes:
        names = encode_text(self.channel) + encode_text(self.payload)
        return INT32.pack(self.process_id) + names

    @classmethod
    def _read(cls, reader: Reader) -> Self:
        return cls(reader.int32(), reader.string(), reader.string())


@dataclass(frozen=True, slots=True)
class FunctionCallResponse(BackendMessage):
    """The result of a FunctionCall."""

    code: ClassVar[int] = ord("V")
    value: Value

    def _body(self) -> bytes:
        return encode_value(self.value)

    @classmethod
    def _read(cls, reader: Reader) -> Self:
        return cls(reader.value())


@dataclass(frozen=True, slots=True)
class _CopyStart(BackendMessage):
    format: int
    column_formats: tuple[int, ...]

    def _body(self) -> bytes:
        return bytes((self.format,)) + encode_formats(self.column_formats)

    @classmethod
    def _read(cls, reader: Reader) -> Self:
        return cls(reader.byte(), reader.formats())


@dataclass(frozen=True, slots=True)
class CopyOutResponse(_CopyStart):
    """COPY TO STDOUT begins; CopyData follows. Formats: overall, then one per column."""

    code: ClassVar[int] = ord("H")


@dataclass(frozen=True, slots=True)
class CopyInResponse(_CopyStart):
    """COPY FROM STDIN begins; the server waits for CopyData. Formats as in CopyOutResponse."""

    code: ClassVar[int] = ord("G")


@dataclass(frozen=True, slots=True)
class CopyData(BackendMessage):
    """A piece of COPY TO STDOUT."""

    code: ClassVar[int] = ord("d")
    data: bytes

    def _body(self) -> bytes:
        return self.data

    @classmethod
    def _read(cls, reader: Reader) -> Self:
        return cls(reader.rest())


@dataclass(frozen=True, slots=True)
class CopyDone(BackendMessage):
    """The end of COPY TO STDOUT."""

    code: ClassVar[int] = ord("c")


_STEPS: tuple[type[Authentication], ...] = (
    AuthenticationOk,
    AuthenticationCleartextPassword,
    AuthenticationSASL,
    AuthenticationSASLContinue,
    AuthenticationSASLFinal,
)
AUTHENTICATIONS: Mapping[int, type[Authentication]] = {message.step: message for message in _STEPS}
"""The messages of type ``R`` by their step."""

MESSAGES: Mapping[int, type[BackendMessage]] = {
    message.code: message
    for message in (
        BackendKeyData,
        BindComplete,
        CloseComplete,
        CommandComplete,
        CopyData,
        CopyDone,
        CopyInResponse,
        CopyOutResponse,
        DataRow,
        EmptyQueryResponse,
        ErrorResponse,
        FunctionCallResponse,
        NegotiateProtocolVersion,
        NoData,
        NoticeResponse,
        NotificationResponse,
        ParameterDescription,
        ParameterStatus,
        ParseComplete,
        PortalSuspended,
        ReadyForQuery,
        RowDescription,
    )
}
"""Every other message, by its type byte."""


def decode_message(code: int, body: bytes) -> BackendMessage:
    """Read the message of this type byte. An unknown one is a ProtocolViolation."""
    if code == AUTHENTICATION:
        step = Reader(body).int32()
        authentication = AUTHENTICATIONS.get(step)
        if authentication is None:
            raise ProtocolViolation("0A000", f"unsupported authentication method {step}")
        return authentication.decode(body)
    message = MESSAGES.get(code)
    if message is None:
        raise ProtocolViolation("08P01", f"invalid backend message type {code}")
    return message.decode(body)
