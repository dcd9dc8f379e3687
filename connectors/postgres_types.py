"""PostgreSQL's types: names by OID, parameters as text, Arrow types of columns."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from decimal import Decimal

import psycopg.postgres
import pyarrow as pa

from connectors.base import Parameter
from connectors.errors import checked_text

# Types whose OID is below this are the same in every PostgreSQL (FirstNormalObjectId).
FIRST_USER_OID = 16384

TEXT = "text"

_REGISTRY = psycopg.postgres.types
_NAMES: dict[int, str] = {}
for _info in _REGISTRY:
    _NAMES[_info.oid] = _info.name
    if _info.array_oid:
        _NAMES[_info.array_oid] = f"_{_info.name}"
_OIDS = {name: oid for oid, name in _NAMES.items()}

# Types read in binary, with their Arrow type. All others are read as their text.
BINARY_TYPES: dict[str, pa.DataType] = {
    "bool": pa.bool_(),
    "int2": pa.int16(),
    "int4": pa.int32(),
    "int8": pa.int64(),
    "float4": pa.float32(),
    "float8": pa.float64(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", "UTC"),
    "interval": pa.month_day_nano_interval(),
    "bytea": pa.binary(),
}


def type_name(oid: int) -> str:
    """``pg_type.typname`` of a built-in type; text for what the warehouse has added itself.

    A type of the warehouse's own (an enum, citext, a composite) is unknown to a client, and its
    text is what can be shown of it.
    """
    return _NAMES.get(oid, TEXT) if oid < FIRST_USER_OID else TEXT


def arrow_type(name: str, time_zone: str) -> pa.DataType:
    """The Arrow type that stands for a column of this type."""
    if name.startswith("_"):
        return pa.list_(pa.field("item", arrow_type(name[1:], time_zone)))
    if name == "timestamptz":
        return pa.timestamp("us", time_zone)
    return BINARY_TYPES.get(name, pa.string())


def is_binary(name: str) -> bool:
    """Whether columns of this type are asked for in binary."""
    return name.removeprefix("_") in BINARY_TYPES


def parameter_oids(parameters: Sequence[Parameter]) -> list[int]:
    """The types to announce in Parse; 0 leaves the choice to the server."""
    return [_OIDS.get(parameter.type_name, 0) for parameter in parameters]


def parameter_texts(parameters: Sequence[Parameter]) -> list[bytes | None]:
    """The values in text format, as Bind sends them."""
    values: list[bytes | None] = []
    for parameter in parameters:
        if parameter.value is None:
            values.append(None)
            continue
        values.append(checked_text(value_text(parameter.value)))
    return values


def value_text(value: object) -> str:
    """A value as PostgreSQL's input functions read it."""
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return "\\x" + bytes(value).hex()
    if isinstance(value, float):
        return repr(value).replace("inf", "Infinity").replace("nan", "NaN")
    if isinstance(value, Decimal):
        return str(value).replace("sNaN", "NaN")
    if isinstance(value, list | tuple):
        return "{" + ",".join(_element(item) for item in value) + "}"
    if isinstance(value, datetime.date | datetime.time | datetime.datetime):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        seconds = value.seconds + value.microseconds / 1_000_000
        return f"{value.days} days {seconds:f} seconds"
    return str(value)


def _element(value: object) -> str:
    if value is None:
        return "NULL"
    text = value_text(value)
    if isinstance(value, list | tuple):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
