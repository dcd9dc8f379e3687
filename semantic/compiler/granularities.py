"""Custom granularities of time dimensions: columns of their own, and targets of date_trunc (T2)."""

from __future__ import annotations

import calendar
from datetime import datetime, timedelta

from sqlglot import exp

from semantic.compiler.api import SessionSettings
from semantic.compiler.expressions import translate
from semantic.compiler.expressions.periods import MICROSECOND, Period
from semantic.compiler.trees import rebuild
from semantic.errors import UnsupportedError
from semantic.model.members import Dimension, Granularity
from semantic.model.types import DATE, TIMESTAMP, PostgresType
from semantic.model.values import Interval

_MONTHS = {"month": 1, "quarter": 3, "year": 12}
_LENGTHS = {
    "second": timedelta(seconds=1),
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
}
# Years, days and whatever divides them start here; weeks on the first Monday after it.
_ORIGIN = datetime(2000, 1, 1)
_MONDAY = datetime(2000, 1, 3)
_LAST_DAY = 28


def column_name(dimension: str, granularity: str) -> str:
    """The column that holds the start of the period that a time dimension's value lies in."""
    return f"{dimension}_{granularity}"


def find_granularity(dimension: Dimension, name: str) -> Granularity | None:
    """The custom granularity of that name, in any case, as PostgreSQL reads names of units."""
    return next((g for g in dimension.granularities if g.name.lower() == name.lower()), None)


def period_of(dimension: Dimension, granularity: Granularity) -> Period:
    """The periods of a granularity that is defined by an interval.

    Raises:
        UnsupportedError: they cannot be computed exactly.
    """
    interval = granularity.interval
    if interval is None:
        raise TypeError(granularity.name)
    months, length = _size(interval)
    if bool(months) == bool(length) or months < 0 or length < timedelta(0):
        raise _refused(dimension, granularity, f'an interval of "{interval}"')
    origin = _origin(dimension, granularity, weekly=interval.parts[0][1] == "week")
    if months and origin.day > _LAST_DAY:
        raise _refused(dimension, granularity, f"an origin on day {origin.day} of a month")
    return Period(months, length // MICROSECOND, origin)


def _size(interval: Interval) -> tuple[int, timedelta]:
    months, length = 0, timedelta(0)
    for count, unit in interval.parts:
        if unit in _MONTHS:
            months += count * _MONTHS[unit]
        else:
            length += count * _LENGTHS[unit]
    return months, length


def _origin(dimension: Dimension, granularity: Granularity, *, weekly: bool) -> datetime:
    text = granularity.origin
    if text is not None:
        if len(text) in (len("2024"), len("2024-01")):
            text = (text + "-01-01")[:10]
        origin = datetime.fromisoformat(text)
        if origin.tzinfo is not None:
            raise _refused(dimension, granularity, "an origin with a time zone")
        return origin
    origin = _MONDAY if weekly else _ORIGIN
    if granularity.offset is None:
        return origin
    months, length = _size(granularity.offset)
    month = origin.month - 1 + months
    year, month = origin.year + month // 12, month % 12 + 1
    day = min(origin.day, calendar.monthrange(year, month)[1])
    return origin.replace(year=year, month=month, day=day) + length


def _refused(dimension: Dimension, granularity: Granularity, what: str) -> UnsupportedError:
    return UnsupportedError(
        f"the granularity {granularity.name} of {dimension.name} cannot be used: {what} is not "
        "supported",
        hint="Define it by sql, or by an interval of months, or of days and hours, from an origin "
        "on day 1 to 28.",
    )


def period_column_type(
    dimension: Dimension, granularity: Granularity, kind: PostgresType
) -> PostgresType:
    """The type of a granularity's column: that of its dimension, dates only for whole days."""
    if kind.name == "date" and granularity.interval is not None:
        try:
            return DATE if period_of(dimension, granularity).holds_days else TIMESTAMP
        except UnsupportedError:
            return DATE
    return kind


def truncated(period: Period, moment: exp.Expr) -> exp.Expr:
    """``date_trunc`` to a period, in PostgreSQL's SQL."""
    field = exp.Literal.string(period.text)
    return exp.Anonymous(this="date_trunc", expressions=[field, moment])


def period_column(
    dimension: Dimension, granularity: Granularity, value: exp.Expr, kind: PostgresType
) -> exp.Expr:
    """The value of a granularity's column, from its dimension's value of type ``kind``."""
    period = period_of(dimension, granularity)
    if kind.name != "date":
        return truncated(period, value)
    start = truncated(period, _cast(value, "TIMESTAMP"))
    return _cast(start, "DATE") if period.holds_days else start


class _OneMoment:
    """The types of an expression over one local timestamp."""

    def column(self, node: exp.Column) -> PostgresType:
        return TIMESTAMP

    def parameter(self, index: int) -> PostgresType:
        raise TypeError(index)

    def subquery(self, node: exp.Expr) -> PostgresType:
        raise TypeError(type(node).__name__)

    def subquery_columns(self, node: exp.Expr) -> tuple[PostgresType, ...]:
        raise TypeError(type(node).__name__)


def local_period(period: Period, value: exp.Expr, dialect: str) -> exp.Expr:
    """The start of a value's period by its local clock, in the warehouse's own SQL.

    For references in the model's SQL, which is in that dialect too.
    """
    moment = exp.Column(this=exp.Identifier(this="moment", quoted=True))
    settings = SessionSettings(user="", database="")
    made = translate(truncated(period, moment), dialect, _OneMoment(), settings)
    local = exp.Cast(this=value, to=exp.DataType(this=exp.DType.TIMESTAMP, nested=False))

    def fill(node: exp.Expr) -> exp.Expr | None:
        return local if isinstance(node, exp.Column) and node.name == "moment" else None

    return exp.Paren(this=rebuild(made, fill))


def zoned_as_date_trunc(value: exp.Expr, kind: PostgresType) -> exp.Expr:
    """A value in the type that date_trunc gives for a moment of type ``kind``."""
    return _cast(value, "TIMESTAMP" if kind.name == "timestamp" else "TIMESTAMPTZ")


def _cast(node: exp.Expr, to: str) -> exp.Expr:
    return exp.Cast(this=node, to=exp.DataType.build(to, dialect="postgres"))
