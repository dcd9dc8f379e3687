"""DuckDB's spelling of PostgreSQL's types."""

from __future__ import annotations

from semantic.compiler.expressions.types import numeric_scale, sql_name
from semantic.errors import UnsupportedError
from semantic.model.types import PostgresType

_SPELLED = {
    "bool": "BOOLEAN",
    "int2": "SMALLINT",
    "int4": "INT",
    "int8": "BIGINT",
    "float4": "FLOAT",
    "float8": "DOUBLE",
    "text": "VARCHAR",
    "varchar": "VARCHAR",
    "bpchar": "VARCHAR",
    "name": "VARCHAR",
    "date": "DATE",
    "time": "TIME",
    "timestamp": "TIMESTAMP",
    "timestamptz": "TIMESTAMPTZ",
    "interval": "INTERVAL",
    "uuid": "UUID",
    "json": "JSON",
    "jsonb": "JSON",
    "bytea": "BLOB",
}
MAX_PRECISION = 38


def duckdb_type(kind: PostgresType) -> str:
    """The type that holds all values of a PostgreSQL type.

    Raises:
        UnsupportedError: there is none.
    """
    if kind.is_array:
        return duckdb_type(kind.element) + "[]"
    if kind.name == "numeric":
        size = numeric_scale(kind)
        if size is None:
            return "DECIMAL(38, 24)"
        precision, scale = size
        if precision > MAX_PRECISION or not 0 <= scale <= precision:
            raise UnsupportedError(f"numeric({precision},{scale}) is not supported on DuckDB")
        return f"DECIMAL({precision}, {scale})"
    spelled = _SPELLED.get(kind.name)
    if spelled is None:
        raise UnsupportedError(f"the type {sql_name(kind)} is not supported on DuckDB")
    return spelled
