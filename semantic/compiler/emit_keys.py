"""Grouping keys that are computed, written alike wherever they come."""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from semantic.compiler.aggregates import is_aggregate
from semantic.compiler.expressions import is_text_form
from semantic.compiler.plan import Select
from semantic.compiler.plan_types import PlanTypes
from semantic.compiler.trees import column, grouping_keys, rebuild
from semantic.model.types import NUMERIC

KEY_TABLE = "key:"
"""The table of the placeholders of grouping keys, which go by number."""

KEY_TEXT_TABLE = "key text:"
"""The same of keys that are read as texts of values (``is_text_form``)."""


def with_named_keys(
    plan: Select, keys: dict[str, exp.Expr], types: PlanTypes, dialect: str
) -> Select:
    """Name the grouping keys that are computed, so that each is written alike wherever it is.

    The warehouse finds a key in the select list by its text. What an expression becomes may
    depend on what is around it, as the digits of a quotient do.
    """
    read: dict[exp.Expr, exp.Expr] = {}
    grouped: dict[exp.Expr, exp.Expr] = {}
    for node in grouping_keys(plan.group or ()):
        if node in read or not node.find(exp.Column):
            continue
        kind = types.expression(node)
        in_text = is_text_form(kind, dialect)
        if in_text or not isinstance(node, exp.Column):
            name = str(len(keys))
            keys[name] = node
            types.define(KEY_TABLE, name, NUMERIC if in_text else kind)
            types.define(KEY_TEXT_TABLE, name, kind)
            grouped[node] = column(KEY_TABLE, name)
            read[node] = column(KEY_TEXT_TABLE if in_text else KEY_TABLE, name)
    return _with_placeholders(plan, read, grouped) if read else plan


def _with_placeholders(
    plan: Select, read: dict[exp.Expr, exp.Expr], grouped: dict[exp.Expr, exp.Expr]
) -> Select:
    """A grouped SELECT with placeholders for its keys wherever it reads them as keys.

    Args:
        plan: the select.
        read: a placeholder for each key.
        grouped: those for GROUPING(), which asks for the key and not for its value.
    """

    def placed(node: exp.Expr) -> exp.Expr:
        return rebuild(node, lambda item: _placed(item, read, grouped))

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


def _placed(
    node: exp.Expr, read: dict[exp.Expr, exp.Expr], grouped: dict[exp.Expr, exp.Expr]
) -> exp.Expr | None:
    found = read.get(node)
    if found is not None:
        return found
    if isinstance(node, exp.Grouping):
        return rebuild(node, grouped.get)
    if isinstance(node, exp.Window):
        # What a window function computes over are groups, keys and all.
        call = node.this
        within = {id(node), id(call)}
        if isinstance(call, exp.Filter | exp.IgnoreNulls | exp.RespectNulls):
            within.add(id(call.this))
        return rebuild(
            node,
            lambda item: None if id(item) in within else _placed(item, read, grouped),
        )
    # An aggregate computes over the rows.
    return node if isinstance(node, exp.Filter) or is_aggregate(node) else None


def key_text(key: exp.Expr, text: exp.Expr) -> exp.Expr:
    """A grouping key's text: that of any of its rows, which are equal, and NULL in totals."""
    present = exp.Not(this=exp.Is(this=exp.Paren(this=key), expression=exp.Null()))
    any_text = exp.Anonymous(this="any_value", expressions=[text])
    return exp.Case(ifs=[exp.If(this=present, true=any_text)])
