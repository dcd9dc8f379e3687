"""Rolling windows and periods to date: rows joined to the groups in whose window they lie.

A group's point in time is the end of its period, which its own moment stands for where the key is
no period. Rows lie in the window of several groups, so the groups are listed and the rows joined to
them. Without a time key all groups have one point, the last moment of all rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from sqlglot import exp

from semantic.compiler.lower.contexts import Context, has_subquery
from semantic.compiler.lower.evaluation import (
    Evaluation,
    grouped_part,
    key_names,
    key_projections,
    measure_projections,
)
from semantic.compiler.lower.parts import null_safe
from semantic.compiler.lower.rows import RowSubquery
from semantic.compiler.lower.shifts import unknown_period
from semantic.compiler.lower.times import (
    DAY,
    PeriodKey,
    earlier,
    interval,
    just_before,
    later,
    period_key,
    substituted,
    truncated,
)
from semantic.compiler.plan import (
    Derived,
    Join,
    MeasureUse,
    Projection,
    Query,
    Relation,
    Select,
    Values,
)
from semantic.compiler.stages import Leaf, Shift, Span, Window, spec_of
from semantic.compiler.trees import all_of, column, enclose
from semantic.errors import UnsupportedError
from semantic.model.types import FLOAT8, NUMERIC

_MOST_DAYS = 31


@dataclass(frozen=True, slots=True)
class Point:
    """Where in time a group stands.

    Attributes:
        clock: how its key reads the time dimension, over the rows.
        start: the start of its period, or its moment.
        length: of its period; None for a moment.
    """

    clock: exp.Expr
    start: exp.Expr
    length: Span | None


def make_part(evaluation: Evaluation, context: Context, leaves: dict[exp.Expr, str]) -> Query:
    """The query of a part: with a window if its context has one."""
    if context.window is None:
        return grouped_part(evaluation, context, leaves)
    spec, time = context.window
    if isinstance(spec, Shift):
        return _held_part(evaluation, context, leaves, spec, time)
    return _Windowed(evaluation, context, leaves, spec, time).make()


class _Windowed:
    def __init__(
        self,
        evaluation: Evaluation,
        context: Context,
        leaves: dict[exp.Expr, str],
        spec: Window,
        time: exp.Column,
    ) -> None:
        self._evaluation = evaluation
        self._context = context
        self._leaves = leaves
        self._spec = spec
        self._time = time
        columns = evaluation.rows.columns
        self._places = [
            place for place, key in enumerate(evaluation.keys) if columns.is_about(key, time)
        ]
        own = [node for node in context.where if not columns.is_about(node, time)]
        self._rows = RowSubquery(evaluation.rows, tuple(own))

    def make(self) -> Query:
        spec = self._spec
        if not self._places:
            return self._at_last_moment()
        listed, group_keys = self._evaluation.listing()
        keys = self._context.looked_up(group_keys)
        point = self._point(keys)
        if spec.period_agg == "avg" and _is_long(point.length):
            return self._averaged(listed, group_keys, keys, point)
        condition = self._same_keys(keys) + self._inside(point)
        # The groups are told apart by their own keys; what they look up may coincide.
        return self._select(listed, group_keys, condition)

    def _averaged(
        self,
        listed: Relation,
        group_keys: tuple[exp.Expr, ...],
        keys: tuple[exp.Expr, ...],
        point: Point,
    ) -> Query:
        """The average of the values at the days of each group's period."""
        rows = self._evaluation.rows
        days, number = rows.names.alias("days"), "number"
        length = point.length or DAY
        last = length.months * _MOST_DAYS + length.days
        numbers = Derived(
            days, Values(tuple((exp.Literal.number(n),) for n in range(last)), (number,))
        )
        step = exp.Mul(this=column(days, number), expression=interval(DAY))
        day = exp.Paren(this=exp.Add(this=enclose(point.start), expression=step))
        within = exp.LT(this=day, expression=later(point.start, length))
        groups = Join(listed, numbers, "INNER", within)
        condition = self._same_keys(keys) + self._inside(Point(point.clock, day, DAY))
        daily = joined_part(
            self._evaluation,
            self._rows,
            self._leaves,
            groups,
            (*group_keys, day),
            condition,
            "LEFT",
        )
        alias = rows.names.alias("daily")
        own = tuple(column(alias, name) for name in key_names(len(group_keys)))
        uses = {}
        for leaf, name in self._leaves.items():
            spec = spec_of(leaf)
            if not isinstance(spec, Leaf) or not spec.portable:
                raise UnsupportedError(
                    "the average over a period of a calculated measure is not supported",
                    hint="Group by days in a subquery, and average around it.",
                )
            value = exp.Avg(this=column(alias, name))
            kind = None if spec.type.name in {"float4", "float8"} else NUMERIC
            uses[name] = replace(
                rows.use, key=rows.names.key(), alias=alias, formula=value, portable=True,
                type=kind or FLOAT8, filter=None,
            )  # fmt: skip
        return Select(
            projections=key_projections(own) + measure_projections(uses),
            source=Derived(alias, daily),
            group=own,
            measures=tuple(uses.values()),
        )

    def _same_keys(self, keys: tuple[exp.Expr, ...]) -> list[exp.Expr]:
        return [
            null_safe(keys[place], self._rows.column(node))
            for place, node in enumerate(self._context.keys)
            if place not in self._places
        ]

    def _point(self, keys: tuple[exp.Expr, ...]) -> Point:
        """The point of a group: of its shortest period, if it has several."""
        found: list[tuple[PeriodKey, exp.Expr]] = []
        for place in self._places:
            period = period_key(self._evaluation.keys[place], self._time, self._spec.time_type)
            if period is None:
                raise unknown_period(self._time)
            found.append((period, keys[place]))
        period, start = min(found, key=lambda item: _rank(item[0].length))
        if any(other.clock != period.clock for other, _ in found):
            raise unknown_period(self._time)
        return Point(self._row_clock(period.clock), start, period.length)

    def _row_clock(self, clock: exp.Expr) -> exp.Expr:
        return substituted(clock, self._time, self._context.moment(self._time))

    def _at_last_moment(self) -> Query:
        """One point for all groups: the last moment of the rows under all conditions."""
        rows, context = self._evaluation.rows, self._context
        alias = rows.names.alias("last")
        copy, condition = rows.copy(context.where)
        last = exp.Max(this=copy.expression(context.moment(self._time)))
        query = Select(
            projections=(Projection("point", last),),
            source=copy.relation,
            where=condition,
            group=(),
            subqueries=copy.subqueries,
        )
        length = DAY if self._spec.time_type.name == "date" else None
        point = Point(context.moment(self._time), column(alias, "point"), length)
        keys = tuple(self._rows.column(node) for node in context.keys)
        return self._select(Derived(alias, query), keys, self._inside(point), keys)

    def _inside(self, point: Point) -> list[exp.Expr]:
        """Conditions on the rows' time."""
        spec, row = self._spec, self._rows.column(point.clock)
        length = point.length
        if length is not None and spec.period_agg == "first" and _is_long(length):
            length = DAY
        end = point.start if length is None else later(point.start, length)
        if spec.to_date is not None:
            last = point.start if length is None else just_before(end)
            start = truncated(spec.to_date, last)
            return [exp.GTE(this=row, expression=start), _before(row, end, moment=length is None)]
        at_start = spec.offset == "start"
        base = point.start if at_start else end
        open_end = length is None and not at_start
        found: list[exp.Expr] = []
        if spec.trailing != "unbounded":
            bound = base if spec.trailing is None else earlier(base, spec.trailing)
            operator = exp.GT if open_end else exp.GTE
            found.append(operator(this=row, expression=bound))
        if spec.leading != "unbounded":
            bound = base if spec.leading is None else later(base, spec.leading)
            found.append(_before(row, bound, moment=open_end))
        return found or [exp.Not(this=exp.Is(this=row, expression=exp.Null()))]

    def _select(
        self,
        groups: Relation,
        keys: tuple[exp.Expr, ...],
        condition: list[exp.Expr],
        group: tuple[exp.Expr, ...] | None = None,
    ) -> Query:
        return joined_part(self._evaluation, self._rows, self._leaves, groups, keys, condition)


