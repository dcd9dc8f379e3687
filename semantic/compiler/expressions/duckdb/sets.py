"""Functions in FROM as DuckDB's lists, one a column, for ``unnest`` to take apart."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from semantic.compiler.expressions.duckdb.build import call, cast, number, sql
from semantic.compiler.expressions.duckdb.spelling import duckdb_type
from semantic.compiler.expressions.duckdb.translator import Translator
from semantic.compiler.expressions.sets import series_arguments
from semantic.compiler.expressions.types import INTEGERS
from semantic.errors import UnsupportedError

# DuckDB complains of a step of nothing in words of its own, or not at all.
_NO_STEP = (
    "CASE WHEN _1 = _2 THEN CAST(fails('22023: step size cannot equal zero') AS {type}) ELSE _1 END"
)


def set_lists(
    translator: Translator, function: str, arguments: Sequence[exp.Expr]
) -> list[exp.Expr]:
    """The lists whose elements are the rows of a function in FROM.

    Raises:
        UnsupportedError: DuckDB has no such series.
    """
    if function == "unnest":
        values = [translator.value(argument) for argument in arguments]
        if any(value.text is not None for value in values):
            raise UnsupportedError(
                "unnest of numbers with different decimals is not supported on DuckDB",
                hint="Round them to a fixed number of decimals.",
            )
        return [value.node for value in values]
    kinds = series_arguments(arguments, translator.environment)
    name = kinds[0].name
    items = [translator.typed(item, kind) for item, kind in zip(arguments, kinds, strict=True)]
    if name in INTEGERS:
        items = [cast(item, "BIGINT") for item in items]
        nothing, step = number(0), "BIGINT"
    elif name == "numeric":
        raise UnsupportedError(
            "generate_series of numeric values is not supported on DuckDB",
            hint="Generate integers, and compute the values from them.",
        )
    else:
        nothing, step = call("to_days", number(0)), "INTERVAL"
    if len(items) == 3:
        items[2] = sql(_NO_STEP.replace("{type}", step), items[2], nothing)
    series = call("generate_series", *items)
    return [cast(series, duckdb_type(kinds[0]) + "[]")]
