"""Values at a grain of their own, aggregated to the groups; and ranks among the groups."""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from semantic.compiler.lower.contexts import Context
from semantic.compiler.lower.evaluation import Evaluation, Value, key_names, key_projections
from semantic.compiler.lower.times import substituted
from semantic.compiler.no_rows import value_of_no_rows
from semantic.compiler.plan import (
    MEASURE_TABLE,
    Derived,
    MeasureUse,
    Projection,
    Query,
    Select,
)
from semantic.compiler.stages import (
    Grain,
    Inner,
    Leaf,
    Rank,
    Shift,
    Spec,
    Window,
    children_of,
    spec_of,
    stages_in,
)
from semantic.compiler.trees import column, rebuild
from semantic.errors import UnsupportedError
from semantic.model.types import NUMERIC, PostgresType

_VALUE = "value"


def evaluate_grain(evaluation: Evaluation, spec: Spec, node: exp.Expr, context: Context) -> Value:
    """A value at its own grain, for each group."""
    if not isinstance(spec, Grain):
        raise TypeError(type(spec).__name__)
    formula, *dimensions = children_of(node)
    _check_context(context, formula)
    canonical = [evaluation.rows.columns.canonical(item) for item in dimensions]
    kept = _kept_keys(evaluation, spec.mode, canonical)
    added = _added(evaluation, spec.mode, canonical, context)
    if added and not spec.aggregates:
        raise UnsupportedError(
            "this measure is computed at a finer grain than the query's, and says no aggregate",
            hint="Give it the type sum, avg, min or max, or group by "
            + ", ".join(item.name for item in added if isinstance(item, exp.Column))
            + ".",
        )
    keys = (*(context.keys[place] for place in kept), *added)
    inner = [item for item in stages_in(formula) if isinstance(spec_of(item), Inner)]
    values = tuple(dict.fromkeys(children_of(item)[0] for item in inner))
    query = _inner_query(evaluation, context, keys, values)
    alias = evaluation.rows.names.alias("grain")
    outer = rebuild(formula, lambda item: _inner_column(item, alias, values))
    names = key_names(len(kept))
    own = tuple(column(alias, name) for name in names)
    use = replace(
        evaluation.rows.use,
        key=evaluation.rows.names.key(),
        alias=alias,
        formula=outer,
        portable=spec.portable,
        type=spec.type,
        filter=None,
    )
    if spec.aggregates or not isinstance(outer, exp.Column):
        made: exp.Expr = column(MEASURE_TABLE, use.key)
        uses: tuple[MeasureUse, ...] = (use,)
    else:
        made, uses = outer, ()
    part = Select(
        projections=(*key_projections(own), Projection(_VALUE, made)),
        source=Derived(alias, query),
        group=own if spec.aggregates else None,
        measures=uses,
    )
    looked_up = context.looked_up(evaluation.anchor)
    attached = evaluation.attach_stage(
        part, names, tuple(looked_up[place] for place in kept), "grain"
    )
    return _or_empty(attached.column(_VALUE), formula)


def _or_empty(value: exp.Expr, formula: exp.Expr) -> Value:
    """A group that is not found at the other grain has no rows there."""
    tree = children_of(formula)[0] if isinstance(spec_of(formula), Inner) else formula
    spec = spec_of(tree)
    if isinstance(spec, Leaf):
        tree = children_of(tree)[0]
    elif spec is not None:
        return Value(value)
    if value_of_no_rows(tree, portable=True) == exp.Literal.number(0):
        return Value(exp.Coalesce(this=value, expressions=[exp.Literal.number(0)]))
    return Value(value)


