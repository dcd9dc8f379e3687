"""Two values in the type in which PostgreSQL compares them."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from semantic.compiler.expressions import operators
from semantic.compiler.expressions.duckdb import casts, numeric
from semantic.compiler.expressions.duckdb.build import call, sql, string
from semantic.compiler.expressions.duckdb.translator import Translator
from semantic.compiler.expressions.duckdb.value import Value
from semantic.compiler.expressions.types import is_quotient, numeric_scale
from semantic.model.types import PostgresType


def comparable(
    translator: Translator, left: exp.Expr, right: exp.Expr
) -> tuple[exp.Expr, exp.Expr]:
    """Two operands in the type in which PostgreSQL compares them."""
    kind = operators.compared(translator.types.of(left), translator.types.of(right), left)
    if kind.name == "numeric":
        return numeric.compared(translator.coerced(left, kind), translator.coerced(right, kind))
    return compared_as(translator, left, kind), compared_as(translator, right, kind)


def compared_as(translator: Translator, node: exp.Expr, kind: PostgresType) -> exp.Expr:
    """An operand in the type of a comparison, whatever blanks a bpchar ends with."""
    return _without_padding(translator.coerced(node, kind))


def beside_column(
    translator: Translator,
    node: exp.Expr,
    place: exp.Expr,
    source: PostgresType,
    kind: PostgresType,
) -> tuple[exp.Expr, exp.Expr]:
    """An operand and a column of a subquery in the type of a comparison by an operator."""
    column = _column_value(translator, place, source, kind)
    if kind.name == "numeric":
        return numeric.compared(translator.coerced(node, kind), column)
    return compared_as(translator, node, kind), _without_padding(column)


ColumnMaker = Callable[[exp.Expr], exp.Expr]


def compared_with_column(
    translator: Translator, node: exp.Expr, source: PostgresType, kind: PostgresType
) -> tuple[exp.Expr, ColumnMaker | None]:
    """An operand of IN or ANY over a subquery, and what makes its column comparable.

    Nothing need be made of the column where the second is None. DuckDB would round a DECIMAL(12,3)
    to meet a column of DECIMAL(38,2).
    """
    if kind.name == "numeric":
        value = translator.coerced(node, kind)
        size = numeric_scale(source)
        if size is not None and not value.dynamic and numeric_scale(value.type) == size:
            return value.node, None
        return numeric.big_units(value), lambda place: numeric.big_units(
            _column_value(translator, place, source, kind)
        )
    left = compared_as(translator, node, kind)
    if kind.name == source.name != "bpchar":
        return left, None
    return left, lambda place: _without_padding(_column_value(translator, place, source, kind))


def array_units(value: Value) -> exp.Expr:
    """The numbers of an array in units that all numbers have in common."""
    return sql(numeric.ELEMENT_UNITS, numeric.element_texts(value))


def _column_value(
    translator: Translator, place: exp.Expr, source: PostgresType, kind: PostgresType
) -> Value:
    value = numeric.from_text(place) if is_quotient(source) else Value(place, source)
    return casts.convert(value, kind, explicit=False, folds=translator.folds)


def _without_padding(value: Value) -> exp.Expr:
    if value.type.name == "bpchar":
        return call("rtrim", value.node, string(" "))
    return value.node
