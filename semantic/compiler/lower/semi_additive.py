"""Semi-additive measures: rows along a dimension do not add up."""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from semantic.compiler.lower.contexts import Context
from semantic.compiler.lower.evaluation import (
    Evaluation,
    Value,
    key_names,
    key_projections,
    measure_projections,
)
from semantic.compiler.lower.rows import RowSubquery
from semantic.compiler.no_rows import value_of_no_rows
from semantic.compiler.plan import Derived, Query, Select
from semantic.compiler.stages import SemiAdditive, Spec, children_of
from semantic.compiler.trees import column
from semantic.errors import UnsupportedError

_VALUE = "value"
_COMBINED = {"sum": exp.Sum, "min": exp.Min, "max": exp.Max, "avg": exp.Avg}


def evaluate_semi_additive(
    evaluation: Evaluation, spec: Spec, node: exp.Expr, context: Context
) -> Value:
    """A semi-additive measure for each group."""
    if not isinstance(spec, SemiAdditive):
        raise TypeError(type(spec).__name__)
    if context.window is not None:
        raise UnsupportedError(
            "a semi-additive measure over a window of time is not supported",
            hint="Group by the time, and take the window in a query around it.",
        )
    leaf, along, kept, *others = children_of(node)
    if not isinstance(kept, exp.Boolean):
        context = context.restricted(kept)
    if spec.choice in {"first", "last"}:
        query = _at_one_end(evaluation, context, spec, leaf, along, others)
    else:
        query = _over_values(evaluation, context, spec, leaf, along, others)
    names = key_names(len(context.keys))
    values = context.looked_up(evaluation.anchor)
    value = evaluation.attach_stage(query, names, values, "semi_additive").column(_VALUE)
    if value_of_no_rows(children_of(leaf)[0], portable=True) is None or spec.choice == "avg":
        return Value(value)
    return Value(exp.Coalesce(this=value, expressions=[exp.Literal.number(0)]))


def _at_one_end(
    evaluation: Evaluation,
    context: Context,
    spec: SemiAdditive,
    leaf: exp.Expr,
    along: exp.Expr,
    others: list[exp.Expr],
) -> Query:
    """The measure over the rows at the first or last value of the dimension."""
    rows = RowSubquery(evaluation.rows, context.where)
    keys = tuple(rows.column(node) for node in context.keys)
    use = evaluation.rows.leaf_use(leaf, rows.alias, rows.expression)
    end = exp.Window(
        this=exp.Max(this=along) if spec.choice == "last" else exp.Min(this=along),
        partition_by=[*context.keys, *others],
        over="OVER",
    )
    condition = exp.EQ(this=rows.column(along), expression=rows.column(end))
    return Select(
        projections=key_projections(keys) + measure_projections({_VALUE: use}),
        source=rows.make(),
        where=condition,
        group=keys,
        measures=(use,),
    )


def _over_values(
    evaluation: Evaluation,
    context: Context,
    spec: SemiAdditive,
    leaf: exp.Expr,
    along: exp.Expr,
    others: list[exp.Expr],
) -> Query:
    """The measure for each value of the dimension, and what becomes of those."""
    copy, condition = evaluation.rows.copy(
        (*context.where, exp.Not(this=exp.Is(this=along, expression=exp.Null())))
    )
    alias = copy.alias(evaluation.rows.columns.alias)
    keys = (*context.keys, *others, along)
    own = tuple(copy.expression(node) for node in keys)
    use = evaluation.rows.leaf_use(leaf, alias, copy.expression)
    query: Query = Select(
        projections=key_projections(own) + measure_projections({_VALUE: use}),
        source=copy.relation,
        where=condition,
        group=own,
        measures=(use,),
        subqueries=copy.subqueries,
    )
    count = len(context.keys)
    query = _combined(evaluation, query, spec, spec.choice, count + len(others))
    return _combined(evaluation, query, spec, spec.combine, count) if others else query


def _combined(
    evaluation: Evaluation, query: Query, spec: SemiAdditive, aggregate: str, count: int
) -> Query:
    """The values of a grouped query aggregated to its first ``count`` keys."""
    alias = evaluation.rows.names.alias("values")
    keys = tuple(column(alias, name) for name in key_names(count))
    use = replace(
        evaluation.rows.use,
        key=evaluation.rows.names.key(),
        alias=alias,
        formula=_COMBINED[aggregate](this=column(alias, _VALUE)),
        portable=spec.portable,
        type=spec.type,
        filter=None,
    )
    return Select(
        projections=key_projections(keys) + measure_projections({_VALUE: use}),
        source=Derived(alias, query),
        group=keys,
        measures=(use,),
    )
