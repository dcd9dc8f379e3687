"""Time shifts as changes of an evaluation context.

A shift takes every row to be later by its interval: in the keys and in every condition, the time
dimension gives way to itself plus the interval. Months differ in length, so where groups are days
or shorter, a shift by months would throw several days together. There each group looks up the
period that is an interval earlier instead, by PostgreSQL's arithmetic: March 31 looks up February's
last day, and February 29 the 28th of the year before.
"""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from semantic.compiler.lower.contexts import Context, RowColumns
from semantic.compiler.lower.times import (
    PeriodKey,
    later,
    period_key,
    substituted,
    truncated,
    unit_span,
)
from semantic.compiler.stages import Shift, Span
from semantic.errors import UnsupportedError

# Parts of a moment that months do not cut.
_COARSE = frozenset({"YEAR", "QUARTER", "MONTH", "DECADE"})


def shifted(context: Context, time: exp.Column, moment: exp.Expr) -> Context:
    """Rows at another moment, in every key and condition."""
    known = dict(context.moments)
    known.setdefault(time, time)
    return replace(
        context,
        where=tuple(substituted(node, time, moment) for node in (*context.where, _known(time))),
        keys=tuple(substituted(node, time, moment) for node in context.keys),
        moments=tuple((item, substituted(own, time, moment)) for item, own in known.items()),
    )


def is_fine(
    keys: tuple[exp.Expr, ...],
    columns: RowColumns,
    spec: Shift,
    time: exp.Column,
    places: list[int],
) -> bool:
    """Whether groups are periods of days or less, so that a shift by months has to be looked up.

    Raises:
        UnsupportedError: that cannot be told.
    """
    fine = False
    for place in places:
        key = keys[place]
        found = period_key(key, time, spec.time_type) if columns.is_about(key, time) else None
        if found is None:
            if isinstance(key, exp.Extract) and key.name.upper() in _COARSE:
                continue
            raise unknown_period(time)
        fine = fine or _is_fine(found)
    return fine


def _is_fine(key: PeriodKey) -> bool:
    return key.length is None or (key.length.months == 0 and key.length.days <= 1)


def looked_up_earlier(
    columns: RowColumns, spec: Shift, time: exp.Column, places: list[int], context: Context
) -> Context:
    """Each group looks up the group whose period is that much earlier."""
    about = tuple(node for node in context.where if columns.is_about(node, time))
    if context.moments:
        raise UnsupportedError(
            "a shift by months of a shifted measure is not supported when grouping by days",
            hint="Group by months or longer periods.",
        )
    mapping = list(context.mapping)
    for place in places:
        mapping[place] = later(mapping[place], -spec.span)
    kept = tuple(node for node in context.where if node not in about)
    return replace(
        context,
        where=(*kept, _known(time)),
        mapping=tuple(mapping),
        window=(spec, time) if about else None,
        held=about,
    )


def to_start(
    keys: tuple[exp.Expr, ...],
    columns: RowColumns,
    spec: Shift,
    time: exp.Column,
    places: list[int],
    context: Context,
) -> Context:
    """Each group looks up the first group of the longer period that it lies in."""
    unit = spec.to_start or ""
    target = unit_span(unit)
    if not places:
        raise UnsupportedError(
            f"the value at the start of a {unit} needs a period of {time.name} to group by",
            hint=f"Group by date_trunc('day', {time.name}) or the like.",
        )
    mapping = list(context.mapping)
    for place in places:
        found = period_key(keys[place], time, spec.time_type)
        length = None if found is None else found.length
        if length is None or target is None:
            raise unknown_period(time)
        if _size(length) < _size(target):
            start = truncated(unit, mapping[place])
            mapping[place] = truncated("week", start) if length.days == 7 else start
    kept = tuple(node for node in context.where if not columns.is_about(node, time))
    return replace(context, where=(*kept, _known(time)), mapping=tuple(mapping))


def _known(time: exp.Column) -> exp.Expr:
    """A row without a time is at no other time either."""
    return exp.Not(this=exp.Is(this=time, expression=exp.Null()))


def _size(span: Span) -> tuple[int, int, int]:
    return span.months, span.days, span.microseconds


def unknown_period(time: exp.Column) -> UnsupportedError:
    """The refusal of a key of which the period cannot be told."""
    return UnsupportedError(
        f"this grouping by {time.name} is not supported beside a measure over time",
        hint=f"Group by date_trunc('month', {time.name}) or another unit.",
    )
