"""Moves conditions that cannot raise behind the fence around governed rows, for indexes' sake."""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from semantic.compiler.fences import is_governed
from semantic.compiler.plan import PlanNode, Query, Scan, ScanColumn, Select
from semantic.compiler.rewrite.context import RewriteContext
from semantic.compiler.rewrite.tools import bottom_up
from semantic.compiler.trees import all_of, conjuncts, table_of

# Comparisons of these with a constant neither raise nor tell anything of the value.
_ORDERED = frozenset({"int2", "int4", "int8", "float8", "date", "timestamp", "timestamptz", "uuid"})
_EQUAL = _ORDERED | {"text", "varchar", "bool"}
_ORDERINGS = exp.LT | exp.LTE | exp.GT | exp.GTE
_NUMBERS = frozenset({"int2", "int4", "int8", "float8"})
_DIGITS = 19
"""Fewer than these, and a whole number is a bigint."""

# A parameter that is compared with them is of their type; it is not known here what others are.
_ONE_TYPE = frozenset({"text", "varchar", "bool", "uuid"})
_NAMES = {
    exp.DType.DATE: "date",
    exp.DType.TIMESTAMP: "timestamp",
    exp.DType.TIMESTAMPTZ: "timestamptz",
    exp.DType.UUID: "uuid",
}


def push_conditions(plan: Query, _: RewriteContext) -> Query:
    """Let the governed query of a scan's own rows keep out what WHERE keeps out.

    Nothing may be evaluated over rows that a policy hides but what is leakproof: comparisons of
    columns of the table with constants of their type, IS NULL, and what AND, OR and NOT make of
    them.
    """
    return bottom_up(plan, _push)


def _push(node: PlanNode) -> PlanNode:
    if not isinstance(node, Select) or not isinstance(node.source, Scan) or node.where is None:
        return node
    scan = node.source
    if not is_governed(scan.table):
        return node
    columns = {
        item.name: item
        for item in scan.columns
        if isinstance(item.expression, exp.Column) and table_of(item.expression) == scan.base
    }
    parts = conjuncts(node.where)
    pushed = tuple(part for part in parts if _is_leakproof(part, scan.alias, columns))
    if not pushed:
        return node
    rest = all_of([part for part in parts if part not in pushed])
    return replace(node, where=rest, source=replace(scan, pushed=(*scan.pushed, *pushed)))


def _is_leakproof(node: exp.Expr, alias: str, columns: dict[str, ScanColumn]) -> bool:
    if isinstance(node, exp.Paren | exp.Not):
        return _is_leakproof(node.this, alias, columns)
    if isinstance(node, exp.And | exp.Or):
        sides = (node.this, node.expression)
        return all(_is_leakproof(side, alias, columns) for side in sides)
    kind = _type(node.this, alias, columns)
    if isinstance(node, exp.Is):
        return isinstance(node.expression, exp.Null) and kind != ""
    if isinstance(node, exp.EQ | exp.NEQ | _ORDERINGS):
        kinds = _ORDERED if isinstance(node, _ORDERINGS) else _EQUAL
        return kind in kinds and _is_constant(node.expression, kind)
    if isinstance(node, exp.Between):
        bounds = (node.args["low"], node.args["high"])
        return kind in _ORDERED and all(_is_constant(item, kind) for item in bounds)
    if isinstance(node, exp.In) and node.args.get("query") is None and node.expressions:
        return kind in _EQUAL and all(_is_constant(item, kind) for item in node.expressions)
    return False


def _type(node: object, alias: str, columns: dict[str, ScanColumn]) -> str:
    """The type of a column of the table; an empty text for anything else."""
    if isinstance(node, exp.Column) and table_of(node) == alias and node.name in columns:
        return columns[node.name].type.name
    return ""


def _is_constant(node: exp.Expr, kind: str) -> bool:
    """Whether a constant is of the column's type, so that it is the constant that is converted.

    Of another type, it may be the column that is, which can fail: for dates that no timestamp
    reaches, for numbers that a decimal with many digits behind the point does not hold.
    """
    if isinstance(node, exp.Cast):
        return _NAMES.get(node.to.this) == kind and isinstance(node.this, exp.Literal)
    if isinstance(node, exp.Parameter):
        return kind in _ONE_TYPE
    if isinstance(node, exp.Boolean):
        return kind == "bool"
    if isinstance(node, exp.Neg):
        node = node.this
        if not isinstance(node, exp.Literal) or node.is_string:
            return False
    if not isinstance(node, exp.Literal):
        return False
    if node.is_string:
        return kind not in _NUMBERS
    text = str(node.this)
    return kind == "float8" or (kind in _NUMBERS and text.isdigit() and len(text) < _DIGITS)
