"""MySQL's types: what stands for them in PostgreSQL and Arrow, and parameters as they are sent."""

from __future__ import annotations

import datetime
import math
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

import pyarrow as pa

from connectors.base import WAREHOUSE_TYPE, Parameter
from connectors.errors import WarehouseError, checked_text
from connectors.mysql_packets import Field, Value, length_encoded

# MYSQL_TYPE_* of include/mysql_com.h (enum_field_types).
DECIMAL, TINY, SHORT, LONG, FLOAT, DOUBLE, NULL, TIMESTAMP, LONGLONG, INT24 = range(10)
DATE, TIME, DATETIME, YEAR = 10, 11, 12, 13
VARCHAR, BIT, JSON, NEWDECIMAL, ENUM, SET = 15, 16, 245, 246, 247, 248
TINY_BLOB, MEDIUM_BLOB, LONG_BLOB, BLOB, VAR_STRING, STRING = 249, 250, 251, 252, 253, 254

_TEXTS = {VARCHAR, ENUM, SET, TINY_BLOB, MEDIUM_BLOB, LONG_BLOB, BLOB, VAR_STRING, STRING}
_BYTES_CHARSET = 63

_INTEGERS = {
    (TINY, False): "int2",
    (TINY, True): "int2",
    (SHORT, False): "int2",
    (SHORT, True): "int4",
    (INT24, False): "int4",
    (INT24, True): "int4",
    (LONG, False): "int4",
    (LONG, True): "int8",
    (LONGLONG, False): "int8",
    (LONGLONG, True): "numeric",
}
_OTHERS = {
    FLOAT: "float4",
    DOUBLE: "float8",
    DATE: "date",
    DATETIME: "timestamp",
    TIMESTAMP: "timestamptz",
    TIME: "time",
    YEAR: "int2",
    NULL: "text",
    JSON: "json",
}
_ARROW = {
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
    "bytea": pa.binary(),
    "text": pa.string(),
    "json": pa.string(),
}
UNSIGNED_BIGINT_DIGITS = 20
_DECIMAL128_DIGITS = 38


@dataclass(frozen=True, slots=True)
class ColumnType:
    """What stands for a column: ``pg_type.typname``, digits of a numeric, whether all is NULL."""

    name: str
    precision: int = 0
    scale: int = 0
    is_null: bool = False

    @property
    def modifier(self) -> int:
        """The type modifier; numeric's as in PostgreSQL's utils/adt/numeric.c."""
        return (self.precision << 16 | self.scale) + 4 if self.precision else -1

    @property
    def arrow(self) -> pa.DataType:
        """The Arrow type of its batches."""
        if self.name != "numeric":
            return _ARROW[self.name]
        if self.precision > _DECIMAL128_DIGITS:
            return pa.string()  # its text, as the server sends it
        return pa.decimal128(self.precision, self.scale)

    def field(self, name: str) -> pa.Field:
        """A column of its batches."""
        return pa.field(name, self.arrow, metadata={WAREHOUSE_TYPE: self.name})


def column_type(field: Field) -> ColumnType:
    """The type that stands for a column. Raises WarehouseError (0A000) where none is exact."""
    code = field.type_code
    if code in (TINY, BIT) and field.length == 1 and not (field.unsigned and code == TINY):
        return ColumnType("bool")
    if code in (DECIMAL, NEWDECIMAL):
        # How long its text can be: digits, a point, and a sign.
        precision = field.length - (field.decimals > 0) - (not field.unsigned)
        return ColumnType("numeric", max(precision, field.decimals, 1), field.decimals)
    if code in _TEXTS:
        return ColumnType("bytea" if field.charset == _BYTES_CHARSET else "text")
    name = _INTEGERS.get((code, field.unsigned)) or _OTHERS.get(code)
    if name is None:
        kind = "BIT" if code == BIT else f"type {code}"
        raise WarehouseError(
            "0A000",
            f'column "{field.name}" is of a type that PostgreSQL has no counterpart for: {kind}',
            hint="Leave the column out, or convert it in the model's SQL.",
        )
    if name == "numeric":
        return ColumnType(name, UNSIGNED_BIGINT_DIGITS)
    return ColumnType(name, is_null=code == NULL)


def converted(kind: ColumnType, announced: str) -> ColumnType:
    """What stands for a column that is announced as a type, whatever its own is.

    MySQL has no booleans, makes bigints of all integers and decimals of their sums, and has two
    types of timestamps, which are the same in UTC. Raises WarehouseError (42804).
    """
    name = {"varchar": "text"}.get(announced, announced)
    if kind.name == name or (name in _TEXTUAL and kind.name in _TEXTUAL):
        return kind
    if kind.name == "text" and kind.is_null and name in _ARROW:
        return ColumnType(name)
    if kind.name in _SOURCES.get(name, ()):
        digits = _DIGITS.get(kind.name, 0) if name == "numeric" else 0
        return ColumnType(name, digits)
    raise WarehouseError(
        "42804", f"a column of type {kind.name} was found where {announced} was announced"
    )


