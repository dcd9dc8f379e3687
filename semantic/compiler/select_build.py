"""The plan node of one bound SELECT, with the columns that are in demand."""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from semantic.compiler.aggregates import aggregate_name, result_type
from semantic.compiler.dependent_keys import dependent_columns
from semantic.compiler.emit_parts import postgres_data_type
from semantic.compiler.fan_out import FanOut
from semantic.compiler.granularities import column_name, period_of, truncated
from semantic.compiler.names import name_of
from semantic.compiler.period_use import PeriodUse
from semantic.compiler.plain_build import outer_value
from semantic.compiler.plan import (
    MEASURE_TABLE,
    SUBQUERY_TABLE,
    Derived,
    Join,
    MeasureUse,
    OrderKey,
    Projection,
    Query,
    Select,
    Subquery,
)
from semantic.compiler.positions import position_of
from semantic.compiler.resolve import Evaluation
from semantic.compiler.scope import VisibleColumn
from semantic.compiler.select_state import GROUP_SETS, Item, SelectState
from semantic.compiler.statement import unsupported
from semantic.compiler.trees import column, copied, rebuild
from semantic.compiler.whole_rows import WHOLE_ROW_HINT
from semantic.errors import SemanticError, UnsupportedError


def build_select(state: SelectState, fan_out: FanOut) -> Query:
    """Make the plan node; nothing may be asked of the SELECT afterwards."""
    return _Build(state, fan_out).make()


