"""What a part of a plan reads, and whether it can be computed apart from the rest."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from semantic.compiler.plan import (
    MEASURE_TABLE,
    SUBQUERY_TABLE,
    AliasedRelation,
    Cte,
    CteReference,
    PlanNode,
    Scan,
    Select,
    Subquery,
    TemporaryRows,
    walk,
)
from semantic.compiler.rewrite.tools import expressions_of
from semantic.compiler.trees import table_of


def data_sources(node: PlanNode) -> tuple[str, ...]:
    """The warehouses whose rows a part reads, each once."""
    return tuple(dict.fromkeys(each.data_source for each in walk(node) if isinstance(each, Scan)))


def aliases_in(node: PlanNode) -> frozenset[str]:
    """The aliases of all relations of a part."""
    return frozenset(each.alias for each in walk(node) if isinstance(each, AliasedRelation))


def is_closed(node: PlanNode) -> bool:
    """Whether a part speaks of nothing outside of it, and of no rows that only the stage has."""
    if is_correlated(node):
        return False
    ctes = {each.key for each in walk(node) if isinstance(each, Cte)}
    queries = {each.key for each in walk(node) if isinstance(each, Subquery)}
    for each in walk(node):
        if isinstance(each, TemporaryRows):
            return False
        if isinstance(each, CteReference) and each.cte not in ctes:
            return False
        for column in columns_of(each):
            if table_of(column) == SUBQUERY_TABLE and column.name not in queries:
                return False
    return True


def is_correlated(node: PlanNode) -> bool:
    """Whether a part speaks of rows outside of it."""
    known = {*aliases_in(node), MEASURE_TABLE, SUBQUERY_TABLE}
    return any(table_of(item) not in known for each in walk(node) for item in columns_of(each))


def columns_of(node: PlanNode) -> Iterator[exp.Column]:
    """The columns in the expressions of one node (not of the nodes below)."""
    for tree in expressions_of(node):
        yield from tree.find_all(exp.Column)
    if isinstance(node, Select):
        for use in node.measures:
            if not use.portable:
                yield from use.formula.find_all(exp.Column)


def references(node: PlanNode) -> frozenset[tuple[str, str]]:
    """The columns that a part speaks of, as pairs of alias and name."""
    return frozenset(
        (table_of(column), column.name) for each in walk(node) for column in columns_of(each)
    )
