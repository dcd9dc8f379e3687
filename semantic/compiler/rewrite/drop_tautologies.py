"""Drops conditions that are always true, as tools send them: ``1 = 1``, ``HAVING COUNT(1) > 0``."""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from semantic.compiler.plan import Join, PlanNode, Query, Select
from semantic.compiler.rewrite.context import RewriteContext
from semantic.compiler.rewrite.tools import bottom_up
from semantic.compiler.trees import all_of, conjuncts


def drop_tautologies(plan: Query, _: RewriteContext) -> Query:
    """Leave out the parts of WHERE, HAVING and inner ON that hold for every row or group.

    A group that exists has a row, so ``COUNT(*) > 0`` says nothing there. Without GROUP BY the one
    group may be empty, and the condition stays.
    """
    return bottom_up(plan, _simplify)


def _simplify(node: PlanNode) -> PlanNode:
    if isinstance(node, Select):
        where = _without(node.where, groups=False)
        having = _without(node.having, groups=_every_group_has_rows(node))
        if where is not node.where or having is not node.having:
            return replace(node, where=where, having=having)
    if isinstance(node, Join) and node.kind == "INNER" and node.condition is not None:
        condition = _without(node.condition, groups=False)
        if condition is None:
            return replace(node, kind="CROSS", condition=None)
        if condition is not node.condition:
            return replace(node, condition=condition)
    return node


def _every_group_has_rows(select: Select) -> bool:
    if not select.group:
        return False
    return not any(
        isinstance(key, exp.GroupingSets | exp.Rollup | exp.Cube) for key in select.group
    )


def _without(node: exp.Expr | None, *, groups: bool) -> exp.Expr | None:
    if node is None:
        return None
    parts = conjuncts(node)
    kept = [part for part in parts if not _holds(part) and not (groups and _counts_rows(part))]
    return node if len(kept) == len(parts) else all_of(kept)


def _holds(node: exp.Expr) -> bool:
    """Whether a condition without columns is true: TRUE, or a comparison of two equal numbers."""
    if isinstance(node, exp.Boolean):
        return bool(node.this)
    if not isinstance(node, exp.EQ):
        return False
    left, right = node.this, node.expression
    if not (isinstance(left, exp.Literal) and isinstance(right, exp.Literal)):
        return False
    return left == right


def _counts_rows(node: exp.Expr) -> bool:
    """``COUNT(*) > 0`` or ``COUNT(1) > 0``."""
    if not isinstance(node, exp.GT) or node.expression != exp.Literal.number(0):
        return False
    call = node.this
    if not isinstance(call, exp.Count):
        return False
    return isinstance(call.this, exp.Star | exp.Literal)
