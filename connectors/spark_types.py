"""Spark's types as PostgreSQL's and Arrow's, and parameters as the values its client binds."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

import pyarrow as pa

from connectors.base import Parameter
from connectors.errors import WarehouseError

# Spark's simple name, PostgreSQL's, and the Arrow type in which the values are handed on.
_TYPES: dict[str, tuple[str, pa.DataType]] = {
    "boolean": ("bool", pa.bool_()),
    "tinyint": ("int2", pa.int16()),
    "smallint": ("int2", pa.int16()),
    "int": ("int4", pa.int32()),
    "bigint": ("int8", pa.int64()),
    "float": ("float4", pa.float32()),
    "double": ("float8", pa.float64()),
    "string": ("text", pa.string()),
    "date": ("date", pa.date32()),
    "timestamp": ("timestamptz", pa.timestamp("us", "UTC")),
    "timestamp_ntz": ("timestamp", pa.timestamp("us")),
    "binary": ("bytea", pa.binary()),
    "void": ("text", pa.string()),
}
_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")
_STRING = re.compile(r"(string collate UTF8_BINARY|(?:var)?char\(\d+\))")
_ARRAY = re.compile(r"array<(.+)>", re.DOTALL)


def postgres_type(column: str, spark_type: str) -> tuple[str, int, pa.DataType]:
    """``pg_type.typname``, type modifier and Arrow type for a type as Spark writes it in short.

    Raises:
        WarehouseError: 0A000, no type of PostgreSQL's holds its values.
    """
    known = _TYPES.get(spark_type)
    if known is not None:
        return known[0], -1, known[1]
    decimal = _DECIMAL.fullmatch(spark_type)
    if decimal is not None:
        precision, scale = int(decimal[1]), int(decimal[2])
        # (precision << 16 | scale) + VARHDRSZ, which is 4; PostgreSQL's utils/adt/numeric.c
        return "numeric", (precision << 16 | scale) + 4, pa.decimal128(precision, scale)
    if _STRING.fullmatch(spark_type):
        return "text", -1, pa.string()
    array = _ARRAY.fullmatch(spark_type)
    if array is not None and not array[1].startswith("array<"):
        element, modifier, arrow = postgres_type(column, array[1])
        return f"_{element}", modifier, pa.list_(arrow)
    raise WarehouseError(
        "0A000",
        f'column "{column}" is of the type {spark_type}, which PostgreSQL does not have',
        hint="Let the model's SQL turn it into one that it has: a text by to_json(...), a number.",
    )


_PLACEHOLDER = re.compile(
    r"'(?:[^'\\]|\\.)*'" r'|"(?:[^"\\]|\\.)*"' r"|`(?:[^`]|``)*`|--[^\n]*|/\*.*?\*/|\$(\d+)\b",
    re.DOTALL,
)


def named_placeholders(sql: str) -> str:
    """``$1`` as ``:p1``, which is how Spark names a parameter; literals and names stay."""
    return _PLACEHOLDER.sub(lambda found: f":p{found[1]}" if found[1] else found[0], sql)


def bound_values(parameters: Sequence[Parameter]) -> dict[str, object]:
    """The parameters by name, as Python values of which Spark's client makes literals."""
    return {f"p{number}": _bound(one.value) for number, one in enumerate(parameters, start=1)}


def _bound(value: object) -> object:
    if isinstance(value, list | tuple):
        return [_bound(item) for item in value]
    if isinstance(value, Decimal):
        # As text, which the statement casts: the client would round what has over 38 digits.
        return format(value, "f")
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime.datetime):
        # As text: the client takes one without a zone to be in that of its machine.
        moment = value if value.tzinfo is None else value.astimezone(datetime.UTC)
        return moment.isoformat(" ")
    return value
