"""Scans that parts have copied, without the columns and joins that a part does not need."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace

from sqlglot import exp

from semantic.compiler.plan import PlanNode, Query, Scan, ScanJoin
from semantic.compiler.rewrite.tools import bottom_up
from semantic.compiler.trees import table_of


def prune_scans(plan: Query) -> Query:
    """A plan whose scans have the columns that are read, and the joins that those need."""
    used: dict[str, set[str]] = defaultdict(set)
    for tree in _trees(plan):
        for item in tree.find_all(exp.Column):
            used[table_of(item)].add(item.name)

    def pruned(node: PlanNode) -> PlanNode:
        if not isinstance(node, Scan):
            return node
        columns = tuple(item for item in node.columns if item.name in used[node.alias])
        trees = [*(item.expression for item in columns), *node.filters]
        return replace(node, columns=columns, joins=tuple(_needed(node, trees)))

    return bottom_up(plan, pruned)


def _needed(scan: Scan, trees: list[exp.Expr]) -> Iterator[ScanJoin]:
    """The joins that have a say in which rows there are, or a column that is read."""
    tables = {table_of(item) for tree in trees for item in tree.find_all(exp.Column)}
    kept: set[str] = set()
    # A join's condition is over the tables before it.
    for join in reversed(scan.joins):
        if join.structural or join.kind != "LEFT" or join.alias in tables:
            kept.add(join.alias)
            tables |= {table_of(item) for item in join.condition.find_all(exp.Column)}
    return (join for join in scan.joins if join.alias in kept)


def _trees(value: object) -> Iterator[exp.Expr]:
    """Every expression of a plan but those inside scans."""
    if isinstance(value, exp.Expr):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _trees(item)
    elif is_dataclass(value) and not isinstance(value, Scan):
        for field in fields(value):
            yield from _trees(getattr(value, field.name))
