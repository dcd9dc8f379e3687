"""Evaluates staged formulas for the groups of one main part, part by part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from sqlglot import exp

from semantic.compiler.emit_parts import postgres_data_type
from semantic.compiler.lower.contexts import (
    Context,
    plain_context,
)
from semantic.compiler.lower.copies import PlanNames
from semantic.compiler.lower.parts import Part, attach, derived_part
from semantic.compiler.lower.rows import Rows
from semantic.compiler.lower.shifts import is_fine, looked_up_earlier, shifted, to_start
from semantic.compiler.lower.times import as_time, later
from semantic.compiler.names import Names
from semantic.compiler.no_rows import value_of_no_rows
from semantic.compiler.plan import (
    MEASURE_TABLE,
    MeasureUse,
    Projection,
    Query,
    Relation,
    Select,
)
from semantic.compiler.stages import (
    Calculation,
    Choice,
    Fill,
    Leaf,
    Restriction,
    Shift,
    Spec,
    Window,
    children_of,
    spec_of,
    stages_in,
)
from semantic.compiler.trees import column, enclose, rebuild
from semantic.errors import UnsupportedError

_MATCHED = "found"


@dataclass(frozen=True, slots=True)
class Value:
    """An expression over the main part and what is attached to it.

    ``portable``: it is PostgreSQL's, not in the warehouse's dialect.
    """

    tree: exp.Expr
    portable: bool = True


@dataclass(slots=True)
class _Attached:
    """A part under construction: leaves of one context."""

    context: Context
    alias: str
    leaves: dict[exp.Expr, str] = field(default_factory=dict)
    names: Names = field(default_factory=Names)
    counted: bool = False


# Makes the query of a part from its context and leaves; key columns come first.
MakePart = Callable[["Evaluation", Context, dict[exp.Expr, str]], Query]
MakeStage = Callable[["Evaluation", Spec, exp.Expr, Context], Value]


class Evaluation:
    """Values for the groups of a main part.

    Args:
        rows: what the groups are made of.
        keys: the keys over the rows.
        anchor: the main part's columns that hold them.
        listing: a relation of all groups under an alias, with its key columns.
        main_leaf: adds a leaf to the main part itself.
        tools: what evaluates the stages that are more than another context.
        has_rows: of the main part, NULL for a group without rows; None if there are no such groups.
    """

    def __init__(
        self,
        rows: Rows,
        keys: tuple[exp.Expr, ...],
        anchor: tuple[exp.Expr, ...],
        listing: Callable[[], tuple[Relation, tuple[exp.Expr, ...]]],
        main_leaf: Callable[[exp.Expr], exp.Expr],
        tools: Tools,
        has_rows: exp.Expr | None = None,
    ) -> None:
        where = () if rows.select.where is None else (rows.select.where,)
        self.rows = rows
        self.keys = tuple(rows.columns.canonical(node) for node in keys)
        self.anchor = anchor
        self.listing = listing
        canonical = rows.columns.canonical
        self.plain = plain_context(
            tuple(canonical(node) for node in _conjuncts(where)),
            tuple(canonical(node) for node in keys),
        )
        self._main_leaf = main_leaf
        self.tools = tools
        self.has_rows = has_rows
        self._parts: dict[Context, _Attached] = {}
        self._stages: list[tuple[Part, tuple[exp.Expr, ...]]] = []

    def value(self, node: exp.Expr, context: Context) -> Value:
        """The value of a stage for each group."""
        spec, children = spec_of(node), children_of(node)
        if isinstance(spec, Leaf):
            return self._leaf(node, spec, context)
        if isinstance(spec, Calculation):
            return Value(self.filled(children[0], context), portable=False)
        if isinstance(spec, Restriction):
            return self.value(children[0], context.restricted(children[1]))
        if isinstance(spec, Shift):
            return self.value(children[0], self._shifted(spec, self._time(children[1]), context))
        if isinstance(spec, Window):
            return self._windowed(spec, children, context)
        if isinstance(spec, Fill):
            return self._filled_in(spec, children[0], context)
        if isinstance(spec, Choice):
            return self._choice(spec, children, context)
        maker = self.tools.stages.get(type(spec))
        if spec is None or maker is None:
            raise TypeError(type(spec).__name__)
        return maker(self, spec, node, context)

    def filled_value(self, tree: exp.Expr, context: Context) -> Value:
        """The value of a formula that is a stage, or is made of some."""
        if spec_of(tree) is not None:
            return self.value(tree, context)
        return Value(self.filled(tree, context), portable=False)

    def filled(self, tree: exp.Expr, context: Context) -> exp.Expr:
        """An expression with values in place of its stages."""
        values = {id(node): self.value(node, context).tree for node in stages_in(tree)}
        return rebuild(tree, lambda item: enclose(values[id(item)]) if id(item) in values else None)

    def attach_stage(
        self, query: Query, keys: tuple[str, ...], values: tuple[exp.Expr, ...], hint: str
    ) -> Part:
        """Join a part of its own: ``values`` of the main part equal its ``keys``."""
        part = derived_part(self.rows.names.alias(hint), query, keys)
        self._stages.append((part, values))
        return part

    def joined(self, groups: Relation) -> Relation:
        """The main part with all parts beside it."""
        for part in self._parts.values():
            query = self.tools.make_part(self, part.context, part.leaves)
            if part.counted:
                query = _with_mark(query)
            keys = key_names(len(self.keys))
            made = derived_part(part.alias, query, keys)
            values = self.anchor
            if part.context.window is None:
                values = part.context.looked_up(self.anchor)
            groups = attach(groups, values, made)
        for made, values in self._stages:
            groups = attach(groups, values, made)
        return groups

    def _leaf(self, node: exp.Expr, spec: Leaf, context: Context) -> Value:
        if context == self.plain:
            return Value(self._main_leaf(node))
        part = self._parts.get(context)
        if part is None:
            alias = self.rows.names.alias(_alias_of(context, self.plain))
            part = self._parts[context] = _Attached(context, alias)
        name = part.leaves.get(node)
        if name is None:
            name = part.leaves[node] = part.names.take(spec.name.rpartition(".")[2])
        value = column(part.alias, name)
        empty = value_of_no_rows(children_of(node)[0], portable=spec.portable)
        if empty is None:
            return Value(value)
        if spec.portable:
            return Value(exp.Coalesce(this=value, expressions=[empty]))
        part.counted = True
        missing = exp.Is(this=column(part.alias, _MATCHED), expression=exp.Null())
        either = exp.Case(ifs=[exp.If(this=missing, true=empty)], default=value)
        return Value(either, portable=False)

    def _time(self, node: exp.Expr) -> exp.Column:
        time = self.rows.columns.canonical(node)
        if not isinstance(time, exp.Column):
            raise TypeError(type(time).__name__)
        return time

    def _windowed(self, spec: Window, children: list[exp.Expr], context: Context) -> Value:
        if context.window is not None and isinstance(context.window[0], Window):
            raise UnsupportedError(
                "a rolling window of a rolling window is not supported",
                hint="Define the measure over one of them.",
            )
        time = self._time(children[1])
        return self.value(children[0], replace(context, window=(spec, time), held=()))

    def _shifted(self, spec: Shift, time: exp.Column, context: Context) -> Context:
        """Rows are taken to be later; or groups look up another period, where those match."""
        if context.window is not None:
            raise UnsupportedError(
                "a rolling window of a shifted measure is not supported",
                hint="Shift the rolling measure instead.",
            )
        if spec.time_type.name == "date" and spec.span.microseconds:
            raise UnsupportedError(
                f"a shift by {spec.span.text} of dates is not supported",
                hint="Shift by whole days.",
            )
        columns = self.rows.columns
        places = [place for place, key in enumerate(self.keys) if columns.touches(key, time)]
        if spec.to_start is not None:
            return to_start(self.keys, columns, spec, time, places, context)
        if spec.span.months and is_fine(self.keys, columns, spec, time, places):
            return looked_up_earlier(columns, spec, time, places, context)
        moment = as_time(later(time, spec.span), spec.time_type)
        for condition in context.where:
            columns.touches(condition, time)
        return shifted(context, time, moment)

    def _filled_in(self, spec: Fill, tree: exp.Expr, context: Context) -> Value:
        value = self.value(tree, context)
        if self.has_rows is None:
            return value
        literal: exp.Expr = exp.Null()
        if spec.value is not None:
            kind = postgres_data_type(spec.type)
            literal = exp.Cast(this=exp.Literal.string(spec.value), to=kind)
        absent = exp.Is(this=self.has_rows, expression=exp.Null())
        branch = exp.If(this=absent, true=literal)
        return Value(exp.Case(ifs=[branch], default=value.tree), value.portable)

    def _choice(self, spec: Choice, children: list[exp.Expr], context: Context) -> Value:
        dimension = self.rows.columns.canonical(children[0])
        keys = [self.rows.columns.canonical(key) for key in self.keys]
        if dimension not in keys:
            raise UnsupportedError(
                f'this measure depends on "{spec.dimension}", which is not grouped by',
                hint=f"Group by {spec.dimension}.",
            )
        key = self.anchor[keys.index(dimension)]
        branches = [
            exp.If(
                this=exp.EQ(this=key, expression=exp.Literal.string(value)),
                true=self.filled(child, context),
            )
            for value, child in zip(spec.values, children[1:-1], strict=True)
        ]
        return Value(
            exp.Case(ifs=branches, default=self.filled(children[-1], context)), portable=False
        )


@dataclass(frozen=True, slots=True)
class Tools:
    """What an evaluation calls for the parts it needs.

    Attributes:
        make_part: the query of a part.
        grouped_query: a grouped SELECT without its stages.
        stages: by the type of a stage, what evaluates it.
    """

    make_part: MakePart
    grouped_query: Callable[[Select, PlanNames], Query]
    stages: dict[type, MakeStage]


def key_names(count: int) -> tuple[str, ...]:
    """The names of a part's key columns."""
    return tuple(f"key:{place + 1}" for place in range(count))


