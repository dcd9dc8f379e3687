"""Copies of parts of a plan: every relation and placeholder of a plan has a name of its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sqlglot import exp

from semantic.compiler.names import Names
from semantic.compiler.plan import (
    MEASURE_TABLE,
    SUBQUERY_TABLE,
    Cte,
    CteReference,
    Derived,
    MeasureUse,
    PlanNode,
    Relation,
    Scan,
    Select,
    Subquery,
    TemporaryRows,
    walk,
)
from semantic.compiler.rewrite.tools import Node, bottom_up, everywhere, subquery_keys
from semantic.compiler.trees import column, rebuild, table_of


class PlanNames:
    """Aliases and keys that no node of a plan has yet."""

    def __init__(self, plan: PlanNode) -> None:
        self._names = Names()
        self._counter = 0
        for node in walk(plan):
            if isinstance(node, Scan | Derived | CteReference | TemporaryRows):
                self._names.take(node.alias)
                if isinstance(node, Scan):
                    for join in node.joins:
                        self._names.take(join.alias)
            elif isinstance(node, Cte):
                self._names.take(node.key)

    def alias(self, wanted: str) -> str:
        """An alias, or the key of a WITH query."""
        return self._names.take(wanted)

    def key(self) -> str:
        """The key of a measure or a subquery: the statement's own are plain numbers."""
        self._counter += 1
        return f"s{self._counter}"


class Copy:
    """A copy of a relation and of expressions over it, under names of their own."""

    def __init__(
        self, names: PlanNames, relation: Relation, subqueries: Iterable[Subquery]
    ) -> None:
        self._names = names
        self._aliases: dict[str, str] = {}
        self._keys: dict[str, str] = {}
        self._collect(relation)
        nodes = list(subqueries)
        for node in nodes:
            self._collect(node)
        self.relation = self._renamed(relation)
        self.subqueries = tuple(self._renamed(node) for node in nodes)

    def expression(self, node: exp.Expr) -> exp.Expr:
        """An expression over the relation as one over its copy."""

        def rename(item: exp.Expr) -> exp.Expr | None:
            if not isinstance(item, exp.Column):
                return None
            table = table_of(item)
            if table in (MEASURE_TABLE, SUBQUERY_TABLE):
                key = self._keys.get(item.name)
                return None if key is None else column(table, key)
            alias = self._aliases.get(table)
            return None if alias is None else column(alias, item.name)

        return rebuild(node, rename)

    def alias(self, alias: str) -> str:
        """The alias of a relation in the copy."""
        return self._aliases.get(alias, alias)

    def _collect(self, top: PlanNode) -> None:
        for node in walk(top):
            if isinstance(node, Scan | Derived | CteReference | TemporaryRows):
                self._aliases[node.alias] = self._names.alias(node.alias)
            elif isinstance(node, Cte):
                self._aliases[node.key] = self._names.alias(node.key)
            elif isinstance(node, Subquery):
                self._keys[node.key] = self._names.key()
            elif isinstance(node, Select):
                for use in node.measures:
                    self._keys[use.key] = self._names.key()

    def _renamed(self, node: Node) -> Node:
        return bottom_up(everywhere(node, self.expression), self._rename_node)

    def _rename_node(self, node: PlanNode) -> PlanNode:
        if isinstance(node, Scan | Derived | TemporaryRows):
            return replace(node, alias=self._aliases[node.alias])
        if isinstance(node, CteReference):
            alias = self._aliases[node.alias]
            return replace(node, alias=alias, cte=self._aliases.get(node.cte, node.cte))
        if isinstance(node, Cte):
            return replace(node, key=self._aliases[node.key])
        if isinstance(node, Subquery):
            return replace(node, key=self._keys[node.key])
        if isinstance(node, Select):
            return replace(node, measures=tuple(self._measure(use) for use in node.measures))
        return node

    def _measure(self, use: MeasureUse) -> MeasureUse:
        row_keys = tuple(
            replace(
                key,
                columns=tuple(self.expression(node) for node in key.columns),
                apart=tuple(self.expression(node) for node in key.apart),
            )
            for key in use.row_keys
        )
        return replace(
            use,
            key=self._keys[use.key],
            alias=self.alias(use.alias),
            formula=self.expression(use.formula),
            row_keys=row_keys,
        )


def subqueries_of(nodes: Iterable[exp.Expr | None], select: Select) -> tuple[Subquery, ...]:
    """The subqueries of a SELECT that some of its expressions hold."""
    keys = {key for node in nodes if node is not None for key in subquery_keys(node)}
    return tuple(item for item in select.subqueries if item.key in keys)
