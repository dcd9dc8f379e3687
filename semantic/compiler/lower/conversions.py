"""Conversions: which base rows are credited with a converted row.

A converted row is credited to the latest base row of its entity before it, so a base row is
credited if a converted row comes after it, not after the entity's next base row, and in time. That
is decided over all events; the query's conditions and groups are about base rows only.
"""

from __future__ import annotations

from sqlglot import exp

from semantic.compiler.lower.contexts import Context
from semantic.compiler.lower.copies import Copy
from semantic.compiler.lower.evaluation import Evaluation, Value, key_names, key_projections
from semantic.compiler.lower.rows import RowSubquery
from semantic.compiler.lower.times import earlier
from semantic.compiler.plan import Derived, Join, Projection, Query, Scan, Select
from semantic.compiler.stages import Conversion, EventScan, Spec, children_of
from semantic.compiler.trees import all_of, column
from semantic.errors import UnsupportedError

_VALUE = "value"
_NEXT = "next"


def evaluate_conversion(
    evaluation: Evaluation, spec: Spec, node: exp.Expr, context: Context
) -> Value:
    """The number of credited base rows, or their part of all base rows."""
    if not isinstance(spec, Conversion) or spec.scans is None:
        raise TypeError(type(spec).__name__)
    if context.window is not None:
        raise UnsupportedError(
            "a conversion over a window of time is not supported",
            hint="Group by the time, and take the window in a query around it.",
        )
    _, condition, *key = children_of(node)
    rows = RowSubquery(evaluation.rows, (*context.where, condition))
    keys = tuple(rows.column(item) for item in context.keys)
    own = tuple(rows.column(item) for item in key)
    alias = evaluation.rows.names.alias("credited")
    names = key_names(len(key))
    same = [
        exp.EQ(this=one, expression=column(alias, name))
        for one, name in zip(own, names, strict=True)
    ]
    credited = Derived(alias, _credited(evaluation, spec, *spec.scans))
    value: exp.Expr = exp.Count(this=column(alias, names[0]), big_int=True)
    if spec.rate:
        all_rows = exp.Count(this=own[0], big_int=True)
        none = exp.Nullif(this=all_rows, expression=exp.Literal.number(0))
        double = exp.DataType(this=exp.DType.DOUBLE, nested=False)
        value = exp.Div(this=exp.Cast(this=value, to=double), expression=none)
    query = Select(
        projections=(*key_projections(keys), Projection(_VALUE, value)),
        source=Join(rows.make(), credited, "LEFT", all_of(list(same))),
        group=keys,
    )
    looked_up = context.looked_up(evaluation.anchor)
    part = evaluation.attach_stage(query, key_names(len(keys)), looked_up, "conversion")
    if spec.rate:
        return Value(part.column(_VALUE))
    zero = exp.Literal.number(0)
    return Value(exp.Coalesce(this=part.column(_VALUE), expressions=[zero]))


def _credited(
    evaluation: Evaluation, spec: Conversion, base: EventScan, converted: EventScan
) -> Query:
    """The keys of the base rows that a converted row is credited to."""
    names = evaluation.rows.names
    first, second = names.alias("base"), names.alias("converted")
    before = _events(evaluation, base, with_next=True)
    after = _events(evaluation, converted, with_next=False)
    time, later = column(first, base.time), column(second, converted.time)
    following = column(first, _NEXT)
    last = exp.Is(this=following, expression=exp.Null())
    conditions: list[exp.Expr] = [
        exp.EQ(this=column(second, converted.entity), expression=column(first, base.entity)),
        *(
            exp.EQ(this=column(second, other), expression=column(first, one))
            for one, other in zip(base.properties, converted.properties, strict=True)
        ),
        exp.GT(this=later, expression=time),
        exp.Paren(this=exp.Or(this=last, expression=exp.LTE(this=later, expression=following))),
    ]
    if spec.window is not None:
        conditions.append(exp.GTE(this=time, expression=earlier(later, spec.window)))
    return Select(
        projections=key_projections(tuple(column(first, name) for name in base.key)),
        source=Join(Derived(first, before), Derived(second, after), "INNER", all_of(conditions)),
        distinct=True,
    )


def _events(evaluation: Evaluation, events: EventScan, *, with_next: bool) -> Query:
    scan = events.scan
    if not isinstance(scan, Scan):
        raise TypeError(type(scan).__name__)
    copy = Copy(evaluation.rows.names, scan, ())
    alias = copy.alias(scan.alias)

    def own(name: str) -> exp.Column:
        return column(alias, name)

    used = [events.time, events.entity, *events.properties]
    if with_next:
        used += events.key
    projections = [Projection(name, own(name)) for name in used]
    if with_next:
        keys = [events.time, *events.key]
        following = exp.Window(
            this=exp.Lead(this=own(events.time)),
            partition_by=[own(events.entity), *(own(name) for name in events.properties)],
            order=exp.Order(
                expressions=[exp.Ordered(this=own(name), nulls_first=False) for name in keys]
            ),
            over="OVER",
        )
        projections.append(Projection(_NEXT, following))
    present = exp.Not(this=exp.Is(this=own(events.time), expression=exp.Null()))
    where = all_of([own(events.condition), present])
    return Select(projections=tuple(projections), source=copy.relation, where=where)