def joined_part(
    evaluation: Evaluation,
    rows: RowSubquery,
    leaves: dict[exp.Expr, str],
    groups: Relation,
    keys: tuple[exp.Expr, ...],
    condition: list[exp.Expr],
    kind: Literal["INNER", "LEFT"] = "INNER",
) -> Query:
    """Rows joined to groups, grouped by the groups' keys."""
    uses: dict[str, MeasureUse] = {
        name: evaluation.rows.leaf_use(leaf, rows.alias, rows.expression)
        for leaf, name in leaves.items()
    }
    return Select(
        projections=key_projections(keys) + measure_projections(uses),
        source=Join(groups, rows.make(), kind, all_of(condition) or exp.true()),
        group=keys,
        measures=tuple(uses.values()),
    )


def _held_part(
    evaluation: Evaluation,
    context: Context,
    leaves: dict[exp.Expr, str],
    spec: Shift,
    time: exp.Column,
) -> Query:
    """Groups that look up an earlier period, with conditions on the time in their own.

    A row stands as far into the group's own period as it does into the one that is looked up.
    """
    if any(has_subquery(node) for node in context.held):
        raise UnsupportedError(
            "a filter by a subquery on the time beside this shifted measure is not supported",
            hint="Group by months or longer periods, or filter in a query around this one.",
        )
    rows = RowSubquery(evaluation.rows, context.where)
    listed, own = evaluation.listing()
    keys = context.looked_up(own)
    condition = [
        null_safe(key, rows.column(node)) for key, node in zip(keys, context.keys, strict=True)
    ]
    place, period = _finest(evaluation, spec, time)
    if period.clock != time:
        raise unknown_period(time)
    moment = own[place]
    if period.length is not None and spec.time_type.name != "date":
        apart = exp.Sub(this=rows.column(time), expression=enclose(keys[place]))
        passed = exp.Paren(this=apart)
        moment = exp.Paren(this=exp.Add(this=moment, expression=passed))
    condition += [rows.expression(substituted(node, time, moment)) for node in context.held]
    return joined_part(evaluation, rows, leaves, listed, own, condition)


def _finest(evaluation: Evaluation, spec: Shift, time: exp.Column) -> tuple[int, PeriodKey]:
    found = [
        (place, period)
        for place, key in enumerate(evaluation.keys)
        if (period := period_key(key, time, spec.time_type)) is not None
    ]
    return min(found, key=lambda item: _rank(item[1].length))


def _rank(length: Span | None) -> tuple[int, int, int]:
    return (0, 0, 0) if length is None else (length.months, length.days, length.microseconds)


def _is_long(length: Span | None) -> bool:
    return length is not None and (length.months > 0 or length.days > 1)


def _before(row: exp.Expr, bound: exp.Expr, *, moment: bool) -> exp.Expr:
    operator = exp.LTE if moment else exp.LT
    return operator(this=row, expression=bound)
