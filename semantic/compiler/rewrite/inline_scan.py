"""Lets a SELECT read a cube's tables itself instead of through a subquery of computed columns."""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from semantic.compiler.plan import PlanNode, Query, Scan, Select
from semantic.compiler.rewrite.context import RewriteContext
from semantic.compiler.rewrite.tools import bottom_up, is_volatile
from semantic.compiler.trees import table_of


def inline_scan(plan: Query, _: RewriteContext) -> Query:
    """Mark scans whose columns may be computed where they are used.

    The scan must be all of FROM. Filters of its own keep it apart, since nothing may be evaluated
    before them, and so does a fence. A grouping key must be a column of the table: a constant would
    be read as a position, and a long expression is better computed once.
    """
    return bottom_up(plan, _inline)


def _inline(node: PlanNode) -> PlanNode:
    if not isinstance(node, Select) or not isinstance(node.source, Scan):
        return node
    scan = node.source
    if scan.inline or scan.fenced or scan.filters:
        return node
    if any(is_volatile(column.expression) for column in scan.columns):
        return node
    # A subquery may speak of a key, which a warehouse knows there as a column only.
    is_plain = _is_column if node.subqueries else _is_plain
    plain = {column.name for column in scan.columns if is_plain(column.expression)}
    keys = [*(node.group or ()), *node.distinct_on]
    if node.distinct:
        keys += [item.expression for item in node.projections]
    for key in keys:
        for column in key.find_all(exp.Column):
            if table_of(column) == scan.alias and column.name not in plain:
                return node
    return replace(node, source=replace(scan, inline=True))


def _is_column(node: exp.Expr) -> bool:
    return isinstance(node, exp.Column)


def _is_plain(node: exp.Expr) -> bool:
    while isinstance(node, exp.Cast):
        node = node.this
    return isinstance(node, exp.Column)
