"""ClickHouse's types as PostgreSQL's, and parameters as its driver binds them."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from connectors.base import Parameter, ProbedColumn
from connectors.errors import WarehouseError, checked_text

_WRAPPER = re.compile(r"(?:Nullable|LowCardinality)\((?P<inner>.*)\)", re.DOTALL)
_ARRAY = re.compile(r"Array\((?P<inner>.*)\)", re.DOTALL)
_DECIMAL = re.compile(r"Decimal\((?P<precision>\d+), (?P<scale>\d+)\)")
_DATE_TIME = re.compile(r"DateTime(?:64\((?P<digits>\d)(?:, '(?P<zone>.*)')?\)|\('(?P<old>.*)'\))?")
_TEXTS = ("FixedString(", "Enum8(", "Enum16(")

# Digits of the greatest value of an integer type that only numeric holds.
INTEGER_DIGITS = {"UInt64": 20, "Int128": 39, "UInt128": 39}
MICROSECOND_DIGITS = 6
FIRST_YEAR, LAST_YEAR = 1900, 2299
"""Of Date32 and DateTime64."""

_TYPES = {
    "Bool": "bool",
    "Int8": "int2",
    "UInt8": "int2",
    "Int16": "int2",
    "UInt16": "int4",
    "Int32": "int4",
    "UInt32": "int8",
    "Int64": "int8",
    "Float32": "float4",
    "Float64": "float8",
    "String": "text",
    "UUID": "uuid",
    "Date": "date",
    "Date32": "date",
}


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A PostgreSQL type: ``pg_type.typname`` and type modifier."""

    name: str
    modifier: int = -1


def bare_type(clickhouse_type: str) -> str:
    """The type without Nullable and LowCardinality around it."""
    while (match := _WRAPPER.fullmatch(clickhouse_type)) is not None:
        clickhouse_type = match["inner"]
    return clickhouse_type


def element_type(clickhouse_type: str) -> str | None:
    """The type of an array's elements; None for what is no array."""
    match = _ARRAY.fullmatch(bare_type(clickhouse_type))
    return None if match is None else match["inner"]


def numeric_type(precision: int, scale: int) -> ColumnType:
    """PostgreSQL's numeric(precision, scale)."""
    # (precision << 16 | scale) + VARHDRSZ, which is 4; PostgreSQL's utils/adt/numeric.c
    return ColumnType("numeric", (precision << 16 | scale) + 4)


def postgres_type(clickhouse_type: str) -> ColumnType | None:
    """The type that holds every value of a ClickHouse type exactly; None where there is none."""
    bare = bare_type(clickhouse_type)
    element = element_type(bare)
    if element is not None:
        inner = postgres_type(element)
        if inner is None or inner.name.startswith("_"):
            return inner
        return ColumnType(f"_{inner.name}", inner.modifier)
    if bare == "UInt64":
        return numeric_type(INTEGER_DIGITS[bare], 0)
    if bare in INTEGER_DIGITS:
        # Its digits stay unsaid: ClickHouse has no cast to a number of so many.
        return ColumnType("numeric")
    decimal = _DECIMAL.fullmatch(bare)
    if decimal is not None:
        return numeric_type(int(decimal["precision"]), int(decimal["scale"]))
    moment = _DATE_TIME.fullmatch(bare)
    if moment is not None:
        if int(moment["digits"] or 0) > MICROSECOND_DIGITS:
            return None
        return ColumnType("timestamptz" if moment["zone"] or moment["old"] else "timestamp")
    if bare.startswith(_TEXTS):
        # Not text: they compare by number, or have zero bytes at their end.
        return ColumnType("varchar")
    found = _TYPES.get(bare)
    return None if found is None else ColumnType(found)


def probed_column(name: str, clickhouse_type: str) -> ProbedColumn:
    """A column of a described statement. Raises WarehouseError 0A000 for a type without match."""
    found = postgres_type(clickhouse_type)
    if found is None:
        raise WarehouseError(
            "0A000",
            f'column "{name}" is of the ClickHouse type {clickhouse_type}, which PostgreSQL has'
            " no exact counterpart of",
            hint="Convert it in the SQL of the cube, such as toString(column) or"
            " toDateTime64(column, 6).",
        )
    return ProbedColumn(name, found.name, found.modifier)


def bound_values(parameters: Sequence[Parameter]) -> dict[str, object]:
    """The parameters by the names that ``clickhouse_placeholders`` gives them."""
    return {f"p{number}": _bound(parameter.value) for number, parameter in enumerate(parameters, 1)}


def _bound(value: object) -> object:
    """What the driver writes exactly: None, text, or a list of these and of numbers."""
    if value is None:
        return None
    if isinstance(value, list | tuple):
        return [_element(item) for item in value]
    text = _text(value)
    checked_text(text)
    return text


def _element(value: object) -> object:
    if value is None or isinstance(value, bool | int | float | Decimal):
        return value
    return _bound(value)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        raise WarehouseError(
            "0A000", "bytea parameters cannot be sent to a ClickHouse data source", reached=False
        )
    if isinstance(value, datetime.date) and not FIRST_YEAR <= value.year <= LAST_YEAR:
        # ClickHouse would take it for another one.
        raise WarehouseError(
            "22008",
            f"a date of the year {value.year} cannot be sent to a ClickHouse data source",
            reached=False,
        )
    if isinstance(value, datetime.datetime):
        if value.tzinfo is not None:
            value = value.astimezone(datetime.UTC).replace(tzinfo=None)
        return value.isoformat(" ", "microseconds")
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    return str(value)
