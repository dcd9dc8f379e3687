"""Queries in other forms that mean the same, for warehouses that lack the one they are written in.

What they make compares and sorts the same values as before.
"""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from semantic.compiler.expressions import Features
from semantic.compiler.expressions.types import INTEGERS
from semantic.compiler.plan import (
    AliasedRelation,
    Derived,
    Join,
    OrderKey,
    PlanNode,
    Projection,
    Relation,
    Scan,
    Select,
    Subquery,
    walk,
)
from semantic.compiler.plan_types import PlanTypes
from semantic.compiler.rewrite.tools import (
    expressions_of,
    is_volatile,
    relation_aliases,
    subquery_keys,
)
from semantic.compiler.trees import all_of, column, conjuncts, table_of


def reformed(node: PlanNode, features: Features, types: PlanTypes) -> PlanNode:
    """A node in a form that the features allow, where there is one; else as it is.

    Args:
        node: with the nodes below it reformed already.
        features: of the warehouse.
        types: of the plan before.
    """
    if not isinstance(node, Select):
        return node
    if not features.correlated_subqueries:
        node = _with_semi_joins(node, types)
    if not features.sort_expressions and _sorts_by_more(node):
        node = _sorted_above(node)
    return node


def _with_semi_joins(select: Select, types: PlanTypes) -> Select:
    """WHERE EXISTS of rows that are equal in something: a join with what these are equal in."""
    conditions = conjuncts(select.where)
    source = select.source
    for condition in list(conditions):
        key = _existing(condition)
        found = next((item for item in select.subqueries if item.key == key), None)
        right = None if found is None or source is None else _partners(found, source, types)
        if right is None or source is None:
            continue
        if isinstance(source, Scan):
            # The tables of a scan are out of sight of what stands beside it.
            source = replace(source, inline=False)
        source = Join(source, right[0], "INNER", right[1], is_to_one=True)
        conditions.remove(condition)
    if source is select.source:
        return select
    changed = replace(select, source=source, where=all_of(conditions))
    kept = {key for tree in expressions_of(changed) for key in subquery_keys(tree)}
    return replace(
        changed, subqueries=tuple(item for item in select.subqueries if item.key in kept)
    )


def _existing(condition: exp.Expr) -> str:
    """The key of the subquery of an EXISTS; empty for anything else."""
    inner = condition.this if isinstance(condition, exp.Exists) else None
    keys = list(subquery_keys(inner)) if isinstance(inner, exp.Expr) else []
    return keys[0] if len(keys) == 1 else ""


def _partners(
    subquery: Subquery, outer: Relation, types: PlanTypes
) -> tuple[Derived, exp.Expr] | None:
    """The different values that rows of a subquery have, and the condition of a join with them."""
    query = subquery.query
    if not isinstance(query, Select) or not _is_plain(query):
        return None
    outside = set(relation_aliases(outer))
    inside = set(relation_aliases(query.source))
    values: list[exp.Expr] = []
    wanted: list[exp.Expr] = []
    others: list[exp.Expr] = []
    for condition in conjuncts(query.where):
        if _tables(condition) <= inside:
            others.append(condition)
            continue
        pair = _equated(condition, inside, outside)
        if pair is None or not _are_alike(*pair, types):
            return None
        values.append(pair[0])
        wanted.append(pair[1])
    if not values:
        return None
    projections = tuple(Projection(f"c{i}", item) for i, item in enumerate(values, start=1))
    made = replace(query, projections=projections, where=all_of(others), distinct=True)
    if not _is_closed(made):
        return None
    alias = f"{next(iter(sorted(inside)))}:partners"
    equal: list[exp.Expr] = [
        exp.EQ(this=node, expression=column(alias, item.name))
        for node, item in zip(wanted, projections, strict=True)
    ]
    found = all_of(equal)
    return None if found is None else (Derived(alias, made), found)


def _is_plain(query: Select) -> bool:
    """Whether a SELECT has just the rows of its source that its WHERE leaves."""
    other = (query.having, query.limit, query.offset)
    if query.source is None or query.group is not None or query.windows or query.distinct_on:
        return False
    return not query.measures and not query.subqueries and all(item is None for item in other)


def _equated(
    condition: exp.Expr, inside: set[str], outside: set[str]
) -> tuple[exp.Expr, exp.Expr] | None:
    """The inner and the outer side of an equality."""
    if not isinstance(condition, exp.EQ) or is_volatile(condition):
        return None
    one, two = condition.this, condition.expression
    for inner, outer in ((one, two), (two, one)):
        if _tables(inner) and _tables(inner) <= inside and _tables(outer) <= outside:
            return None if not _tables(outer) else (inner, outer)
    return None


def _are_alike(one: exp.Expr, two: exp.Expr, types: PlanTypes) -> bool:
    """Whether different values of the one side never equal the same value of the other.

    Integers may, once they are made doubles.
    """
    names = {types.expression(one).name, types.expression(two).name}
    return len(names) == 1 or names <= set(INTEGERS)


def _tables(node: exp.Expr) -> set[str]:
    return {table_of(item) for item in node.find_all(exp.Column)}


def _is_closed(query: Select) -> bool:
    """Whether a query without subqueries speaks of its own rows alone."""
    nodes = list(walk(query))
    known = {node.alias for node in nodes if isinstance(node, AliasedRelation)}
    return all(_tables(tree) <= known for node in nodes for tree in expressions_of(node))


def _sorts_by_more(select: Select) -> bool:
    """Whether a sort key is no output column and needs windows, or groups that HAVING chooses."""
    return any(
        key.output is None and (select.having is not None or key.expression.find(exp.Window))
        for key in select.order
    )


def _sorted_above(select: Select) -> Select:
    """The sort keys as columns of a query below."""
    aliases = sorted(relation_aliases(select.source))
    if select.distinct or select.distinct_on or not aliases:
        return select
    alias = f"{aliases[0]}:sorted"
    hidden: list[Projection] = []
    order: list[OrderKey] = []
    for key in select.order:
        if key.output is None:
            hidden.append(Projection(f"sort:{len(hidden) + 1}", key.expression))
            name = hidden[-1].name
        else:
            name = select.projections[key.output].name
        order.append(replace(key, expression=column(alias, name)))
    below = replace(
        select,
        projections=(*select.projections, *hidden),
        order=(),
        limit=None,
        offset=None,
        with_ties=False,
    )
    outer = tuple(Projection(item.name, column(alias, item.name)) for item in select.projections)
    counts = [item for item in (select.limit, select.offset) if item is not None]
    keys = {key for item in counts for key in subquery_keys(item)}
    below = replace(below, subqueries=tuple(i for i in select.subqueries if i.key not in keys))
    return Select(
        outer,
        Derived(alias, below),
        order=tuple(order),
        limit=select.limit,
        offset=select.offset,
        with_ties=select.with_ties,
        subqueries=tuple(i for i in select.subqueries if i.key in keys),
    )
