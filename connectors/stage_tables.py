"""Columns as the tables of the stage keep them: the values that were fetched, or an error.

What would change a value on the way is refused: rounding, infinite numerics, types that do not fit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from connectors.base import WAREHOUSE_TYPE
from connectors.errors import WarehouseError
from connectors.rollup_parquet_types import finite_numbers

_TRAILING_ZEROS = r"(\.\d*?)0+$"

Convert = Callable[[pa.Array], pa.Array]


@dataclass(frozen=True, slots=True)
class StageColumn:
    """A column of a table of the stage.

    Attributes:
        name: of the column.
        type_name: ``pg_type.typname`` of its values.
        stored: DuckDB's type that holds them all.
    """

    name: str
    type_name: str
    stored: str


@dataclass(frozen=True, slots=True)
class StoredColumn:
    """How a fetched column gets into its table.

    Attributes:
        stored: DuckDB's type of it; None for the one that Arrow's becomes by itself.
        convert: what is done before DuckDB casts it.
    """

    name: str
    stored: str | None
    convert: Convert


def stored_columns(schema: pa.Schema, columns: Sequence[StageColumn]) -> tuple[StoredColumn, ...]:
    """How the columns of a result are kept. Raises WarehouseError XX000 for other columns."""
    if len(schema) != len(columns):
        raise WarehouseError("XX000", "a fetch returned other columns than the plan says")
    return tuple(_stored(field, column) for field, column in zip(schema, columns, strict=True))


def converted(batch: pa.RecordBatch, columns: Sequence[StoredColumn]) -> pa.RecordBatch:
    """The batch that DuckDB inserts. Raises WarehouseError 22003 where a value would change."""
    try:
        arrays = [each.convert(array) for each, array in zip(columns, batch.columns, strict=True)]
    except pa.ArrowInvalid as error:
        raise WarehouseError(
            "22003", "a value does not fit the type of its column", detail=str(error)
        ) from error
    return pa.RecordBatch.from_arrays(arrays, names=[each.name for each in columns])


def _stored(field: pa.Field, column: StageColumn) -> StoredColumn:
    kind = field.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    own = (field.metadata or {}).get(WAREHOUSE_TYPE, b"").decode()
    if column.type_name == "numeric":
        return StoredColumn(column.name, column.stored, _numeric(kind, column))
    if column.type_name == "text" and not _is_text(kind):
        # What only has to be told apart is kept as the value that it is.
        return StoredColumn(column.name, None, _same)
    if column.type_name == "text" and own == "numeric":
        return StoredColumn(column.name, column.stored, _as_number)
    if column.type_name in _INTEGERS and not pa.types.is_integer(kind):
        return StoredColumn(column.name, column.stored, _whole(kind, column))
    return StoredColumn(column.name, column.stored, _same)


_INTEGERS = frozenset(("int2", "int4", "int8"))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _numeric(kind: pa.DataType, column: StageColumn) -> Convert:
    """A numeric, as its text where the table keeps texts."""
    if pa.types.is_floating(kind):
        raise _other_type(kind, column)
    if not _is_text(kind):
        target = _decimal(column.stored)
        if target is None or not pa.types.is_decimal(kind):
            return _same
        return lambda array: pc.cast(array, target)
    target = _decimal(column.stored)

    def convert(array: pa.Array) -> pa.Array:
        array = finite_numbers(_decoded(array))
        return array if target is None else pc.cast(array, target)

    return convert


def _whole(kind: pa.DataType, column: StageColumn) -> Convert:
    """An integer that arrives as a decimal."""
    if not pa.types.is_decimal(kind):
        raise _other_type(kind, column)
    return lambda array: pc.cast(array, pa.int64())


def _decimal(stored: str) -> pa.DataType | None:
    if not stored.startswith("DECIMAL("):
        return None
    precision, scale = stored.removeprefix("DECIMAL(").removesuffix(")").split(",")
    return pa.decimal128(int(precision), int(scale))


def _as_number(array: pa.Array) -> pa.Array:
    """Texts of numbers, alike where the numbers are equal."""
    array = _decoded(array)
    shorter = pc.replace_substring_regex(array, _TRAILING_ZEROS, r"\1")
    return pc.replace_substring_regex(shorter, r"\.$", "")


def _decoded(array: pa.Array) -> pa.Array:
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _same(array: pa.Array) -> pa.Array:
    return array


def _other_type(kind: pa.DataType, column: StageColumn) -> WarehouseError:
    return WarehouseError(
        "XX000",
        "a fetch returned another type than the plan says",
        detail=f"Column {column.name} of type {column.type_name} arrived as {kind}.",
    )
