"""Computes grouping keys that divide once, below the grouping."""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from semantic.compiler.names import Names
from semantic.compiler.plan import (
    MEASURE_TABLE,
    SUBQUERY_TABLE,
    Derived,
    MeasureUse,
    PlanNode,
    Projection,
    Query,
    Relation,
    Select,
)
from semantic.compiler.rewrite.context import RewriteContext
from semantic.compiler.rewrite.tools import (
    bottom_up,
    everywhere,
    is_volatile,
    join_conditions,
    relation_aliases,
    subquery_keys,
)
from semantic.compiler.trees import (
    column,
    conjuncts,
    grouping_keys,
    is_column_of,
    rebuild,
    table_of,
)


def compute_keys(plan: Query, _: RewriteContext) -> Query:
    """Put keys with a quotient into a subquery.

    An exact quotient is long in some dialects, and a key is written in GROUP BY, in the select list
    and in ORDER BY.
    """
    return bottom_up(plan, _compute)


def _compute(node: PlanNode) -> PlanNode:
    if not isinstance(node, Select) or node.source is None:
        return node
    keys = [key for key in grouping_keys(node.group or ()) if _is_heavy(key)]
    aliases = list(relation_aliases(node.source))
    if not keys or len({use.alias for use in node.measures} - set(aliases)):
        return node
    return _Split(node, node.source, aliases, keys).select()


class _Split:
    """One SELECT as two: the rows with their keys, and the grouping of them."""

    def __init__(
        self, select: Select, source: Relation, aliases: list[str], keys: list[exp.Expr]
    ) -> None:
        self._select = select
        self._source = source
        self._aliases = frozenset(aliases)
        self._alias = f"{aliases[0]}:rows"
        self._names = Names()
        self._columns: dict[exp.Expr, exp.Column] = {}
        for number, key in enumerate(keys):
            if key not in self._columns:
                self._columns[key] = column(self._alias, self._names.take(f"key:{number + 1}"))

    def select(self) -> Select:
        select = self._select
        conditions = [*join_conditions(self._source), *conjuncts(select.where)]
        below = {key for item in conditions for key in subquery_keys(item)}
        outer = replace(
            select,
            source=None,
            where=None,
            measures=tuple(self._measure(use) for use in select.measures),
            subqueries=tuple(item for item in select.subqueries if item.key not in below),
        )
        outer = everywhere(outer, self._above)
        rows = Select(
            projections=tuple(
                Projection(made.name, expression) for expression, made in self._columns.items()
            ),
            source=self._source,
            where=select.where,
            subqueries=tuple(item for item in select.subqueries if item.key in below),
        )
        return replace(outer, source=Derived(self._alias, rows))

    def _above(self, tree: exp.Expr) -> exp.Expr:
        """An expression over the rows instead of what they are made of."""
        return rebuild(tree, self._column)

    def _column(self, node: exp.Expr) -> exp.Expr | None:
        known = self._columns.get(node)
        if known is None and isinstance(node, exp.Column) and table_of(node) in self._aliases:
            known = self._columns[node] = column(self._alias, self._names.take(node.name))
        return known

    def _measure(self, use: MeasureUse) -> MeasureUse:
        def moved(node: exp.Expr) -> exp.Expr | None:
            return self._column(node) if is_column_of(node, use.alias) else None

        return replace(use, alias=self._alias, formula=rebuild(use.formula, moved))


def _is_heavy(key: exp.Expr) -> bool:
    if key.find(exp.Div) is None or key.find(exp.Column) is None:
        return False
    placeholders = any(table_of(item) in _PLACEHOLDERS for item in key.find_all(exp.Column))
    return not placeholders and not is_volatile(key)


_PLACEHOLDERS = frozenset({MEASURE_TABLE, SUBQUERY_TABLE})
