"""Rows of Python objects, as drivers of DB-API hand them out, as Arrow in canonical types."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from decimal import Decimal

import pyarrow as pa

from connectors.base import ProbedColumn
from connectors.errors import WarehouseError

_ARROW = {
    "bool": pa.bool_(),
    "int2": pa.int16(),
    "int4": pa.int32(),
    "int8": pa.int64(),
    "float4": pa.float32(),
    "float8": pa.float64(),
    "bytea": pa.binary(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", "UTC"),
}


def numeric_modifier(precision: int, scale: int) -> int:
    """A numeric's precision and scale as a type modifier."""
    return (precision << 16 | scale) + 4


def arrow_schema(columns: Sequence[ProbedColumn]) -> pa.Schema:
    """The schema of a result; what Arrow has no type for comes as its text."""
    return pa.schema([pa.field(column.name, _arrow_type(column)) for column in columns])


def _arrow_type(column: ProbedColumn) -> pa.DataType:
    if column.type_name == "numeric" and column.modifier >= 4:
        precision, scale = (column.modifier - 4) >> 16, (column.modifier - 4) & 0x7FF
        wide = pa.decimal256 if precision > 38 else pa.decimal128
        return wide(precision, scale)
    return _ARROW.get(column.type_name, pa.string())


def record_batch(rows: Sequence[Sequence[object]], schema: pa.Schema) -> pa.RecordBatch:
    """Rows as Arrow.

    Raises:
        WarehouseError: 22003, a value is none of its column's type.
    """
    columns = list(zip(*rows, strict=True))
    arrays = [_array(values, field) for values, field in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _array(values: Sequence[object], field: pa.Field) -> pa.Array:
    kind = field.type
    try:
        if pa.types.is_timestamp(kind) and kind.tz is not None:
            return pa.array([_utc(value) for value in values], type=kind)
        if pa.types.is_string(kind):
            return pa.array([_text(value) for value in values], type=kind)
        if pa.types.is_integer(kind):
            return pa.array([_integer(value) for value in values], type=kind)
        return pa.array(values, type=kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise WarehouseError(
            "22003", f'the warehouse returned a value in "{field.name}" that is not of its type'
        ) from error


def _utc(value: object) -> object:
    if isinstance(value, datetime.datetime):
        if value.tzinfo is None:
            raise TypeError(value)
        return value.astimezone(datetime.UTC)
    return value


def _integer(value: object) -> object:
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value)
    if isinstance(value, bool | float):
        raise TypeError(value)
    return value


def _text(value: object) -> object:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, float | bytes):
        raise TypeError(value)
    return str(value)
