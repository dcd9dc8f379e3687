"""Messages a client sends, named and laid out as in the manual ("Message Formats", direction F).

Each is a frozen value: ``encode()`` gives the whole message, ``decode(body)`` reads what follows
the length field. A body that does not fit raises ProtocolViolation in the words of PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

from proxy.wire.codec import (
    INT16,
    INT32,
    STARTUP_HEADER,
    UINT32,
    Reader,
    Value,
    decode_text,
    encode_formats,
    encode_oids,
    encode_text,
    encode_value,
    encode_values,
    insufficient_data,
    invalid_format,
    invalid_string,
)
from proxy.wire.errors import ProtocolViolation
from proxy.wire.message import Message

PROTOCOL_MAJOR = 3
NEWEST_MINOR = 2
SHORT_KEY = 4
LONGEST_KEY = 256
"""Bytes of a cancel key: 4 in protocol 3.0, up to 256 in 3.2."""


class FrontendMessage(Message):
    """A message of the client."""

    __slots__ = ()


class Opening(FrontendMessage):
    """A message that opens a connection: a length, then a version number where others have a type.

    Attributes:
        version: the version's two halves; those of requests are no version of the protocol.
    """

    __slots__ = ()
    version: ClassVar[tuple[int, int]] = (PROTOCOL_MAJOR, NEWEST_MINOR)

    def encode(self) -> bytes:
        """The whole message, which has no type byte."""
        body = self._body()
        return STARTUP_HEADER.pack(len(body) + 8, *self._version()) + body

    def _version(self) -> tuple[int, int]:
        return self.version


@dataclass(frozen=True, slots=True)
class StartupMessage(Opening):
    """Opens a session: protocol version and parameters (``user``, ``database``, settings)."""

    major: int
    minor: int
    parameters: Mapping[str, str]

    def _version(self) -> tuple[int, int]:
        return self.major, self.minor

    def _body(self) -> bytes:
        pairs = [encode_text(part) for pair in self.parameters.items() for part in pair]
        return b"".join(pairs) + b"\0"

    @classmethod
    def _read(cls, reader: Reader) -> Self:
        major, minor = reader.uint16(), reader.uint16()
        parameters: dict[str, str] = {}
        try:
            while name := reader.string():
                parameters[name] = reader.string()
            reader.end()
        except ProtocolViolation as violation:
            if violation.sqlstate != "08P01":
                raise
            message = "invalid startup packet layout: expected terminator as last byte"
            raise ProtocolViolation("08P01", message) from None
        return cls(major, minor, parameters)

    @property
    def unknown_options(self) -> tuple[str, ...]:
        """Protocol options of the client (``_pq_.`` names), none of which this server knows."""
        return tuple(name for name in self.parameters if name.startswith("_pq_."))


@dataclass(frozen=True, slots=True)
class SSLRequest(Opening):
    """Asks for TLS; answered by one byte, ``S`` or ``N``."""

    version: ClassVar[tuple[int, int]] = (1234, 5679)

    @classmethod
    def _read(cls, reader: Reader) -> Self:
        reader.raw(4)
        return cls()


@dataclass(frozen=True, slots=True)
class GSSENCRequest(Opening):
    """Asks for GSSAPI encryption; answered by one byte, ``G`` or ``N``."""

    version: ClassVar[tuple[int, int]] = (1234, 5680)

    @classmethod
    def _read(cls, reader: Reader) -> Self:
        reader.raw(4)
        return cls()


@dataclass(frozen=True, slots=True)
class CancelRequest(Opening):
    """Asks, on a connection of its own and without an answer, to cancel another one's statement."""

    version: ClassVar[tuple[int, int]] = (1234, 5678)
    process_id: int
    secret_key: bytes

    def _body(self) -> bytes:
        return INT32.pack(self.process_id) + self.secret_key

    @classmethod
    def _read(cls, reader: Reader) -> Self:
        reader.raw(4)
        process_id = reader.int32()
        key = reader.rest()
        if not SHORT_KEY <= len(key) <= LONGEST_KEY:
            raise ProtocolViolation("08P01", "invalid length of cancel request packet")
        return cls(process_id, key)


@dataclass(frozen=True, slots=True)
class AuthenticationResponse(FrontendMessage):
    """Any ``p`` message, undecoded: what it holds depends on what the server asked for last."""

    code: ClassVar[int] = ord("p")
    body: bytes

    def _body(self) -> bytes:
        return self.body

    @classmethod
    def _read(cls, reader: Reader) -> Self:
        return cls(reader.rest())


