"""Trino's types as PostgreSQL's, by the names that the client's protocol gives them."""

from __future__ import annotations

import re

from connectors.base import ProbedColumn
from connectors.errors import WarehouseError
from connectors.python_rows import numeric_modifier

_TYPES = {
    "boolean": "bool",
    "tinyint": "int2",
    "smallint": "int2",
    "integer": "int4",
    "bigint": "int8",
    "real": "float4",
    "double": "float8",
    "varchar": "text",
    "varbinary": "bytea",
    "date": "date",
    "timestamp": "timestamp",
    "timestamp with time zone": "timestamptz",
    "json": "json",
    "uuid": "uuid",
}
_SIZED = re.compile(r"(?P<name>[a-z]+)\((?P<size>[\d, ]+)\)(?P<rest>.*)")
_MICROSECONDS = 6


def postgres_column(name: str, trino_type: str) -> ProbedColumn:
    """A column of a result.

    Raises:
        WarehouseError: 0A000, the type has no exact counterpart.
    """
    text = trino_type.lower()
    sized = _SIZED.fullmatch(text)
    plain = f"{sized['name']}{sized['rest']}" if sized else text
    numbers = [int(item) for item in sized["size"].split(",")] if sized else []
    if plain == "decimal" and len(numbers) == 2:
        return ProbedColumn(name, "numeric", numeric_modifier(*numbers))
    found = _TYPES.get(plain)
    too_fine = plain.startswith("timestamp") and bool(numbers) and numbers[0] > _MICROSECONDS
    if found is None or too_fine:
        raise WarehouseError(
            "0A000",
            f'column "{name}" is of type {trino_type}, which no type of PostgreSQL holds exactly',
            hint="CAST it in the model, such as to varchar or timestamp(6).",
        )
    return ProbedColumn(name, found)
