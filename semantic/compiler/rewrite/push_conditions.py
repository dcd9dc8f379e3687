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
_ORDERINGS = (exp.LT, exp.LTE, exp.GT, exp.GTE)


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
    if isinstance(node, exp.Is):
        return isinstance(node.expression, exp.Null) and _type(node.this, alias, columns) != ""
    if isinstance(node, exp.EQ | exp.NEQ | exp.LT | exp.LTE | exp.GT | exp.GTE):
        kinds = _ORDERED if isinstance(node, _ORDERINGS) else _EQUAL
        return _type(node.this, alias, columns) in kinds and _is_constant(node.expression)
    if isinstance(node, exp.Between):
        bounds = (node.args["low"], node.args["high"])
        return _type(node.this, alias, columns) in _ORDERED and all(map(_is_constant, bounds))
    if isinstance(node, exp.In):
        listed = node.args.get("query") is None and bool(node.expressions)
        return (
            listed
            and _type(node.this, alias, columns) in _EQUAL
            and all(map(_is_constant, node.expressions))
        )
    return False


def _type(node: exp.Expr, alias: str, columns: dict[str, ScanColumn]) -> str:
    """The type of a column of the table; an empty text for anything else."""
    if isinstance(node, exp.Column) and table_of(node) == alias and node.name in columns:
        return columns[node.name].type.name
    return ""


def _is_constant(node: exp.Expr) -> bool:
    """Whether a value is written in the text or bound, of a type that a column's is compared to."""
    if isinstance(node, exp.Neg | exp.Cast):
        # What a constant is cast to does not depend on a row.
        return isinstance(node.this, exp.Literal)
    return isinstance(node, exp.Literal | exp.Boolean | exp.Parameter)
