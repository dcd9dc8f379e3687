"""PostgreSQL's spellings of types, for ``data_type``."""

from __future__ import annotations

import re

from semantic.model.types import PostgresType

# Spellings that PostgreSQL's grammar and pg_type accept, to typname.
TYPE_NAMES: dict[str, str] = {
    "bool": "bool",
    "boolean": "bool",
    "smallint": "int2",
    "int2": "int2",
    "int": "int4",
    "int4": "int4",
    "integer": "int4",
    "bigint": "int8",
    "int8": "int8",
    "real": "float4",
    "float4": "float4",
    "float": "float8",
    "float8": "float8",
    "double precision": "float8",
    "numeric": "numeric",
    "decimal": "numeric",
    "text": "text",
    "varchar": "varchar",
    "character varying": "varchar",
    "char": "bpchar",
    "character": "bpchar",
    "bpchar": "bpchar",
    "name": "name",
    "date": "date",
    "time": "time",
    "time without time zone": "time",
    "timetz": "timetz",
    "time with time zone": "timetz",
    "timestamp": "timestamp",
    "timestamp without time zone": "timestamp",
    "timestamptz": "timestamptz",
    "timestamp with time zone": "timestamptz",
    "interval": "interval",
    "uuid": "uuid",
    "json": "json",
    "jsonb": "jsonb",
    "bytea": "bytea",
}

_TYPE = re.compile(
    r"\s*([a-z_][a-z0-9_ ]*?)\s*(?:\(\s*(\d+)\s*(?:,\s*(-?\d+)\s*)?\))?(\s+with(?:out)? time zone)?"
    r"\s*((?:\[\s*\d*\s*\]\s*)*)"
)
_LENGTH_TYPES = frozenset({"varchar", "bpchar"})
_PRECISION_TYPES = frozenset({"time", "timetz", "timestamp", "timestamptz"})


def parse_type(text: str) -> PostgresType | None:
    """The type that a spelling such as ``numeric(12,2)`` or ``bigint[]`` means; None: no such type.

    >>> parse_type("numeric(12,2)")
    PostgresType(name='numeric', modifier=786438)
    >>> parse_type("character varying(20)[]")
    PostgresType(name='_varchar', modifier=24)
    """
    found = _TYPE.fullmatch(text.lower())
    if found is None:
        return None
    base, first, second, zone, brackets = found.groups()
    name = TYPE_NAMES.get(" ".join((base + (zone or "")).split()))
    if name is None:
        return None
    modifier = -1
    if first is not None:
        encoded = _modifier(name, int(first), None if second is None else int(second))
        if encoded is None:
            return None
        modifier = encoded
    elif name == "bpchar" and base != "bpchar":
        modifier = 5
    return PostgresType("_" + name if brackets else name, modifier)


def _modifier(name: str, first: int, second: int | None) -> int | None:
    """``atttypmod`` as PostgreSQL encodes it, None where the type takes no such modifier."""
    if name == "numeric" and 1 <= first <= 1000 and -1000 <= (second or 0) <= 1000:
        return ((first << 16) | ((second or 0) & 0x7FF)) + 4
    if second is not None:
        return None
    if name in _LENGTH_TYPES and 1 <= first <= 10_485_760:
        return first + 4
    if name in _PRECISION_TYPES and first <= 6:
        return first
    return None
