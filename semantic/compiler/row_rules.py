"""Conditions of policies as trees of the warehouse's dialect. Values are bound, never written."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from semantic.compiler.dialect import cast_to
from semantic.compiler.trees import enclose
from semantic.model.template import Reference
from semantic.model.types import NUMERIC, PostgresType
from semantic.security.conditions import RowComparison, RowCondition

MANY_VALUES = 32
"""More values than these are bound as one array."""

Bind = Callable[[object, PostgresType], exp.Expr]
"""Makes the placeholder of a value, which for an array is a tuple of an array's type."""


def row_rule(
    condition: RowCondition,
    member: Callable[[Reference], exp.Expr],
    bind: Bind,
    dialect: str,
) -> exp.Expr:
    """A condition as a tree.

    Args:
        condition: what holds for the rows.
        member: the tree of a member.
        bind: see ``Bind``.
        dialect: of the warehouse.
    """
    if isinstance(condition, RowComparison):
        return _comparison(condition, enclose(member(condition.member)), bind, dialect)
    joined = exp.And if condition.operator == "and" else exp.Or
    result: exp.Expr | None = None
    for item in condition.conditions:
        tree = enclose(row_rule(item, member, bind, dialect))
        result = tree if result is None else joined(this=result, expression=tree)
    return result or exp.Boolean(this=condition.operator == "and")


_BINARY: dict[str, type[exp.Binary]] = {
    "=": exp.EQ,
    "<>": exp.NEQ,
    "<": exp.LT,
    "<=": exp.LTE,
    ">": exp.GT,
    ">=": exp.GTE,
}


def _comparison(item: RowComparison, member: exp.Expr, bind: Bind, dialect: str) -> exp.Expr:
    def value(found: object) -> exp.Expr:
        return cast_to(bind(found, item.type), item.type)

    binary = _BINARY.get(item.operator)
    if binary is not None:
        return binary(this=member, expression=value(item.value))
    if item.operator in ("is null", "is not null"):
        tree: exp.Expr = exp.Is(this=member, expression=exp.Null())
    elif item.operator in ("ilike", "not ilike"):
        like = exp.ILike(this=member, expression=value(item.value))
        tree = exp.Escape(this=like, expression=exp.Literal.string("\\"))
    else:
        values = item.value if isinstance(item.value, tuple) else (item.value,)
        if len(values) <= MANY_VALUES or item.type == NUMERIC:
            tree = exp.In(this=member, expressions=[value(found) for found in values])
        else:
            tree = _in_array(member, bind(values, array_of(item.type)), item.type, dialect)
    return exp.Not(this=exp.Paren(this=tree)) if "not" in item.operator else tree


def array_of(kind: PostgresType) -> PostgresType:
    """The array type with elements of a type."""
    return PostgresType(f"_{kind.name}")


def _in_array(member: exp.Expr, array: exp.Expr, kind: PostgresType, dialect: str) -> exp.Expr:
    """Whether a member is one of many values, looked up rather than searched for."""
    element = cast_to(exp.Null(), kind).args["to"]
    listed = exp.DataType(this=exp.DType.ARRAY, expressions=[element], nested=True)
    array = exp.Cast(this=array, to=listed)
    if dialect == "postgres":
        return exp.EQ(this=member, expression=exp.Any(this=exp.Paren(this=array)))
    unnested = exp.Select(expressions=[exp.Anonymous(this="UNNEST", expressions=[array])])
    return exp.In(this=member, query=exp.Subquery(this=unnested))
