"""What the rules share: walking plans bottom up and changing their expressions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import TypeVar, cast

from sqlglot import exp

from semantic.compiler.expressions.configured import configured_function
from semantic.compiler.plan import (
    SUBQUERY_TABLE,
    AliasedRelation,
    FunctionTable,
    Join,
    MeasureUse,
    OrderKey,
    PlanNode,
    Projection,
    Relation,
    Select,
    SetOperation,
    Values,
)
from semantic.compiler.trees import table_of

Node = TypeVar("Node", bound=PlanNode)
Change = Callable[[exp.Expr], exp.Expr]

_WITH_EXPRESSIONS = (Select, Join, SetOperation, Values, FunctionTable)

# A function whose two calls may differ keeps its place: it is neither copied nor moved.
_VOLATILE = frozenset(
    {
        "clock_timestamp",
        "gen_random_uuid",
        "rand",
        "random",
        "setseed",
        "timeofday",
        "uuid",
        "uuid_generate_v4",
    }
)


def bottom_up(node: Node, change: Callable[[PlanNode], PlanNode]) -> Node:
    """Change every node of a plan, children first. Nodes that stay equal stay the same objects."""
    updates: dict[str, object] = {}
    for field in fields(node):
        value = getattr(node, field.name)
        if isinstance(value, PlanNode):
            new: object = bottom_up(value, change)
        elif isinstance(value, tuple) and any(isinstance(item, PlanNode) for item in value):
            new = tuple(
                bottom_up(item, change) if isinstance(item, PlanNode) else item for item in value
            )
            if all(a is b for a, b in zip(new, value, strict=True)):
                continue
        else:
            continue
        if new is not value:
            updates[field.name] = new
    if updates:
        node = replace(node, **updates)
    return cast("Node", change(node))


def with_expressions(node: Node, change: Change) -> Node:
    """Change every PostgreSQL expression of one node (not of the nodes below)."""
    updates: dict[str, object] = {}
    for field in fields(node):
        value = getattr(node, field.name)
        if isinstance(value, exp.Expr):
            updates[field.name] = change(value)
        elif isinstance(value, tuple):
            updates[field.name] = tuple(_changed(item, change) for item in value)
    return replace(node, **updates) if updates else node


def _changed(item: object, change: Change) -> object:
    if isinstance(item, exp.Expr):
        return change(item)
    if isinstance(item, Projection | OrderKey):
        return replace(item, expression=change(item.expression))
    if isinstance(item, MeasureUse):
        return _changed_use(item, change)
    if isinstance(item, tuple):
        return tuple(_changed(part, change) for part in item)
    return item


def _changed_use(use: MeasureUse, change: Change) -> MeasureUse:
    """A measure's formula may speak of columns outside only where it is PostgreSQL's."""
    updates: dict[str, exp.Expr] = {}
    if use.filter is not None:
        updates["filter"] = change(use.filter)
    if use.portable:
        updates["formula"] = change(use.formula)
    return replace(use, **updates) if updates else use  # type: ignore[arg-type]


def join_conditions(relation: Relation | None) -> Iterator[exp.Expr]:
    """The conditions of the joins that a FROM is made of, which hold subqueries of its SELECT."""
    if isinstance(relation, Join):
        yield from join_conditions(relation.left)
        yield from join_conditions(relation.right)
        if relation.condition is not None:
            yield relation.condition


def expressions_of(node: PlanNode) -> Iterator[exp.Expr]:
    """Every PostgreSQL expression of one node (not of the nodes below)."""
    found: list[exp.Expr] = []
    if isinstance(node, _WITH_EXPRESSIONS):

        def keep(tree: exp.Expr) -> exp.Expr:
            found.append(tree)
            return tree

        with_expressions(node, keep)
    yield from found


def everywhere(node: Node, change: Change) -> Node:
    """Change every PostgreSQL expression of a plan."""

    def on_node(item: PlanNode) -> PlanNode:
        if isinstance(item, _WITH_EXPRESSIONS):
            return with_expressions(item, change)
        return item

    return bottom_up(node, on_node)


def is_volatile(node: exp.Expr) -> bool:
    """Whether an expression may give another value each time it is computed."""
    return any(
        isinstance(item, exp.Rand | exp.Uuid)
        or (isinstance(item, exp.Anonymous) and item.name.lower() in _VOLATILE)
        or ((function := configured_function(item)) is not None and function.volatile)
        for item in node.walk()
    )


def has_grouping_sets(node: Select) -> bool:
    """Whether keys are told apart by their columns, which may turn out to be the same below."""
    sets = (exp.GroupingSets, exp.Rollup, exp.Cube)
    return any(isinstance(key, sets) for key in node.group or ())


def relation_aliases(source: PlanNode | None) -> Iterator[str]:
    """The aliases of the relations that a FROM clause makes visible, left to right."""
    if isinstance(source, AliasedRelation):
        yield source.alias
    elif source is not None:
        for child in source.children():
            yield from relation_aliases(child)


def subquery_keys(node: exp.Expr) -> Iterator[str]:
    """The keys of the subqueries that an expression holds."""
    for item in node.find_all(exp.Column):
        if table_of(item) == SUBQUERY_TABLE:
            yield item.name