def shown_types(types: Sequence[ColumnType], announced: Sequence[str] | None) -> list[ColumnType]:
    """What stands for each column of a statement. Raises WarehouseError (42804)."""
    if announced is None:
        return list(types)
    if len(announced) != len(types):
        raise WarehouseError("42804", "the statement has another number of columns than announced")
    return [converted(kind, name) for kind, name in zip(types, announced, strict=True)]


_WHOLE = ("bool", "int2", "int4", "int8", "numeric")
_TEXTUAL = ("text", "json")
_DIGITS = {"bool": 1, "int2": 5, "int4": 10, "int8": 19}
_SOURCES = {
    **dict.fromkeys(_WHOLE, _WHOLE),
    "float4": ("float8",),
    "float8": ("float4",),
    "timestamp": ("timestamptz",),
    "timestamptz": ("timestamp",),
}

_MARKER = re.compile(
    r"""'(?:[^'\\]|\\.|'')*' | "(?:[^"\\]|\\.|"")*" | `(?:[^`]|``)*`"""
    r"""| /\*.*?\*/ | --[ \t][^\n]* | \$(?P<number>[0-9]+)""",
    re.VERBOSE | re.DOTALL,
)


def with_markers(sql: str, parameters: Sequence[Parameter]) -> tuple[str, tuple[Parameter, ...]]:
    """The statement with ``?`` for each ``$n``, and the parameters in the order of the marks."""
    if "$" not in sql:
        return sql, ()
    ordered: list[Parameter] = []

    def mark(match: re.Match[str]) -> str:
        number = match["number"]
        if number is None:
            return match[0]
        if not 0 < int(number) <= len(parameters):
            raise WarehouseError("42P02", f"there is no parameter ${number}", reached=False)
        ordered.append(parameters[int(number) - 1])
        return "?"

    return _MARKER.sub(mark, sql), tuple(ordered)


def parameter_values(parameters: Sequence[Parameter]) -> list[Value]:
    """The parameters as COM_STMT_EXECUTE sends them. Raises WarehouseError (0A000, 22003)."""
    return [_value(parameter) for parameter in parameters]


_CODES = {
    "bool": TINY,
    "int2": LONGLONG,
    "int4": LONGLONG,
    "int8": LONGLONG,
    "float4": DOUBLE,
    "float8": DOUBLE,
    "numeric": NEWDECIMAL,
    "date": DATE,
    "time": TIME,
    "timestamp": DATETIME,
    "timestamptz": DATETIME,
    "bytea": BLOB,
}
_LONGLONG = struct.Struct("<q")
_DOUBLE = struct.Struct("<d")
_MOMENT = struct.Struct("<BHBBBBBI")
_DATE = struct.Struct("<BHBB")
_TIME = struct.Struct("<BBIBBBI")


def _value(parameter: Parameter) -> Value:
    name, value = parameter.type_name, parameter.value
    if name.startswith("_") or name == "interval" or isinstance(value, list | tuple):
        raise WarehouseError(
            "0A000", f"a parameter of type {name} cannot be sent to MySQL", reached=False
        )
    code = _CODES.get(name, VAR_STRING)
    return Value(code, None if value is None else _encoded(value, name))


def _encoded(value: object, name: str) -> bytes:
    if isinstance(value, bool):
        return bytes((value,)) if name == "bool" else _LONGLONG.pack(value)
    if name in ("int2", "int4", "int8") and isinstance(value, int):
        return _LONGLONG.pack(value)
    if name in ("float4", "float8") and isinstance(value, int | float | Decimal):
        return _finite(float(value))
    if name == "numeric" and isinstance(value, int | float | Decimal):
        return _number(Decimal(value))
    if isinstance(value, datetime.datetime):
        return _moment(value)
    if isinstance(value, datetime.date):
        return _DATE.pack(4, value.year, value.month, value.day)
    if isinstance(value, datetime.time):
        return _TIME.pack(12, 0, 0, value.hour, value.minute, value.second, value.microsecond)
    if isinstance(value, bytes | bytearray | memoryview):
        return length_encoded(bytes(value))
    if isinstance(value, str | UUID):
        return length_encoded(checked_text(str(value)))
    raise WarehouseError(
        "0A000", f"a parameter of type {name} cannot be sent to MySQL", reached=False
    )


def _finite(value: float) -> bytes:
    if not math.isfinite(value):
        raise WarehouseError("22003", "MySQL has no infinity and no NaN", reached=False)
    return _DOUBLE.pack(value)


def _number(value: Decimal) -> bytes:
    if not value.is_finite():
        raise WarehouseError("22003", "MySQL has no infinity and no NaN", reached=False)
    return length_encoded(f"{value:f}".encode())


def _moment(value: datetime.datetime) -> bytes:
    if value.tzinfo is not None:
        value = value.astimezone(datetime.UTC)
    return _MOMENT.pack(
        11, value.year, value.month, value.day, value.hour, value.minute, value.second,
        value.microsecond,
    )  # fmt: skip
