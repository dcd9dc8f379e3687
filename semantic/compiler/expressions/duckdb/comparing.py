"""Two values in the type in which PostgreSQL compares them."""

from __future__ import annotations

from sqlglot import exp

from semantic.compiler.expressions import operators
from semantic.compiler.expressions.duckdb import casts
from semantic.compiler.expressions.duckdb.build import call, string
from semantic.compiler.expressions.duckdb.translator import Translator
from semantic.compiler.expressions.duckdb.value import Value
from semantic.model.types import PostgresType


def comparable(
    translator: Translator, left: exp.Expr, right: exp.Expr
) -> tuple[exp.Expr, exp.Expr]:
    """Two operands in the type in which PostgreSQL compares them."""
    kind = operators.compared(translator.types.of(left), translator.types.of(right), left)
    return compared_as(translator, left, kind), compared_as(translator, right, kind)


def compared_as(translator: Translator, node: exp.Expr, kind: PostgresType) -> exp.Expr:
    """An operand in the type of a comparison, whatever blanks a bpchar ends with."""
    return _without_padding(translator.coerced(node, kind))


def column_as(
    translator: Translator, node: exp.Expr, source: PostgresType, kind: PostgresType
) -> exp.Expr:
    """A column of a subquery in the type of a comparison."""
    value = Value(node, source)
    converted = casts.convert(value, kind, explicit=False, folds=translator.folds)
    return _without_padding(converted)


def _without_padding(value: Value) -> exp.Expr:
    if value.type.name == "bpchar":
        return call("rtrim", value.node, string(" "))
    return value.node
