"""Merges a subquery that only projects, renames and filters into the SELECT around it."""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from semantic.compiler.plan import Derived, MeasureUse, PlanNode, Query, Select
from semantic.compiler.rewrite.context import RewriteContext
from semantic.compiler.rewrite.tools import bottom_up, everywhere, has_grouping_sets, is_volatile
from semantic.compiler.trees import all_of, copied, enclose, is_column_of, rebuild, table_of


def merge_subquery(plan: Query, _: RewriteContext) -> Query:
    """Put a plain subquery's expressions in place of its columns, and its WHERE beside the outer.

    Only where the subquery is all of FROM: on one side of a join its WHERE belongs where it is.
    """
    return merged(plan)


def merged(plan: Query) -> Query:
    """See ``merge_subquery``."""
    return bottom_up(plan, _merge)


def _merge(node: PlanNode) -> PlanNode:
    if not isinstance(node, Select) or not isinstance(node.source, Derived):
        return node
    derived = node.source
    inner = derived.query
    if not isinstance(inner, Select) or not _is_plain(inner, node) or has_grouping_sets(node):
        return node
    values = {item.name: _typed(item.expression) for item in inner.projections}
    uses = [_moved(use, derived.alias, values) for use in node.measures]
    measures = tuple(use for use in uses if use is not None)
    if len(measures) < len(uses):
        return node

    def substitute(tree: exp.Expr) -> exp.Expr:
        def value(item: exp.Expr) -> exp.Expr | None:
            if is_column_of(item, derived.alias):
                return enclose(copied(values[item.name]))
            return None

        return rebuild(tree, value)

    outer = everywhere(replace(node, source=None, measures=measures), substitute)
    conditions = [item for item in (inner.where, outer.where) if item is not None]
    return replace(
        outer,
        source=inner.source,
        where=all_of(conditions),
        subqueries=outer.subqueries + inner.subqueries,
    )


def _is_plain(inner: Select, outer: Select) -> bool:
    """Whether the subquery does nothing but compute columns of the rows that it keeps."""
    if inner.source is None or inner.group is not None or inner.windows or inner.measures:
        return False
    if inner.distinct or inner.distinct_on or inner.limit is not None or inner.offset is not None:
        return False
    if inner.order and not (outer.order or outer.group is not None):
        # The rows leave the subquery in its order, which a reader of the result may count on.
        return False
    return not any(_stays(item.expression) for item in inner.projections)


def _stays(node: exp.Expr) -> bool:
    """Whether an expression must not be copied: windows, subqueries and volatile functions."""
    return node.find(exp.Window, exp.Select) is not None or is_volatile(node)


def _typed(node: exp.Expr) -> exp.Expr:
    """A column made of a bare literal is text, which the literal itself is not yet."""
    if isinstance(node, exp.Null) or (isinstance(node, exp.Literal) and node.is_string):
        return exp.Cast(this=node, to=exp.DataType(this=exp.DType.TEXT, nested=False))
    return node


def _moved(use: MeasureUse, alias: str, values: dict[str, exp.Expr]) -> MeasureUse | None:
    """A measure over the subquery's columns as one over those of its source."""
    if use.alias != alias:
        return use
    needed = {item.name for item in use.formula.find_all(exp.Column) if table_of(item) == alias}
    columns = {name: values[name] for name in needed}
    tables = {table_of(node) for node in columns.values() if isinstance(node, exp.Column)}
    if len(tables) != 1 or not all(isinstance(node, exp.Column) for node in columns.values()):
        return None

    def source(item: exp.Expr) -> exp.Expr | None:
        return copied(columns[item.name]) if is_column_of(item, alias) else None

    return replace(use, alias=tables.pop(), formula=rebuild(use.formula, source))