class _Answer(FrontendMessage):
    __slots__ = ()
    code: ClassVar[int] = AuthenticationResponse.code

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Read the body of an AuthenticationResponse. As in PostgreSQL a fault in it is fatal."""
        try:
            return cls.decode(body)
        except ProtocolViolation as violation:
            raise ProtocolViolation(violation.sqlstate, violation.message, fatal=True) from None


@dataclass(frozen=True, slots=True)
class PasswordMessage(_Answer):
    """The ``p`` message that answers AuthenticationCleartextPassword."""

    password: str

    def _body(self) -> bytes:
        return encode_text(self.password)

    @classmethod
    def _read(cls, reader: Reader) -> Self:
        return cls(reader.string())


@dataclass(frozen=True, slots=True)
class SASLInitialResponse(_Answer):
    """The ``p`` message that picks a SASL mechanism; ``data`` is None where there is none."""

    mechanism: str
    data: Value

    def _body(self) -> bytes:
        return encode_text(self.mechanism) + encode_value(self.data)

    @classmethod
    def _read(cls, reader: Reader) -> Self:
        return cls(reader.string(), reader.value())


@dataclass(frozen=True, slots=True)
class SASLResponse(_Answer):
    """The ``p`` message that carries a further SASL step."""

    data: bytes

    def _body(self) -> bytes:
        return self.data

    @classmethod
    def _read(cls, reader: Reader) -> Self:
        return cls(reader.rest())


@dataclass(frozen=True, slots=True)
class Query(FrontendMessage):
    """A simple query: any number of statements in one text."""

    code: ClassVar[int] = ord("Q")
    sql: str

    def _body(self) -> bytes:
        return encode_text(self.sql)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """As `Message.decode`, without a reader for the strings."""
        end = body.find(0)
        if end < 0:
            raise invalid_string()
        sql = decode_text(body[:end])
        if end != len(body) - 1:
            raise invalid_format()
        return cls(sql)


def _two_strings(body: bytes) -> tuple[str, str, int]:
    """The strings that Parse and Bind begin with, and the offset behind them.

    The first is decoded before the second is looked for: which fault of two is named matters.
    """
    first_end = body.find(0)
    if first_end < 0:
        raise invalid_string()
    first = decode_text(body[:first_end])
    second_end = body.find(0, first_end + 1)
    if second_end < 0:
        raise invalid_string()
    return first, decode_text(body[first_end + 1 : second_end]), second_end + 1


@dataclass(frozen=True, slots=True)
class Parse(FrontendMessage):
    """Makes a prepared statement. A parameter OID of 0 leaves that type to the server."""

    code: ClassVar[int] = ord("P")
    statement: str
    query: str
    parameter_oids: tuple[int, ...] = ()

    def _body(self) -> bytes:
        names = encode_text(self.statement) + encode_text(self.query)
        return names + encode_oids(self.parameter_oids)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """As `Message.decode`, without a reader for the strings."""
        statement, query, end = _two_strings(body)
        if body[end:] == b"\0\0":
            return cls(statement, query)
        reader = Reader(body)
        reader.offset = end
        oids = reader.oids()
        reader.end()
        return cls(statement, query, oids)


@dataclass(frozen=True, slots=True)
class Bind(FrontendMessage):
    """Makes a portal of a prepared statement and parameter values.

    Formats are 0 (text) or 1 (binary): none means all text, one is for all, else one each.
    """

    code: ClassVar[int] = ord("B")
    portal: str
    statement: str
    parameter_formats: tuple[int, ...] = ()
    parameters: tuple[Value, ...] = ()
    result_formats: tuple[int, ...] = ()

    def _body(self) -> bytes:
        body = (
            encode_text(self.portal),
            encode_text(self.statement),
            encode_formats(self.parameter_formats),
            encode_values(self.parameters),
            encode_formats(self.result_formats),
        )
        return b"".join(body)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """As `Message.decode`, without a reader for the strings."""
        portal, statement, end = _two_strings(body)
        reader = Reader(body)
        reader.offset = end
        formats = reader.formats()
        parameters = reader.values()
        if len(formats) > 1 and len(formats) != len(parameters):
            message = (
                f"bind message has {len(formats)} parameter formats"
                f" but {len(parameters)} parameters"
            )
            raise ProtocolViolation("08P01", message)
        result_formats = reader.formats()
        reader.end()
        return cls(portal, statement, formats, parameters, result_formats)


Target = Literal["S", "P"]
"""What Describe and Close name: a prepared statement or a portal."""


@dataclass(frozen=True, slots=True)
class _Targeted(FrontendMessage):
    kind: Target
    name: str

    def _body(self) -> bytes:
        return self.kind.encode() + encode_text(self.name)

    @classmethod
    def _read(cls, reader: Reader) -> Self:
        kind, name = reader.byte(), reader.string()
        reader.end()
        if kind not in b"SP":
            message = f"invalid {cls.__name__.upper()} message subtype {kind}"
            raise ProtocolViolation("08P01", message)
        return cls("S" if kind == 83 else "P", name)


@dataclass(frozen=True, slots=True)
class Describe(_Targeted):
    """Asks for the types of a statement (kind ``S``) or the columns of a portal (``P``)."""

    code: ClassVar[int] = ord("D")


@dataclass(frozen=True, slots=True)
class Execute(FrontendMessage):
    """Runs a portal. ``max_rows`` of zero or less asks for all of them."""

    code: ClassVar[int] = ord("E")
    portal: str
    max_rows: int = 0

    def _body(self) -> bytes:
        return encode_text(self.portal) + INT32.pack(self.max_rows)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """As `Message.decode`, without a reader for the strings."""
        end = body.find(0)
        if end < 0:
            raise invalid_string()
        portal = decode_text(body[:end])
        if len(body) != end + 5:
            raise insufficient_data() if len(body) < end + 5 else invalid_format()
        return cls(portal, INT32.unpack_from(body, end + 1)[0])


@dataclass(frozen=True, slots=True)
class Close(_Targeted):
    """Drops a prepared statement (kind ``S``) or a portal (``P``); unknown names are no error."""

    code: ClassVar[int] = ord("C")


@dataclass(frozen=True, slots=True)
class Flush(FrontendMessage):
    """Asks for the answers so far, without ending the sequence."""

    code: ClassVar[int] = ord("H")


@dataclass(frozen=True, slots=True)
class Sync(FrontendMessage):
    """Ends a sequence of extended messages; answered by ReadyForQuery."""

    code: ClassVar[int] = ord("S")


@dataclass(frozen=True, slots=True)
class Terminate(FrontendMessage):
    """Says goodbye. PostgreSQL does not look at its body, nor do we."""

    code: ClassVar[int] = ord("X")

    @classmethod
    def _read(cls, reader: Reader) -> Self:
        reader.rest()
        return cls()


@dataclass(frozen=True, slots=True)
class FunctionCall(FrontendMessage):
    """Calls a function by its OID (the "fast path")."""

    code: ClassVar[int] = ord("F")
    function_oid: int
    argument_formats: tuple[int, ...] = ()
    arguments: tuple[Value, ...] = ()
    result_format: int = 0

    def _body(self) -> bytes:
        body = (
            UINT32.pack(self.function_oid),
            encode_formats(self.argument_formats),
            encode_values(self.arguments),
            INT16.pack(self.result_format),
        )
        return b"".join(body)

    @classmethod
    def _read(cls, reader: Reader) -> Self:
        return cls(reader.uint32(), reader.formats(), reader.values(), reader.int16())


@dataclass(frozen=True, slots=True)
class CopyData(FrontendMessage):
    """A piece of COPY FROM STDIN."""

    code: ClassVar[int] = ord("d")
    data: bytes

    def _body(self) -> bytes:
        return self.data

    @classmethod
    def _read(cls, reader: Reader) -> Self:
        return cls(reader.rest())


@dataclass(frozen=True, slots=True)
class CopyDone(FrontendMessage):
    """The end of COPY FROM STDIN."""

    code: ClassVar[int] = ord("c")


@dataclass(frozen=True, slots=True)
class CopyFail(FrontendMessage):
    """The client gives COPY FROM STDIN up, and why."""

    code: ClassVar[int] = ord("f")
    message: str

    def _body(self) -> bytes:
        return encode_text(self.message)

    @classmethod
    def _read(cls, reader: Reader) -> Self:
        return cls(reader.string())


REQUESTS: Mapping[tuple[int, int], type[Opening]] = {
    message.version: message for message in (SSLRequest, GSSENCRequest, CancelRequest)
}
"""Messages without a type byte other than StartupMessage, by their version number."""

MESSAGES: Mapping[int, type[FrontendMessage]] = {
    message.code: message
    for message in (
        AuthenticationResponse,
        Query,
        Parse,
        Bind,
        Describe,
        Execute,
        Close,
        Flush,
        Sync,
        Terminate,
        FunctionCall,
        CopyData,
        CopyDone,
        CopyFail,
    )
}
"""Every message with a type byte, by that byte."""
