"""Leaves out cubes that a query joins by the model and has no column of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace

from sqlglot import exp

from semantic.compiler.plan import Join, PlanNode, Query, Relation, Scan, Select
from semantic.compiler.rewrite.context import RewriteContext
from semantic.compiler.rewrite.tools import bottom_up
from semantic.compiler.trees import table_of


def drop_unused_join(plan: Query, _: RewriteContext) -> Query:
    """Leave out to-one LEFT JOINs of the model whose columns nothing asks for.

    Such a join neither adds nor drops rows, as the model says (rule R2).
    """
    return bottom_up(plan, _drop)


def _drop(node: PlanNode) -> PlanNode:
    if not isinstance(node, Select) or not isinstance(node.source, Join):
        return node
    source: Relation = node.source
    while True:
        smaller = _without(source, _tables_of(replace(node, source=None)), source)
        if smaller is source:
            break
        source = smaller
    return node if source is node.source else replace(node, source=source)


def _without(relation: Relation, used: set[str], top: Relation) -> Relation:
    """The tree without one join that can go; the same tree if there is none."""
    if not isinstance(relation, Join):
        return relation
    if relation.is_to_one and relation.kind == "LEFT" and isinstance(relation.right, Scan):
        alias = relation.right.alias
        if alias not in used and alias not in _tables_of(top, relation):
            return relation.left
    left = _without(relation.left, used, top)
    if left is not relation.left:
        return replace(relation, left=left)
    right = _without(relation.right, used, top)
    return relation if right is relation.right else replace(relation, right=right)


def _tables_of(node: object, skipped: Join | None = None) -> set[str]:
    """The relations whose columns a node speaks of, but for the condition of one join."""
    return set(_tables(node, skipped))


def _tables(node: object, skipped: Join | None) -> Iterator[str]:
    if isinstance(node, exp.Expr):
        for item in node.find_all(exp.Column):
            yield table_of(item)
    elif isinstance(node, tuple):
        for item in node:
            yield from _tables(item, skipped)
    elif node is skipped and isinstance(node, Join):
        yield from _tables((node.left, node.right), skipped)
    elif is_dataclass(node) and not isinstance(node, Scan):
        # What is inside a scan is over tables of its own.
        for field in fields(node):
            yield from _tables(getattr(node, field.name), skipped)
