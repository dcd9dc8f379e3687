"""Types of columns that DuckDB keeps for others: of the stage, and of the store of rollups."""

from __future__ import annotations

from semantic.compiler.expressions.duckdb.spelling import MAX_PRECISION, duckdb_type
from semantic.compiler.expressions.types import QUOTIENT, numeric_scale, sql_name
from semantic.errors import UnsupportedError
from semantic.model.types import UNKNOWN, PostgresType


def stored_type(kind: PostgresType) -> PostgresType:
    """The type of a column of the stage that holds all values of a type, exactly.

    Numbers whose decimals are not known, or too many, are kept as their texts.
    """
    if kind == UNKNOWN:
        raise UnsupportedError(
            "a column of the warehouse whose type is not known cannot be fetched",
            hint="Declare it as a dimension of its cube.",
        )
    if kind.name == "numeric":
        size = numeric_scale(kind)
        fits = size is not None and size[0] <= MAX_PRECISION and 0 <= size[1] <= size[0]
        return kind if fits else QUOTIENT
    if kind.element.name == "numeric" and numeric_scale(kind.element) is None:
        raise UnsupportedError(f"a column of type {sql_name(kind)} cannot be fetched")
    duckdb_type(kind)
    return kind


def stored_as(kind: PostgresType) -> str:
    """DuckDB's name of such a column's type."""
    return "VARCHAR" if kind == QUOTIENT else duckdb_type(kind)