def key_projections(keys: tuple[exp.Expr, ...]) -> tuple[Projection, ...]:
    """A part's key columns."""
    pairs = zip(key_names(len(keys)), keys, strict=True)
    return tuple(Projection(name, node) for name, node in pairs)


def measure_projections(uses: dict[str, MeasureUse]) -> tuple[Projection, ...]:
    """A part's values, by name."""
    return tuple(Projection(name, column(MEASURE_TABLE, use.key)) for name, use in uses.items())


def grouped_part(evaluation: Evaluation, context: Context, leaves: dict[exp.Expr, str]) -> Query:
    """The part of a context without a window: a copy of the rows, grouped."""
    copy, condition = evaluation.rows.copy(context.where)
    keys = tuple(copy.expression(node) for node in context.keys)
    alias = copy.alias(evaluation.rows.columns.alias)
    uses = {
        name: evaluation.rows.leaf_use(leaf, alias, copy.expression)
        for leaf, name in leaves.items()
    }
    return Select(
        projections=key_projections(keys) + measure_projections(uses),
        source=copy.relation,
        where=condition,
        group=keys,
        measures=tuple(uses.values()),
        subqueries=copy.subqueries,
    )


def _with_mark(query: Query) -> Query:
    if not isinstance(query, Select):
        raise TypeError(type(query).__name__)
    mark = Projection(_MATCHED, exp.Literal.number(1))
    return replace(query, projections=(*query.projections, mark))


def _alias_of(context: Context, plain: Context) -> str:
    if context.window is not None and isinstance(context.window[0], Window):
        return "windowed"
    if context.moments or context.mapping != plain.mapping:
        return "shifted"
    return "filtered"


def _conjuncts(where: tuple[exp.Expr, ...]) -> tuple[exp.Expr, ...]:
    found: list[exp.Expr] = []
    for node in where:
        inner: exp.Expr = node
        while isinstance(inner, exp.Paren):
            inner = inner.this
        if isinstance(inner, exp.And):
            found += _conjuncts((inner.this, inner.expression))
        else:
            found.append(node)
    return tuple(found)
