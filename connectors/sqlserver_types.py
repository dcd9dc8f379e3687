"""SQL Server's types as PostgreSQL's, by their names and by the numbers of its protocol."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from connectors.base import ProbedColumn
from connectors.errors import WarehouseError
from connectors.python_rows import numeric_modifier

_NAMES = {
    "bit": "bool",
    "tinyint": "int2",
    "smallint": "int2",
    "int": "int4",
    "bigint": "int8",
    "real": "float4",
    "float": "float8",
    "date": "date",
    "time": "time",
    "smalldatetime": "timestamp",
    "datetime2": "timestamp",
    "datetimeoffset": "timestamptz",
    "uniqueidentifier": "uuid",
    **dict.fromkeys(("char", "varchar", "nchar", "nvarchar"), "text"),
    **dict.fromkeys(("binary", "varbinary"), "bytea"),
}
_MONEY = {"money": (19, 4), "smallmoney": (10, 4)}
_SIZED = re.compile(r"(?P<name>\w+)(?:\((?P<size>max|[\d,]+)\))?")
_MICROSECONDS = 6

# Of the protocol (TDS), as the driver gives them.
_DECIMALS = (106, 108)
_NUMBERS = {
    36: "uniqueidentifier", 40: "date", 41: "time", 42: "datetime2", 43: "datetimeoffset",
    48: "tinyint", 50: "bit", 52: "smallint", 56: "int", 58: "smalldatetime", 59: "real",
    60: "money", 61: "datetime", 62: "float", 99: "nvarchar", 104: "bit", 122: "smallmoney",
    127: "bigint", 165: "varbinary", 167: "varchar", 173: "binary", 175: "char", 231: "nvarchar",
    239: "nchar", 241: "xml",
}  # fmt: skip


def named_column(name: str, spelled: str) -> ProbedColumn:
    """A column by its type's name, such as ``decimal(10,2)``.

    Raises:
        WarehouseError: 0A000, the type has no exact counterpart.
    """
    found = _SIZED.fullmatch(spelled.lower())
    base = found["name"] if found else spelled
    numbers = [] if not found or found["size"] in (None, "max") else found["size"].split(",")
    if base in ("decimal", "numeric") and numbers:
        return _numeric(name, int(numbers[0]), int(numbers[-1]) if len(numbers) > 1 else 0)
    if base in _MONEY:
        return _numeric(name, *_MONEY[base])
    kind = _NAMES.get(base)
    too_fine = base == "time" and (not numbers or int(numbers[0]) > _MICROSECONDS)
    if kind is None or too_fine:
        raise WarehouseError(
            "0A000",
            f'column "{name}" is of type {spelled}, which no type of PostgreSQL holds exactly',
            hint="CAST it in the model: a datetime to datetime2(3), a time to time(6), what else "
            "there is to nvarchar.",
        )
    return ProbedColumn(name, kind)


def described_column(item: Sequence[Any], announced: str | None) -> ProbedColumn:
    """A column of a result as the driver describes it: name, number, ..., precision, scale.

    Args:
        item: the description.
        announced: the type that the statement says it has; None where it says nothing.

    Raises:
        WarehouseError: 0A000, the type has no exact counterpart.
    """
    name, code, precision, scale = str(item[0]), int(item[1]), item[4], item[5]
    if code in _DECIMALS:
        found = _numeric(name, int(precision), int(scale or 0))
    elif announced is not None and announced != "numeric":
        return ProbedColumn(name, announced)
    else:
        spelled = _NUMBERS.get(code, f"number {code}")
        # The driver reads a time that is finer than a microsecond without what is too much.
        found = named_column(name, f"time({precision})" if spelled == "time" else spelled)
    if announced not in (None, found.type_name):
        raise WarehouseError("XX000", f'column "{name}" is not of the type {announced}')
    return found


def _numeric(name: str, precision: int, scale: int) -> ProbedColumn:
    return ProbedColumn(name, "numeric", numeric_modifier(precision, scale))
