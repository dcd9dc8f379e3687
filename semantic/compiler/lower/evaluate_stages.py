"""Puts queries in place of the stages of measures."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeGuard

from sqlglot import exp

from semantic.compiler.emit_parts import is_constant
from semantic.compiler.lower.contexts import row_columns
from semantic.compiler.lower.conversions import evaluate_conversion
from semantic.compiler.lower.copies import PlanNames
from semantic.compiler.lower.ctes import inline_ctes
from semantic.compiler.lower.evaluation import Evaluation, Tools, Value, key_names
from semantic.compiler.lower.fills import Spine, filled_groups, find_spine
from semantic.compiler.lower.grains import evaluate_grain, evaluate_rank
from semantic.compiler.lower.grouped import MainPart, refuse_correlated
from semantic.compiler.lower.joined_rows import over_joined_rows
from semantic.compiler.lower.parts import Part, attach
from semantic.compiler.lower.prune import prune_scans
from semantic.compiler.lower.rows import Rows
from semantic.compiler.lower.semi_additive import evaluate_semi_additive
from semantic.compiler.lower.windows import make_part
from semantic.compiler.plan import (
    Cte,
    CteReference,
    Derived,
    MeasureUse,
    PlanNode,
    Projection,
    Query,
    Relation,
    Select,
    With,
    walk,
)
from semantic.compiler.rewrite.merge_subquery import merged
from semantic.compiler.rewrite.tools import bottom_up, is_volatile
from semantic.compiler.stages import Conversion, Grain, Rank, SemiAdditive, is_staged
from semantic.compiler.trees import all_of, column, conjuncts
from semantic.errors import SemanticError, UnsupportedError


def evaluate_stages(plan: Query) -> Query:
    """A plan without stages.

    Raises:
        UnsupportedError: 0A000, the context of a staged measure cannot be told; with the position
            of the measure in the client's text.
    """
    if not any(_needs_parts(node) for node in walk(plan)):
        return plan
    plan = inline_ctes(plan)
    names = PlanNames(plan)
    return prune_scans(bottom_up(plan, lambda node: _lowered(node, names)))


def _staged(use: MeasureUse) -> bool:
    return is_staged(use.formula)


def _needs_parts(node: PlanNode) -> TypeGuard[Select]:
    return isinstance(node, Select) and any(_staged(use) for use in node.measures)


def _lowered(node: PlanNode, names: PlanNames) -> PlanNode:
    if isinstance(node, With) and isinstance(node.body, With):
        return With(node.ctes + node.body.ctes, node.body.body)
    if not _needs_parts(node):
        return node
    whole = merged(node)
    if not isinstance(whole, Select):
        raise TypeError(type(whole).__name__)
    with _Positioned(next(use for use in whole.measures if _staged(use))):
        whole = over_joined_rows(whole, names)
    return _GroupedSelect(whole, names).make()


class _GroupedSelect:
    """A grouped SELECT with staged measures."""

    def __init__(self, select: Select, names: PlanNames) -> None:
        self._select = select
        self._names = names
        self._staged = [use for use in select.measures if _staged(use)]
        self._key = names.alias("main")
        self._main = MainPart(select, names.alias("groups"))
        self._is_listed = False
        self._spine: Spine | None = None
        self._filled = ""

    def make(self) -> Query:
        first = self._staged[0]
        with_position = _Positioned(first)
        with with_position:
            refuse_correlated(self._select)
            self._refuse_repeated()
            if self._select.where is not None and is_volatile(self._select.where):
                raise UnsupportedError(
                    "a condition that changes from row to row, such as random(), is not supported "
                    "beside this measure",
                    hint="Leave it out, or filter in a query around this one.",
                )
            columns = row_columns(self._select.source)
            self._spine = find_spine(self._select, self._main, columns)
        sets = self._main.sets or (tuple(range(len(self._main.keys))),)
        source = self._groups()
        values: dict[str, list[Value]] = {}
        for places in sets:
            kept = tuple(place for place in places if not is_constant(self._main.keys[place]))
            evaluation = self._evaluation(kept)
            for use in self._staged:
                with _Positioned(use):
                    values.setdefault(use.key, []).append(self._value(evaluation, use))
            with with_position:
                source = evaluation.joined(source)
        return self._put_together(source, {key: self._chosen(v) for key, v in values.items()})

    def _groups(self) -> Relation:
        """The main part, under all groups if there are some without rows."""
        main = CteReference(self._main.alias, self._key)
        if self._spine is None:
            return main
        self._is_listed = True
        self._main.groups = self._names.alias("filled")
        self._filled = self._names.alias("filled")
        groups = CteReference(self._main.groups, self._filled)
        keys = [column(self._main.groups, name) for name in self._main.key_names]
        return attach(groups, keys, Part(main, self._main.key_names))

    def _refuse_repeated(self) -> None:
        if any(use.row_keys for use in self._staged):
            raise UnsupportedError(
                "a measure with a context of its own whose rows a join repeats is not supported",
                hint="Compute the measure in a grouped subquery over its cube alone, and join it.",
            )

    def _put_together(self, source: Relation, values: dict[str, Value]) -> Query:
        """Values in the warehouse's own SQL stay measures: those of the parts' columns."""
        trees: dict[str, exp.Expr] = {}
        uses: list[MeasureUse] = []
        for use in self._staged:
            value = values[use.key]
            if value.portable:
                trees[use.key] = value.tree
                continue
            key = self._names.key()
            trees[use.key] = column("measure:", key)
            uses.append(
                replace(
                    use,
                    key=key,
                    alias=self._main.alias,
                    formula=value.tree,
                    portable=False,
                    filter=None,
                )
            )
        with _Positioned(self._staged[0]):
            rest = self._main.rest(source, trees, tuple(uses))
        main = self._main.make()
        if self._spine is not None:
            groups = filled_groups(self._spine, self._main, self._key, self._names)
            return With((Cte(self._key, main), Cte(self._filled, groups)), rest)
        if self._is_listed:
            return With((Cte(self._key, main),), rest)
        return bottom_up(rest, lambda node: self._in_place(node, main))

    def _in_place(self, node: PlanNode, main: Select) -> PlanNode:
        """The main part, where it is read once."""
        if isinstance(node, CteReference) and node.cte == self._key:
            return Derived(node.alias, main)
        return node

    def _value(self, evaluation: Evaluation, use: MeasureUse) -> Value:
        context = evaluation.plain
        for condition in conjuncts(use.filter):
            context = context.restricted(evaluation.rows.columns.canonical(condition))
        return evaluation.filled_value(use.formula, context)

    def _evaluation(self, places: tuple[int, ...]) -> Evaluation:
        rows = Rows(self._select, self._staged[0], row_columns(self._select.source), self._names)
        keys = tuple(self._main.keys[place] for place in places)
        anchor = tuple(self._main.key_column(place) for place in places)

        def listing() -> tuple[Relation, tuple[exp.Expr, ...]]:
            return self._listing(places)

        def leaf(node: exp.Expr) -> exp.Expr:
            return self._main.measure(rows.leaf_use(node, rows.columns.alias, lambda n: n))

        has_rows = None
        if self._spine is not None:
            has_rows = self._main.column(exp.Literal.number(1), "rows")
        return Evaluation(rows, keys, anchor, listing, leaf, _TOOLS, has_rows)

    def _listing(self, places: tuple[int, ...]) -> tuple[Relation, tuple[exp.Expr, ...]]:
        """The groups of one grouping set, read once more."""
        self._is_listed = True
        alias = self._names.alias("each")
        names = [self._main.key_names[place] for place in places]
        if self._main.sets is None:
            groups = self._key if self._spine is None else self._filled
            return CteReference(alias, groups), tuple(column(alias, name) for name in names)
        inner = self._names.alias("each")
        query = Select(
            projections=tuple(
                Projection(own, column(inner, name))
                for own, name in zip(key_names(len(places)), names, strict=True)
            ),
            source=CteReference(inner, self._key),
            where=self._is_of_set(places, inner),
        )
        columns = tuple(column(alias, name) for name in key_names(len(places)))
        return Derived(alias, query), columns

    def _is_of_set(self, places: tuple[int, ...], alias: str) -> exp.Expr:
        bits = [
            exp.EQ(
                this=column(alias, self._main.bit(place).name),
                expression=exp.Literal.number(0 if place in places else 1),
            )
            for place in range(len(self._main.keys))
            if not is_constant(self._main.keys[place])
        ]
        return all_of(list(bits)) or exp.true()

    def _chosen(self, values: list[Value]) -> Value:
        """The value by the grouping set that a group is of."""
        sets = self._main.sets
        if sets is None:
            return values[0]
        branches = [
            exp.If(this=self._is_of_set(_kept(self._main, places), self._main.alias), true=v.tree)
            for places, v in zip(sets, values, strict=True)
        ]
        return Value(exp.Case(ifs=branches), all(value.portable for value in values))


def _kept(main: MainPart, places: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(place for place in places if not is_constant(main.keys[place]))


class _Positioned:
    """Says of a refusal which measure it is about."""

    def __init__(self, use: MeasureUse) -> None:
        self._use = use

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if isinstance(error, SemanticError) and error.position is None:
            error.position = self._use.position


def _grouped_query(select: Select, names: PlanNames) -> Query:
    return _GroupedSelect(select, names).make()


_TOOLS = Tools(
    make_part,
    _grouped_query,
    {
        Grain: evaluate_grain,
        Rank: evaluate_rank,
        SemiAdditive: evaluate_semi_additive,
        Conversion: evaluate_conversion,
    },
)
