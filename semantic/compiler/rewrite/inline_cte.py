"""Puts a WITH query in the place of the only reference to it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from semantic.compiler.plan import Cte, CteReference, Derived, PlanNode, Query, Select, With, walk
from semantic.compiler.rewrite.context import RewriteContext
from semantic.compiler.rewrite.tools import bottom_up, expressions_of, is_volatile


def inline_cte(plan: Query, _: RewriteContext) -> Query:
    """Make a subquery of a WITH query that only computes columns of rows, and is read once.

    PostgreSQL does so, too, unless it is told that the query is to be MATERIALIZED. Other rules see
    through a subquery.
    """
    reads = Counter(node.cte for node in walk(plan) if isinstance(node, CteReference))
    return bottom_up(plan, lambda node: _inlined(node, reads))


def _inlined(node: PlanNode, reads: Counter[str]) -> PlanNode:
    if not isinstance(node, With):
        return node
    kept: list[Cte] = []
    moved: dict[str, Query] = {}

    def place(item: PlanNode) -> PlanNode:
        if isinstance(item, CteReference) and item.cte in moved:
            return Derived(item.alias, moved[item.cte])
        return item

    for cte in node.ctes:
        query = bottom_up(cte.query, place)
        if reads[cte.key] == 1 and _may_move(cte):
            moved[cte.key] = query
        else:
            kept.append(replace(cte, query=query) if query is not cte.query else cte)
    if not moved:
        return node
    body = bottom_up(node.body, place)
    return With(tuple(kept), body) if kept else body


def _may_move(cte: Cte) -> bool:
    query = cte.query
    if cte.recursive or cte.materialized or not isinstance(query, Select):
        return False
    if query.group is not None or query.distinct or query.limit is not None or query.order:
        return False
    if query.offset is not None or query.windows or query.measures or query.subqueries:
        return False
    return not any(is_volatile(tree) for tree in expressions_of(query))