def evaluate_rank(evaluation: Evaluation, spec: Spec, node: exp.Expr, context: Context) -> Value:
    """The place of each group among those that it is ranked with."""
    if not isinstance(spec, Rank):
        raise TypeError(type(spec).__name__)
    children = children_of(node)
    orders = tuple(children[: len(spec.descending)])
    dimensions = [
        evaluation.rows.columns.canonical(item) for item in children[len(spec.descending) :]
    ]
    for tree in orders:
        _check_context(context, tree)
    values = tuple(dict.fromkeys(orders))
    query = _inner_query(evaluation, context, context.keys, values)
    alias = evaluation.rows.names.alias("ranked")
    kept = () if spec.mode == "all" else _kept_keys(evaluation, spec.mode, dimensions)
    names = key_names(len(context.keys))
    rank = exp.Window(
        this=exp.Rank(),
        partition_by=[column(alias, names[place]) for place in kept],
        order=exp.Order(
            expressions=[
                exp.Ordered(
                    this=column(alias, _value_name(values.index(tree))), desc=down, nulls_first=down
                )
                for tree, down in zip(orders, spec.descending, strict=True)
            ]
        ),
        over="OVER",
    )
    own = tuple(column(alias, name) for name in names)
    part = Select(
        projections=(*key_projections(own), Projection(_VALUE, rank)), source=Derived(alias, query)
    )
    attached = evaluation.attach_stage(part, names, context.looked_up(evaluation.anchor), "rank")
    return Value(attached.column(_VALUE))


def _inner_query(
    evaluation: Evaluation,
    context: Context,
    keys: tuple[exp.Expr, ...],
    values: tuple[exp.Expr, ...],
) -> Query:
    """Measures grouped by other keys: a SELECT like a client's own."""
    rows = evaluation.rows
    copy, condition = rows.copy(context.where)
    own = tuple(copy.expression(node) for node in keys)
    alias = copy.alias(rows.columns.alias)
    uses = tuple(
        replace(
            rows.use,
            key=rows.names.key(),
            alias=alias,
            formula=copy.expression(tree),
            portable=False,
            type=_type_of(tree),
            filter=None,
        )
        for tree in values
    )
    projections = tuple(
        Projection(_value_name(place), column(MEASURE_TABLE, use.key))
        for place, use in enumerate(uses)
    )
    select = Select(
        projections=key_projections(own) + projections,
        source=copy.relation,
        where=condition,
        group=own,
        measures=uses,
        subqueries=copy.subqueries,
    )
    return evaluation.tools.grouped_query(select, rows.names)


def _kept_keys(evaluation: Evaluation, mode: str, dimensions: list[exp.Expr]) -> tuple[int, ...]:
    """The group's keys that the grain has too, by place."""
    names = {item.name for item in dimensions if isinstance(item, exp.Column)}
    kept: list[int] = []
    for place, key in enumerate(evaluation.keys):
        used = evaluation.rows.columns.used(key)
        inside, outside = used & names, used - names
        if mode == "with":
            kept.append(place)
        elif inside and outside:
            raise UnsupportedError(
                f"a key of {min(inside)} and other columns together is not supported beside a "
                "measure with a grain of its own",
                hint="Group by the columns themselves.",
            )
        elif bool(inside) == (mode == "exactly"):
            kept.append(place)
    return tuple(kept)


def _added(
    evaluation: Evaluation, mode: str, dimensions: list[exp.Expr], context: Context
) -> tuple[exp.Expr, ...]:
    """The dimensions that the grain has beyond the group's keys."""
    if mode == "without":
        return ()
    added: list[exp.Expr] = []
    for item in dimensions:
        name = item.name if isinstance(item, exp.Column) else ""
        grouped = [key for key in evaluation.keys if name in evaluation.rows.columns.used(key)]
        if grouped if mode == "exactly" else item in grouped:
            continue
        for time, moment in context.moments:
            item = substituted(item, time, moment)
        added.append(item)
    return tuple(added)


def _check_context(context: Context, tree: exp.Expr) -> None:
    if context.window is not None:
        raise UnsupportedError(
            "a measure with a grain of its own over a window of time is not supported",
            hint="Define the window on the measures that it is made of.",
        )
    moved = context.moments or any(not isinstance(node, exp.Column) for node in context.mapping)
    if moved and any(isinstance(spec_of(node), Shift | Window) for node in tree.walk()):
        raise UnsupportedError(
            "a shift of a measure with a grain of its own over measures over time is not supported",
            hint="Shift the measures that it is made of.",
        )


def _inner_column(node: exp.Expr, alias: str, values: tuple[exp.Expr, ...]) -> exp.Expr | None:
    if not isinstance(spec_of(node), Inner):
        return None
    return column(alias, _value_name(values.index(children_of(node)[0])))


def _type_of(tree: exp.Expr) -> PostgresType:
    found: PostgresType = getattr(spec_of(tree), "type", NUMERIC)
    return found


def _value_name(place: int) -> str:
    return f"value:{place + 1}"
