"""The client's side of the protocol, as bytes: what the catalog sends to its PostgreSQL.

Only messages of the manual's chapter "Message Formats" that the catalog needs. Answers are read in
``connection`` without decoding rows.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

PROTOCOL_VERSION = 196608
CANCEL_CODE = 80877102
SSL_CODE = 80877103

_INT16 = struct.Struct("!h")
_UINT16 = struct.Struct("!H")
_INT32 = struct.Struct("!i")
_UINT32 = struct.Struct("!I")

SYNC = b"S\x00\x00\x00\x04"
TERMINATE = b"X\x00\x00\x00\x04"
DESCRIBE_STATEMENT = b"D\x00\x00\x00\x06S\x00"
DESCRIBE_PORTAL = b"D\x00\x00\x00\x06P\x00"
EXECUTE = b"E\x00\x00\x00\x09\x00\x00\x00\x00\x00"
"""Execute of the unnamed portal without a row limit."""

COPY_FAIL = b"f\x00\x00\x00\x0c" + b"refused\x00"
COPY_DONE = b"c\x00\x00\x00\x04"


def message(kind: bytes, body: bytes) -> bytes:
    """A message with its type byte and length."""
    return kind + _INT32.pack(len(body) + 4) + body


def text(value: str) -> bytes:
    """A zero-terminated string. The value has no zero byte (callers have refused those)."""
    return value.encode() + b"\x00"


def startup(parameters: Mapping[str, str]) -> bytes:
    """StartupMessage of protocol 3.0."""
    pairs = b"".join(text(name) + text(value) for name, value in parameters.items())
    body = _INT32.pack(PROTOCOL_VERSION) + pairs + b"\x00"
    return _INT32.pack(len(body) + 4) + body


def ssl_request() -> bytes:
    """SSLRequest."""
    return _INT32.pack(8) + _INT32.pack(SSL_CODE)


def cancel_request(process_id: int, secret_key: bytes) -> bytes:
    """CancelRequest, sent on a connection of its own."""
    body = _INT32.pack(CANCEL_CODE) + _INT32.pack(process_id) + secret_key
    return _INT32.pack(len(body) + 4) + body


def query(sql: str) -> bytes:
    """Query (simple protocol)."""
    return message(b"Q", text(sql))


def parse(sql: str, parameter_oids: Sequence[int]) -> bytes:
    """Parse into the unnamed statement."""
    oids = b"".join(_UINT32.pack(oid) for oid in parameter_oids)
    return message(b"P", b"\x00" + text(sql) + _UINT16.pack(len(parameter_oids)) + oids)


def bind(
    parameter_formats: Sequence[int],
    parameters: Sequence[bytes | None],
    result_formats: Sequence[int],
    portal: str = "",
) -> bytes:
    """Bind the unnamed statement to a portal."""
    parts = [text(portal) + b"\x00", _UINT16.pack(len(parameter_formats))]
    parts += [_INT16.pack(code) for code in parameter_formats]
    parts.append(_UINT16.pack(len(parameters)))
    for value in parameters:
        if value is None:
            parts.append(b"\xff\xff\xff\xff")
        else:
            parts += [_INT32.pack(len(value)), value]
    parts.append(_UINT16.pack(len(result_formats)))
    parts += [_INT16.pack(code) for code in result_formats]
    return message(b"B", b"".join(parts))


def describe_portal(portal: str) -> bytes:
    """Describe of a portal."""
    return message(b"D", b"P" + text(portal))


def execute(portal: str, rows: int) -> bytes:
    """Execute of a portal, at most so many rows; 0 for all."""
    return message(b"E", text(portal) + _INT32.pack(rows))


def close_portal(portal: str) -> bytes:
    """Close of a portal."""
    return message(b"C", b"P" + text(portal))


def fields_of(body: bytes) -> dict[str, str]:
    """The fields of an ErrorResponse or NoticeResponse by their one-letter codes."""
    fields: dict[str, str] = {}
    for part in body.split(b"\x00"):
        if part:
            fields[chr(part[0])] = part[1:].decode(errors="replace")
    return fields


def parameter_oids_of(body: bytes) -> tuple[int, ...]:
    """The types of a ParameterDescription."""
    (count,) = _UINT16.unpack_from(body, 0)
    return struct.unpack_from(f"!{count}I", body, 2)


def literal(value: str) -> str:
    """A string literal that reads the same whatever standard_conforming_strings is."""
    return "E'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def identifier(name: str) -> str:
    """A quoted identifier."""
    return '"' + name.replace('"', '""') + '"'
