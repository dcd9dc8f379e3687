"""Columns as Parquet keeps them, so that DuckDB reads the type and the values that were written.

What Parquet or the way to it would change is refused: intervals lose their microseconds, times
their zone, numbers of any length their digits.
"""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from connectors.errors import WarehouseError
from connectors.rollup_store import BuildColumn

_PLAIN = frozenset(
    (
        "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
        "float", "double", "binary", "date32[day]", "time64[us]", "timestamp[us]",
    )
)  # fmt: skip
_SKETCHES = frozenset(("_int2", "_int8"))
"""What sketches are kept as: lists of numbers."""

_HEADER = 4
"""``VARHDRSZ``: what a numeric's type modifier is more than its precision and scale."""

Convert = Callable[[pa.Array], pa.Array]


@dataclass(frozen=True, slots=True)
class StoredField:
    """How one column is kept.

    Attributes:
        convert: makes the array that is written of the one that arrives.
    """

    field: pa.Field
    convert: Convert


def stored_fields(schema: pa.Schema, columns: Sequence[BuildColumn]) -> tuple[StoredField, ...]:
    """How the columns of a result are kept. Raises WarehouseError 0A000, XX000."""
    names = [column.name for column in columns]
    if schema.names != names:
        raise WarehouseError(
            "XX000",
            "a pre-aggregation's rows have other columns than its definition",
            detail=f"The definition says {names}, the rows {schema.names}.",
        )
    return tuple(_stored(field, column) for field, column in zip(schema, columns, strict=True))


def convert(batch: pa.RecordBatch, fields: Sequence[StoredField]) -> pa.RecordBatch:
    """The batch that is written. Raises WarehouseError 22003 for a number that does not fit."""
    try:
        arrays = [each.convert(array) for each, array in zip(fields, batch.columns, strict=True)]
    except (pa.ArrowInvalid, ValueError) as error:
        raise WarehouseError(
            "22003", "a value of a pre-aggregation cannot be kept exactly", detail=str(error)
        ) from error
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema([each.field for each in fields]))


def _stored(field: pa.Field, column: BuildColumn) -> StoredField:
    kind, name = field.type, column.type_name
    if name == "timetz":
        raise _refused(column, field)
    if pa.types.is_decimal128(kind):
        return StoredField(field, _checked)
    if pa.types.is_timestamp(kind) and kind.unit == "us" and kind.tz is not None:
        return StoredField(field, _same)
    if str(kind) in _PLAIN:
        return StoredField(field, _same)
    if name in _SKETCHES and pa.types.is_list(kind) and pa.types.is_integer(kind.value_type):
        return StoredField(field, _same)
    if pa.types.is_dictionary(kind) and pa.types.is_string(kind.value_type):
        return StoredField(pa.field(field.name, pa.string()), _decoded)
    if pa.types.is_string(kind):
        return _stored_text(field, column)
    raise _refused(column, field)


def _stored_text(field: pa.Field, column: BuildColumn) -> StoredField:
    """What arrives as text is not always one: a connector gives other types as theirs, too."""
    if column.type_name in ("text", "varchar", "bpchar"):
        return StoredField(field, _same)
    if column.type_name == "uuid":
        return StoredField(pa.field(field.name, pa.uuid()), _uuids)
    if column.type_name == "json":
        return StoredField(pa.field(field.name, pa.json_()), _json)
    if column.type_name == "numeric" and column.modifier >= _HEADER:
        packed = column.modifier - _HEADER
        kind = pa.decimal128(packed >> 16, packed & 0x7FF)
        return StoredField(pa.field(field.name, kind), lambda array: pc.cast(array, kind))
    if column.type_name == "numeric":
        # Whoever reads it knows that it is the text of a number.
        return StoredField(pa.field(field.name, pa.string()), finite_numbers)
    raise _refused(column, field)


def _refused(column: BuildColumn, field: pa.Field) -> WarehouseError:
    return WarehouseError(
        "0A000",
        f"column {column.name} of type {column.type_name} cannot be kept in Parquet exactly",
        detail=f"It arrives as {field.type}.",
        hint="Keep the pre-aggregation in the warehouse, or declare a data_type with a fixed"
        " number of digits.",
        reached=False,
    )


@functools.cache
def _not_finite() -> pa.Array:
    # Not made until it is wanted: ``pa.array`` imports pandas where that is installed.
    return pa.array(["NaN", "Infinity", "-Infinity"])


def finite_numbers(array: pa.Array) -> pa.Array:
    """Texts of numbers. Raises WarehouseError 0A000 for those that are not finite."""
    if pc.any(pc.is_in(array, value_set=_not_finite())).as_py():
        raise WarehouseError(
            "0A000",
            "numeric values that are not finite cannot be computed with outside of their warehouse",
            hint="Leave out NaN and the infinities with a condition on the column.",
        )
    return array


def _same(array: pa.Array) -> pa.Array:
    return array


def _checked(array: pa.Array) -> pa.Array:
    """DuckDB announces its 128-bit integers with fewer digits than they may have."""
    array.validate(full=True)
    return array


def _decoded(array: pa.Array) -> pa.Array:
    return array.dictionary_decode()


def _uuids(array: pa.Array) -> pa.Array:
    values = [None if text is None else uuid.UUID(text).bytes for text in array.to_pylist()]
    return pa.ExtensionArray.from_storage(pa.uuid(), pa.array(values, pa.binary(16)))


def _json(array: pa.Array) -> pa.Array:
    return pa.ExtensionArray.from_storage(pa.json_(), array)
