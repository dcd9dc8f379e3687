"""Protocol messages as lines of text and back: what wire scripts are written in."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping

from proxy.wire import backend, frontend
from proxy.wire.backend import BackendMessage
from proxy.wire.frontend import FrontendMessage
from proxy.wire.oids import BY_OID, TYPES

FRONTEND: Mapping[str, type[FrontendMessage]] = {
    message.__name__: message for message in frontend.MESSAGES.values()
}
BACKEND: Mapping[str, type[BackendMessage]] = {
    message.__name__: message
    for message in (*backend.MESSAGES.values(), *backend.AUTHENTICATIONS.values())
}

SHOWN_FIELDS = "SCMDHP"
"""Fields of an error both servers must agree on; the rest tells of PostgreSQL's own sources."""

BYTES_FIELDS = frozenset({"data", "values", "value", "parameters", "arguments"})


class LineError(ValueError):
    """A line of a script that means nothing."""


def show_bytes(raw: bytes | None) -> object:
    """Text as it is where it is printable UTF-8, else an object with hexadecimal digits."""
    if raw is None:
        return None
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return {"hex": raw.hex()}
    return text if all(c.isprintable() or c in "\n\t" for c in text) else {"hex": raw.hex()}


def read_bytes(shown: object) -> bytes | None:
    """The inverse of `show_bytes`."""
    if shown is None:
        return None
    if isinstance(shown, str):
        return shown.encode()
    if isinstance(shown, dict) and set(shown) == {"hex"}:
        return bytes.fromhex(shown["hex"])
    raise LineError(f"neither text, null nor {{'hex': ...}}: {shown!r}")


def _type_name(oid: int) -> object:
    return BY_OID[oid].name if oid in BY_OID else oid


def _type_oid(shown: object) -> int:
    return TYPES[shown].oid if isinstance(shown, str) else int(str(shown))


def _show_field(field: backend.FieldDescription) -> dict[str, object]:
    """A column; what is as one would think is left out. Table and attribute never show: the
    server says 0 there where PostgreSQL names a table (architecture.md)."""
    shown: dict[str, object] = {"name": field.name, "type": _type_name(field.type_oid)}
    known = BY_OID.get(field.type_oid)
    if known is None or known.size != field.type_size:
        shown["size"] = field.type_size
    if field.type_modifier != -1:
        shown["modifier"] = field.type_modifier
    if field.format:
        shown["format"] = field.format
    return shown


def show(message: BackendMessage, *, errors: str = "full") -> str:
    """One line of JSON. ``errors="code"`` leaves only severity and SQLSTATE of an error."""
    shown: dict[str, object] = {"type": type(message).__name__}
    if isinstance(message, backend.RowDescription):
        shown["fields"] = [_show_field(field) for field in message.fields]
    elif isinstance(message, backend.ParameterDescription):
        shown["types"] = [_type_name(oid) for oid in message.oids]
    elif isinstance(message, backend.ErrorResponse | backend.NoticeResponse):
        letters = "SC" if errors == "code" else SHOWN_FIELDS
        shown |= {code: message.fields[code] for code in letters if code in message.fields}
    elif isinstance(message, backend.DataRow):
        shown["values"] = [show_bytes(value) for value in message.values]
    else:
        for field in dataclasses.fields(message):  # type: ignore[arg-type]
            value = getattr(message, field.name)
            if isinstance(value, bytes):
                value = show_bytes(value)
            shown[field.name] = value
    return json.dumps(shown, ensure_ascii=False)


def parse_message(line: str) -> FrontendMessage:
    """A message name, then its fields as JSON unless it has none."""
    name, _, rest = line.strip().partition(" ")
    if name not in FRONTEND:
        raise LineError(f"unknown message {name!r}")
    given = json.loads(rest) if rest else {}
    kind = FRONTEND[name]
    known = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    if not set(given) <= known:
        raise LineError(f"{name} has no field {sorted(set(given) - known)}")
    for key, value in given.items():
        if key == "parameter_oids":
            given[key] = tuple(_type_oid(item) for item in value)
        elif isinstance(value, list):
            convert = read_bytes if key in BYTES_FIELDS else int
            given[key] = tuple(convert(item) for item in value)
        elif key in BYTES_FIELDS:
            given[key] = read_bytes(value)
    return kind(**given)
