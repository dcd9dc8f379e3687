"""Keeps columns apart that are the same in the warehouse's table."""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from semantic.compiler.plan import PlanNode, Query, Scan, Select
from semantic.compiler.rewrite.tools import bottom_up, has_grouping_sets
from semantic.compiler.trees import table_of


def alike_keys(plan: Query) -> Query:
    """Fence scans that make two keys of grouping sets of one expression.

    They are two columns of a cube: where rows are grouped by one, the other is NULL. PostgreSQL 16
    flattens the scan, takes the columns for one and leaves the second one out of ORDER BY.
    """
    return bottom_up(plan, _fence)


def _fence(node: PlanNode) -> PlanNode:
    if not isinstance(node, Select) or node.source is None or not has_grouping_sets(node):
        return node
    keys: dict[str, set[str]] = {}
    for element in node.group or ():
        for column in element.find_all(exp.Column):
            keys.setdefault(table_of(column), set()).add(column.name)

    def fenced(item: PlanNode) -> PlanNode:
        if isinstance(item, Scan) and _are_alike(item, keys.get(item.alias, set())):
            return replace(item, fenced=True)
        return item

    return replace(node, source=bottom_up(node.source, fenced))


def _are_alike(scan: Scan, names: set[str]) -> bool:
    """Whether some of the columns are made of the same expression."""
    found = [column.expression for column in scan.columns if column.name in names]
    return len(set(found)) < len(found)
