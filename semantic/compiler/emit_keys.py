"""Grouping keys that are computed, written alike wherever they come."""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from semantic.compiler.emit_parts import grouping_keys
from semantic.compiler.plan import Select
from semantic.compiler.plan_types import PlanTypes
from semantic.compiler.trees import column, rebuild

KEY_TABLE = "key:"
"""The table of the placeholders of grouping keys, which go by number."""


def with_named_keys(plan: Select, keys: dict[str, exp.Expr], types: PlanTypes) -> Select:
    """Name the grouping keys that are computed, so that each is written alike wherever it is.

    The warehouse finds a key in the select list by its text. What an expression becomes may
    depend on what is around it, as the digits of a quotient do.
    """
    names: dict[exp.Expr, exp.Expr] = {}
    for node in grouping_keys(plan.group or ()):
        if not isinstance(node, exp.Column) and node.find(exp.Column) and node not in names:
            name = str(len(keys))
            keys[name] = node
            types.define(KEY_TABLE, name, types.expression(node))
            names[node] = column(KEY_TABLE, name)
    if not names:
        return plan

    def placed(node: exp.Expr) -> exp.Expr:
        return rebuild(node, names.get)

    return replace(
        plan,
        projections=tuple(
            replace(item, expression=placed(item.expression)) for item in plan.projections
        ),
        having=None if plan.having is None else placed(plan.having),
        order=tuple(replace(key, expression=placed(key.expression)) for key in plan.order),
        distinct_on=tuple(placed(node) for node in plan.distinct_on),
        windows=tuple((name, placed(node)) for name, node in plan.windows),
    )
