"""Moments and periods in plan expressions: intervals, period keys, and their ends."""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from semantic.compiler.expressions.fields import find_field
from semantic.compiler.expressions.periods import read_period
from semantic.compiler.stages import Span
from semantic.compiler.trees import rebuild
from semantic.model.types import PostgresType

DAY = Span(days=1)
_INSTANT = Span(microseconds=1)
_SECOND = 1_000_000
_DAY = 86_400 * _SECOND

# The units of date_trunc.
_UNITS: dict[str, Span] = {
    "microseconds": Span(microseconds=1),
    "milliseconds": Span(microseconds=1000),
    "second": Span(microseconds=_SECOND),
    "minute": Span(microseconds=60 * _SECOND),
    "hour": Span(microseconds=3600 * _SECOND),
    "day": DAY,
    "week": Span(days=7),
    "month": Span(months=1),
    "quarter": Span(months=3),
    "year": Span(months=12),
    "decade": Span(months=120),
    "century": Span(months=1200),
    "millennium": Span(months=12000),
}
_CASTS = frozenset({exp.DType.DATE, exp.DType.TIMESTAMP, exp.DType.TIMESTAMPTZ})


@dataclass(frozen=True, slots=True)
class PeriodKey:
    """A grouping key that is a period of a time dimension.

    Attributes:
        clock: the time dimension as the key reads it: itself, by another zone, as a date.
        length: of the period; None where the key is a moment, not a period.
    """

    clock: exp.Expr
    length: Span | None


def unit_span(name: str) -> Span | None:
    """The length of a standard unit, as PostgreSQL names it."""
    return _UNITS.get(find_field(name) or name.lower())


def period_key(key: exp.Expr, time: exp.Column, kind: PostgresType) -> PeriodKey | None:
    """What period of a time dimension of type ``kind`` a key is; None where it is none."""
    truncated = _peel(key, time)
    if isinstance(truncated, exp.TimestampTrunc) and not truncated.args.get("zone"):
        clock = truncated.this
        unit = truncated.args["unit"]
        length = unit_span(unit.name)
        return PeriodKey(clock, length) if length is not None and _is_clock(clock, time) else None
    if isinstance(truncated, exp.Anonymous):
        return _custom(truncated, time)
    if not _is_clock(key, time):
        return None
    return PeriodKey(key, DAY if _is_date(key, time, kind) else None)


def _custom(call: exp.Anonymous, time: exp.Column) -> PeriodKey | None:
    """A period of a custom granularity, which a plan spells as a field of date_trunc (T2)."""
    if call.name.lower() != "date_trunc" or len(call.expressions) != 2:
        return None
    field, clock = call.expressions
    if not isinstance(field, exp.Literal) or not _is_clock(clock, time):
        return None
    standard = unit_span(str(field.this))
    if standard is not None:
        return PeriodKey(clock, standard)
    period = read_period(str(field.this))
    if period is None:
        return None
    days, rest = divmod(period.microseconds, _DAY)
    length = Span(period.months, 0 if rest else days, period.microseconds if rest else 0)
    return PeriodKey(clock, length)


def _peel(key: exp.Expr, time: exp.Column) -> exp.Expr:
    """The call inside casts that only change the type of a period's start."""
    node = key
    while isinstance(node, exp.Paren) or (isinstance(node, exp.Cast) and _casts_time(node)):
        node = node.this
    if isinstance(node, exp.TimestampTrunc):
        whole_days = _holds_days(node.args["unit"].name)
    elif isinstance(node, exp.Anonymous) and node.name.lower() == "date_trunc":
        whole_days = _holds_days(str(node.expressions[0].this))
    else:
        return key
    # A period that is shorter than a day is another one as a date.
    return node if whole_days or not _is_made_date(key, node) else key


def _holds_days(unit: str) -> bool:
    """Whether the periods of a unit start at midnight."""
    length = unit_span(unit)
    if length is not None:
        return length.microseconds == 0
    period = read_period(unit)
    return period is not None and period.holds_days


def _is_made_date(key: exp.Expr, inner: exp.Expr) -> bool:
    """Whether one of the casts around a call makes a date."""
    while key is not inner:
        if isinstance(key, exp.Cast) and key.to.this == exp.DType.DATE:
            return True
        key = key.this
    return False


def _casts_time(node: exp.Cast) -> bool:
    return node.to.this in _CASTS and not node.to.expressions


def _is_clock(node: exp.Expr, time: exp.Column) -> bool:
    """Whether an expression is the time dimension, perhaps by another zone or as a date."""
    while node != time:
        zoned = isinstance(node, exp.AtTimeZone) and not node.args["zone"].find(exp.Column)
        casted = isinstance(node, exp.Cast) and _casts_time(node)
        if not (isinstance(node, exp.Paren) or zoned or casted):
            return False
        node = node.this
    return True


def _is_date(node: exp.Expr, time: exp.Column, kind: PostgresType) -> bool:
    """Whether the values of a clock are days."""
    while isinstance(node, exp.Paren):
        node = node.this
    if isinstance(node, exp.Cast):
        return node.to.this == exp.DType.DATE or _is_date(node.this, time, kind)
    return node == time and kind.name == "date"


def interval(span: Span) -> exp.Expr:
    """A span as a literal."""
    units = (
        (span.months, "MONTH", 1),
        (span.days, "DAY", 1),
        (span.microseconds // _SECOND, "SECOND", _SECOND),
    )
    used = [(count, unit) for count, unit, _ in units if count]
    if len(used) == 1 and span.microseconds % _SECOND == 0:
        count, unit = used[0]
        return exp.Interval(this=exp.Literal.string(str(count)), unit=exp.Var(this=unit))
    return exp.Interval(this=exp.Literal.string(span.text))


def later(moment: exp.Expr, span: Span) -> exp.Expr:
    """``moment + span``, the parts of the span one after the other as PostgreSQL adds them."""
    parts = (Span(months=span.months), Span(days=span.days), Span(microseconds=span.microseconds))
    for part in parts:
        if part == Span():
            continue
        negative = part.months < 0 or part.days < 0 or part.microseconds < 0
        operator = exp.Sub if negative else exp.Add
        moment = operator(this=_atom(moment), expression=interval(-part if negative else part))
    return moment


def earlier(moment: exp.Expr, span: Span) -> exp.Expr:
    """``moment - span``."""
    return later(moment, -span)


def truncated(unit: str, moment: exp.Expr) -> exp.Expr:
    """``date_trunc(unit, moment)``."""
    return exp.Anonymous(this="date_trunc", expressions=[exp.Literal.string(unit), moment])


def just_before(moment: exp.Expr) -> exp.Expr:
    """The last moment before another one."""
    return earlier(moment, _INSTANT)


def substituted(node: exp.Expr, time: exp.Column, moment: exp.Expr) -> exp.Expr:
    """An expression with another moment in place of a time dimension."""
    return rebuild(node, lambda item: moment if item == time else None)


def as_time(moment: exp.Expr, kind: PostgresType) -> exp.Expr:
    """A moment made from a time dimension, in the dimension's own type."""
    if kind.name == "date":
        return exp.Cast(this=moment, to=exp.DataType(this=exp.DType.DATE, nested=False))
    return exp.Paren(this=moment)


def _atom(node: exp.Expr) -> exp.Expr:
    return exp.Paren(this=node) if isinstance(node, exp.Binary) else node
