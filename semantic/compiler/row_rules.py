"""Conditions of policies as trees of the warehouse's dialect. Values are bound, never written."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from semantic.compiler.api import SessionSettings
from semantic.compiler.dialect import cast_to
from semantic.compiler.exact_columns import exact_column
from semantic.compiler.expressions import tables_of, translate_condition
from semantic.compiler.expressions.portable.build import sql
from semantic.compiler.expressions.portable.tables import Tables
from semantic.compiler.trees import column, enclose, is_column_of, rebuild
from semantic.errors import UnsupportedError
from semantic.model.template import Reference
from semantic.model.types import NUMERIC, PostgresType
from semantic.security.conditions import RowComparison, RowCondition

MANY_VALUES = 32
"""More values than these are bound as one array."""

_MEMBER = "member"
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
        tables = tables_of(dialect)
        if tables is not None:
            return _translated(condition, member(condition.member), bind, tables)
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
        return cast_to(bind(found, item.type), item.type, dialect)

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


def _translated(item: RowComparison, member: exp.Expr, bind: Bind, tables: Tables) -> exp.Expr:
    """A comparison by a portable dialect's templates: what they do not hold is refused (0A000)."""
    trees = {_MEMBER: enclose(exact_column(member, item.type, tables))}

    def value(found: object) -> exp.Expr:
        template = tables.parameters.get(item.type.name)
        if template is None:
            raise UnsupportedError(
                f"a policy's value of type {item.type.name} is not supported on {tables.title}"
            )
        name = f"value {len(trees)}"
        trees[name] = sql(template, bind(found, item.type))
        return column("", name)

    subject, binary = column("", _MEMBER), _BINARY.get(item.operator)
    if binary is not None:
        tree: exp.Expr = binary(this=subject, expression=value(item.value))
    elif item.operator in ("is null", "is not null"):
        tree = exp.Is(this=subject, expression=exp.Null())
    elif item.operator in ("ilike", "not ilike"):
        # The pattern is known, and templates take no other.
        like = exp.ILike(this=subject, expression=exp.Literal.string(str(item.value)))
        tree = exp.Escape(this=like, expression=exp.Literal.string("\\"))
    else:
        values = item.value if isinstance(item.value, tuple) else (item.value,)
        tree = exp.In(this=subject, expressions=[value(found) for found in values])
    if binary is None and "not" in item.operator:
        tree = exp.Not(this=exp.Paren(this=tree))
    settings = SessionSettings(user="", database="")
    made = translate_condition(tree, tables.dialect, _OfOneType(item.type), settings)
    return rebuild(made, lambda node: trees.get(node.name) if is_column_of(node, "") else None)


class _OfOneType:
    """The types of a comparison of one member with values of its type."""

    def __init__(self, kind: PostgresType) -> None:
        self._kind = kind

    def column(self, _node: exp.Column) -> PostgresType:
        return self._kind

    def parameter(self, index: int) -> PostgresType:
        raise TypeError(index)

    def subquery(self, node: exp.Expr) -> PostgresType:
        raise TypeError(type(node).__name__)

    def subquery_columns(self, node: exp.Expr) -> tuple[PostgresType, ...]:
        raise TypeError(type(node).__name__)


def array_of(kind: PostgresType) -> PostgresType:
    """The array type with elements of a type."""
    return PostgresType(f"_{kind.name}")


def _in_array(member: exp.Expr, array: exp.Expr, kind: PostgresType, dialect: str) -> exp.Expr:
    """Whether a member is one of many values, looked up rather than searched for."""
    element = cast_to(exp.Null(), kind, dialect).args["to"]
    listed = exp.DataType(this=exp.DType.ARRAY, expressions=[element], nested=True)
    array = exp.Cast(this=array, to=listed)
    if dialect == "postgres":
        return exp.EQ(this=member, expression=exp.Any(this=exp.Paren(this=array)))
    unnested = exp.Select(expressions=[exp.Anonymous(this="UNNEST", expressions=[array])])
    return exp.In(this=member, query=exp.Subquery(this=unnested))
