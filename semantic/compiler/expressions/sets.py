"""Functions that return sets of rows, which stand in FROM: their signatures and column types."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from semantic.compiler.expressions.environment import TypeEnvironment
from semantic.compiler.expressions.inference import Types
from semantic.compiler.expressions.places import position
from semantic.compiler.expressions.signatures.registry import index, read_table, resolve
from semantic.compiler.expressions.types import sql_name
from semantic.errors import SemanticError
from semantic.model.types import PostgresType

_SERIES = index(
    read_table(
        """
        generate_series(int4, int4) int4
        generate_series(int4, int4, int4) int4
        generate_series(int8, int8) int8
        generate_series(int8, int8, int8) int8
        generate_series(numeric, numeric) numeric
        generate_series(numeric, numeric, numeric) numeric
        generate_series(timestamp, timestamp, interval) timestamp
        generate_series(timestamptz, timestamptz, interval) timestamptz
        """,
        "scalar",
    )
)["generate_series"]

SETS = frozenset(("generate_series", "unnest"))
"""The functions that may stand in FROM."""


# Functions whose rows are the elements of an array that another function makes.
FROM_SPLITS = {
    "string_to_table": "string_to_array",
    "regexp_split_to_table": "regexp_split_to_array",
}


def series_arguments(
    arguments: Sequence[exp.Expr], environment: TypeEnvironment
) -> tuple[PostgresType, ...]:
    """The types that generate_series takes its arguments in.

    Raises:
        SemanticError: 42883, there is no such overload.
    """
    types = Types(environment)
    kinds = [types.of(argument) for argument in arguments]
    found = resolve(_SERIES, kinds)
    if found is None:
        listed = ", ".join(sql_name(kind) for kind in kinds)
        raise SemanticError(
            "42883",
            f"function generate_series({listed}) does not exist",
            hint="No function matches the given name and argument types. "
            "You might need to add explicit type casts.",
            position=position(arguments[0]) if arguments else None,
        )
    return found.arguments


def set_columns(
    function: str, arguments: Sequence[exp.Expr], environment: TypeEnvironment
) -> tuple[PostgresType, ...]:
    """The types of the columns that a function in FROM makes."""
    if function == "generate_series":
        return (PostgresType(series_arguments(arguments, environment)[0].name),)
    types = Types(environment)
    return tuple(types.of(argument).element for argument in arguments)