class _Build:
    """Makes the plan node of one SELECT."""

    def __init__(self, state: SelectState, fan_out: FanOut) -> None:
        self._state = state
        self._fan_out = fan_out
        self._uses: list[MeasureUse] = []
        # Keys of grouping sets that stand in FROM, in a row of their own beside each row.
        self._key_alias = state.statement.names.take("keys") if state.named_keys else ""
        self._key_names = {
            place: f"key{number + 1}" for number, place in enumerate(state.named_keys)
        }
        state.scope.groups.value = self._value_for_subquery
        self._subqueries: list[Subquery] = []
        # The markers of subqueries by node: a key that an output names is one expression with it.
        self._markers: dict[int, exp.Expr] = {}

    def make(self) -> Query:
        state = self._state
        # Whatever may ask the sources for columns comes before the sources are made.
        group = None if state.groups is None else tuple(self._group(n) for n in state.groups)
        places = {index: place for place, index in enumerate(sorted(state.demanded))}
        where = self._optional(state.where)
        having = self._optional(state.having)
        distinct_on = tuple(self._key(node) for node in state.distinct_on)
        windows = tuple(
            (name_of(node.this), self.expression(node))
            for node in state.node.args.get("windows") or []
        )
        projections = tuple(
            Projection(name, self._item(state.items[index]))
            for index, name in sorted(state.demanded.items())
        )
        order = tuple(self._order_key(key, places, projections) for key in state.order)
        if group:
            after = [item.expression for item in projections]
            after += [key.expression for key in order]
            after += [*distinct_on, *([] if having is None else [having])]
            after += [window for _, window in windows]
            group += dependent_columns(state, group, after)
        limit, offset = self._optional(state.limit), self._optional(state.offset)
        keys = self._named_keys()
        source = state.from_clause.build(self.expression)
        if keys is not None:
            source = keys if source is None else Join(source, keys, "CROSS", None)
        hidden = tuple(Projection(name, column(*key)) for key, name in state.hidden.items())
        if not projections and not hidden:
            projections = (Projection(state.output_names.take("one"), exp.Literal.number(1)),)
        return Select(
            projections=projections + hidden,
            source=source,
            where=where,
            group=group,
            having=having,
            windows=windows,
            distinct=state.distinct,
            distinct_on=distinct_on,
            order=order,
            limit=limit,
            offset=offset,
            with_ties=state.with_ties,
            measures=tuple(self._uses),
            subqueries=tuple(self._subqueries),
        )

    def _named_keys(self) -> Derived | None:
        """The row of the keys that need columns of their own."""
        items = self._state.named_keys
        if not items:
            return None
        projections = tuple(
            Projection(name, self._own_item(items[place]))
            for place, name in self._key_names.items()
        )
        lateral = any(item.expression.find(exp.Column) is not None for item in projections)
        return Derived(self._key_alias, Select(projections), lateral)

    def _optional(self, node: exp.Expr | None) -> exp.Expr | None:
        return None if node is None else self.expression(node)

    def _item(self, item: Item) -> exp.Expr:
        name = self._key_names.get(id(item))
        if name is not None:
            return column(self._key_alias, name)
        return self._own_item(item)

    def _own_item(self, item: Item) -> exp.Expr:
        if item.node is not None:
            return self.expression(item.node)
        if item.visible is not None:
            return self._value(item.visible, item.star)
        if item.row is not None:
            raise unsupported("a whole row as a sort key", item.star, WHOLE_ROW_HINT)
        raise TypeError(item.name)

    def _group(self, node: exp.Expr) -> exp.Expr:
        if isinstance(node, (*GROUP_SETS, exp.Tuple)):
            return node.__class__(expressions=[self._group(child) for child in node.expressions])
        if isinstance(node, exp.Paren):
            return exp.Paren(this=self._group(node.this))
        item = self._state.output_of(node, columns_first=True)
        return self.expression(node) if item is None else self._item(item)

    def _key(self, node: exp.Expr) -> exp.Expr:
        while isinstance(node, exp.Paren):
            node = node.this
        item = self._state.output_of(node, columns_first=False)
        return self.expression(node) if item is None else self._item(item)

    def _order_key(
        self, node: exp.Ordered, places: dict[int, int], projections: tuple[Projection, ...]
    ) -> OrderKey:
        if node.args.get("with_fill"):
            raise unsupported("WITH FILL", node)
        item = self._state.output_of(node.this, columns_first=False)
        output = None
        if item is not None:
            index = next(i for i, other in enumerate(self._state.items) if other is item)
            output = places.get(index)
        key = self._key(node.this)
        if self._state.distinct and output is None:
            # The rows are made different first, so the key must be one of their columns.
            same = (i for i, item in enumerate(projections) if item.expression == key)
            output = next(same, None)
            if output is None:
                raise SemanticError(
                    "42P10",
                    "for SELECT DISTINCT, ORDER BY expressions must appear in select list",
                    position=position_of(node),
                )
        descending, nulls_first = bool(node.args.get("desc")), bool(node.args.get("nulls_first"))
        return OrderKey(key, descending, nulls_first, output)

    def expression(self, node: exp.Expr) -> exp.Expr:
        """A plan expression of an expression of the client's text."""
        return rebuild(node, self._replace)

    def _value_for_subquery(self, node: exp.Expr) -> exp.Expr:
        """See ``Groups.value``."""
        return self._evaluation(self._state.resolver.evaluations[id(node)], node)

    def _replace(self, node: exp.Expr) -> exp.Expr | None:
        outer = outer_value(self._state.resolver, node)
        if outer is not None:
            return outer
        evaluation = self._state.resolver.evaluations.get(id(node))
        if evaluation is not None:
            return self._evaluation(evaluation, node)
        aggregate = self._row_aggregate(node)
        if aggregate is not None:
            return aggregate
        period = self._state.resolver.periods.get(id(node))
        if period is not None:
            return self._period(period)
        if isinstance(node, exp.Column):
            visible = self._state.resolver.columns.get(id(node))
            if visible is None:
                raise self._unresolved(node)
            return self._value(visible, node)
        if isinstance(node, exp.Query):
            return self._subquery(node)
        return None

    def _row_aggregate(self, node: exp.Expr) -> exp.Expr | None:
        """An aggregate over measures' values of rows, where the rows may be repeated."""
        call = node.this if isinstance(node, exp.Filter) else node
        found = self._fan_out.row_aggregate(call)
        if found is None:
            return None
        source, row_key = found
        row_key = replace(row_key, apart=tuple(self.expression(item) for item in row_key.apart))
        condition: exp.Expr | None = None
        if call is not node:
            where = node.expression
            condition = self.expression(where.this if isinstance(where, exp.Where) else where)
        formula = rebuild(call, lambda item: None if item is call else self._replace(item))
        key = self._state.statement.next_key()
        name = f"{aggregate_name(call)} of rows"
        use = MeasureUse(key, name, source.alias, formula, True, None, condition, (row_key,))
        self._uses.append(use)
        return column(MEASURE_TABLE, key)

    def _value(self, visible: VisibleColumn, node: exp.Expr | None) -> exp.Expr:
        try:
            return visible.source.value(visible)
        except UnsupportedError as error:
            error.position = error.position or position_of(node)
            raise

    def _period(self, use: PeriodUse) -> exp.Expr:
        if use.granularity.sql is None:
            period = period_of(use.dimension, use.granularity)
            return truncated(period, self.expression(use.moment))
        direct = self._state.resolver.columns.get(id(use.moment)) is use.column
        found = use.column.source.period(use.column, use.granularity.name) if direct else None
        if found is None:
            raise unsupported(
                f"date_trunc to {use.granularity.name}, which is defined by sql, over anything but "
                "a column of a cube or view,",
                use.moment,
                f"Take the column {column_name(use.dimension.name, use.granularity.name)} of it.",
            )
        return found

    def _unresolved(self, node: exp.Expr) -> SemanticError:
        if self._state.statement.deferred is not None:
            return self._state.statement.deferred
        return unsupported("this column reference", node)

    def _evaluation(self, evaluation: Evaluation, node: exp.Expr) -> exp.Expr:
        value = self._measure(evaluation, node)
        measure = evaluation.column.measure
        if evaluation.aggregate and measure is not None:
            kind = result_type(evaluation.aggregate, measure.type)
            if kind != measure.type:
                value = exp.Cast(this=value, to=postgres_data_type(kind))
        if evaluation.within is None:
            return value
        reference = evaluation.reference
        return rebuild(evaluation.within, lambda node: value if node is reference else None)

    def _measure(self, evaluation: Evaluation, node: exp.Expr) -> exp.Expr:
        visible = evaluation.column
        measure = visible.measure
        if measure is None:
            raise TypeError(visible.name)
        formula = visible.source.formula(visible)
        condition = self._optional(evaluation.filter)
        row_keys = self._fan_out.row_keys(visible)
        for use in self._uses:
            same = use.formula == formula and use.filter == condition and use.row_keys == row_keys
            if same and use.alias == visible.source.alias:
                return column(MEASURE_TABLE, use.key)
        name = f"{measure.definition.relation}.{measure.definition.name}"
        key = self._state.statement.next_key()
        self._uses.append(
            MeasureUse(
                key,
                name,
                visible.source.alias,
                formula,
                measure.definition.portable,
                measure.type,
                condition,
                row_keys,
                position_of(node),
            )
        )
        return column(MEASURE_TABLE, key)

    def _subquery(self, node: exp.Query) -> exp.Expr:
        known = self._markers.get(id(node))
        if known is not None:
            return copied(known)
        bound = self._state.resolver.subqueries.get(id(node))
        if bound is None:
            raise unsupported("a subquery at this place", node)
        for index in range(len(bound.names)):
            bound.demand(index)
        key = self._state.statement.next_key()
        self._subqueries.append(Subquery(key, bound.build()))
        marker = exp.Select(expressions=[column(SUBQUERY_TABLE, key)])
        made = exp.Subquery(this=marker) if isinstance(node, exp.Subquery) else marker
        self._markers[id(node)] = made
        return made
