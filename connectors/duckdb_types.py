"""DuckDB's types as PostgreSQL's, and parameters as the values its driver binds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal

from connectors.base import Parameter
from connectors.errors import WarehouseError

_TYPES = {
    "BOOLEAN": "bool",
    "TINYINT": "int2",
    "UTINYINT": "int2",
    "SMALLINT": "int2",
    "USMALLINT": "int4",
    "INTEGER": "int4",
    "UINTEGER": "int8",
    "BIGINT": "int8",
    "UBIGINT": "numeric",
    "HUGEINT": "numeric",
    "UHUGEINT": "numeric",
    "BIGNUM": "numeric",
    "FLOAT": "float4",
    "DOUBLE": "float8",
    "VARCHAR": "text",
    "BLOB": "bytea",
    "DATE": "date",
    "TIME": "time",
    "TIME_NS": "time",
    "TIME WITH TIME ZONE": "timetz",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP_S": "timestamp",
    "TIMESTAMP_MS": "timestamp",
    "TIMESTAMP_NS": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamptz",
    "TIMESTAMPTZ_NS": "timestamptz",
    "INTERVAL": "interval",
    "UUID": "uuid",
    "JSON": "json",
}
_DECIMAL = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")
_ARRAY_SUFFIX = re.compile(r"(\[\d*\])+$")
_NESTED = ("STRUCT(", "MAP(", "UNION(", "VARIANT")


def postgres_type(duckdb_type: str) -> tuple[str, int]:
    """``pg_type.typname`` and type modifier for a type as DuckDB writes it.

    Struct, map, union and variant stand as json; enum and what PostgreSQL has nothing for, as text.
    A list of lists is an array of the innermost type, as in PostgreSQL.
    """
    if duckdb_type.startswith(_NESTED) and _ARRAY_SUFFIX.search(duckdb_type) is None:
        return "json", -1
    suffix = _ARRAY_SUFFIX.search(duckdb_type)
    if suffix is not None:
        element, modifier = postgres_type(duckdb_type[: suffix.start()])
        return f"_{element}", modifier
    decimal = _DECIMAL.fullmatch(duckdb_type)
    if decimal is not None:
        # (precision << 16 | scale) + VARHDRSZ, which is 4; PostgreSQL's utils/adt/numeric.c
        return "numeric", (int(decimal[1]) << 16 | int(decimal[2])) + 4
    return _TYPES.get(duckdb_type, "text"), -1


_FIXED_ZONE = re.compile(r"<([+-]\d{2})(?::?(\d{2}))?>[+-]\d{2}(?::\d{2})?")


def duckdb_time_zone(name: str) -> str:
    """DuckDB's name of a PostgreSQL time zone.

    Both read the IANA names. ``SET TIME ZONE 2`` leaves ``<+02>-02`` in PostgreSQL, which IANA's
    names write as ``Etc/GMT-2``.
    """
    match = _FIXED_ZONE.fullmatch(name)
    if match is None:
        return name
    hours = int(match[1])
    if match[2] not in (None, "00") or not -12 <= hours <= 14:
        raise WarehouseError(
            "22023",
            f'time zone "{name}" cannot be used with this data source',
            hint="Use the name of a time zone, such as Asia/Kolkata.",
            reached=False,
        )
    return f"Etc/GMT{-hours:+d}" if hours else "Etc/UTC"


# What DuckDB's DECIMAL holds; a longer number is bound as its text and cast by the statement.
_DECIMAL_DIGITS = 38


def bound_values(parameters: Sequence[Parameter]) -> list[object]:
    """The parameters as Python values that DuckDB binds; the statement casts each to its type."""
    return [
        _bound(parameter.value, parameter.type_name.removeprefix("_")) for parameter in parameters
    ]


def _bound(value: object, type_name: str) -> object:
    if isinstance(value, list | tuple):
        return [_bound(item, type_name) for item in value]
    if isinstance(value, str) and type_name == "interval":
        return _interval_text(value)
    if isinstance(value, Decimal):
        _, digits, exponent = value.as_tuple()
        if (
            not isinstance(exponent, int)
            or max(len(digits), len(digits) + exponent, -exponent) > _DECIMAL_DIGITS
        ):
            return str(value)
    return value


_INTERVAL_PART = re.compile(
    r"(?P<count>[+-]?\d+) (?P<unit>year|mon|day)s?"
    r"|(?P<sign>[+-])?(?P<hours>\d+):(?P<minutes>\d\d):(?P<seconds>\d\d(?:\.\d{1,6})?)"
)
_MICROSECOND = Decimal(1_000_000)


def _interval_text(text: str) -> str:
    """An interval as DuckDB reads it, from PostgreSQL's text of it (IntervalStyle postgres).

    DuckDB's cast knows no plus signs and no sign of a time of day. Another text is left as it is.
    """
    months = days = microseconds = 0
    position = 0
    while position < len(text):
        part = _INTERVAL_PART.match(text, position)
        if part is None:
            return text
        if part["unit"] == "day":
            days += int(part["count"])
        elif part["unit"] is not None:
            months += int(part["count"]) * (12 if part["unit"] == "year" else 1)
        else:
            seconds = (
                Decimal(part["seconds"]) + 60 * int(part["minutes"]) + 3600 * int(part["hours"])
            )
            microseconds += int(seconds * _MICROSECOND) * (-1 if part["sign"] == "-" else 1)
        position = part.end() + 1
    return f"{months} months {days} days {microseconds} microseconds"
