"""Lets a subquery speak of a measure's value over the group of the SELECT around it.

The groups become a derived table with the value as a column, and the subquery is correlated with
that column as with any other.
"""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from semantic.compiler.aggregates import is_aggregate
from semantic.compiler.lower.grouped import MainPart, aliases_of
from semantic.compiler.plan import (
    MEASURE_TABLE,
    Derived,
    PlanNode,
    Query,
    Select,
    Subquery,
    walk,
)
from semantic.compiler.rewrite.tools import bottom_up, everywhere, expressions_of
from semantic.compiler.trees import rebuild, table_of


def outer_measures(plan: Query) -> Query:
    """Compute the groups of a SELECT apart where a subquery in it needs their measures."""
    return bottom_up(plan, _lower)


def _lower(node: PlanNode) -> PlanNode:
    if not isinstance(node, Select) or not node.measures or not node.subqueries:
        return node
    keys = {use.key for use in node.measures}
    if not any(_speaks_of(item, keys) for item in node.subqueries):
        return node
    alias = f"{min(aliases_of(node.source))}:outer"
    main = MainPart(node, alias)
    rest = main.rest(Derived(alias, Select(())), {}, ())
    change = _Change(main)
    above = tuple(
        replace(item, query=everywhere(item.query, change.expression)) for item in rest.subqueries
    )
    return replace(rest, source=Derived(alias, main.make()), subqueries=above)


def _speaks_of(subquery: Subquery, keys: set[str]) -> bool:
    return any(
        table_of(column) == MEASURE_TABLE and column.name in keys
        for node in walk(subquery.query)
        for tree in expressions_of(node)
        for column in tree.find_all(exp.Column)
    )


class _Change:
    """Expressions of a subquery over the groups of the SELECT around it."""

    def __init__(self, main: MainPart) -> None:
        self._main = main
        self._aliases = aliases_of(main.select.source)
        self._keys = {use.key for use in main.select.measures}

    def expression(self, tree: exp.Expr) -> exp.Expr:
        return rebuild(tree, self._replace)

    def _replace(self, node: exp.Expr) -> exp.Expr | None:
        main = self._main
        if isinstance(node, exp.Column):
            mine = table_of(node) in self._aliases
            if mine or (table_of(node) == MEASURE_TABLE and node.name in self._keys):
                return main.after_grouping(node, {})
            return None
        if node in main.keys and self._is_outer(node):
            return main.key_column(main.keys.index(node))
        if is_aggregate(node) and self._is_outer(node):
            # All of its arguments are of the SELECT around: PostgreSQL takes it for one of that.
            return main.after_grouping(node, {})
        return None

    def _is_outer(self, node: exp.Expr) -> bool:
        tables = {table_of(item) for item in node.find_all(exp.Column)}
        return bool(tables) and tables <= self._aliases
