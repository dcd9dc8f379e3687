"""Periods of a time dimension's custom granularity: fiscal years, sprints, quarters of a day.

A period is counted from an origin, in steps of whole months or of a fixed length, by the local
clock of the session's time zone (rule T2). In a plan it stands as the field of ``date_trunc``:
``date_trunc('3 months from 2012-12-01', x)``. No statement of a client can say that, since the
binder knows every field that a client may name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlglot import exp

from semantic.model.types import PostgresType

MICROSECOND = timedelta(microseconds=1)
HOUR = 3_600_000_000
DAY = 24 * HOUR
_TEXT = re.compile(r"(\d+) (months|microseconds) from (.+)\Z")
# Units of PostgreSQL's own, by their number of months.
_UNITS = {12: "year", 3: "quarter", 1: "month"}


@dataclass(frozen=True, slots=True)
class Period:
    """Steps of ``months`` or of ``microseconds`` (one of them is 0) from ``origin``.

    An origin of months lies on a day that every month has (1 to 28).
    """

    months: int
    microseconds: int
    origin: datetime

    @property
    def text(self) -> str:
        """How a plan spells it."""
        size = f"{self.months} months" if self.months else f"{self.microseconds} microseconds"
        return f"{size} from {self.origin.isoformat(' ')}"

    @property
    def holds_days(self) -> bool:
        """Whether every period starts at midnight."""
        midnight = self.origin == self.origin.replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight and self.microseconds % DAY == 0


def read_period(text: str) -> Period | None:
    """The period that a field of ``date_trunc`` spells; None for any other field."""
    found = _TEXT.match(text)
    if found is None:
        return None
    count = int(found[1])
    months = found[2] == "months"
    origin = datetime.fromisoformat(found[3])
    return Period(count if months else 0, 0 if months else count, origin)


def start_of_period(period: Period, moment: exp.Expr, kind: PostgresType) -> exp.Expr:
    """The start of the period that a moment lies in, in PostgreSQL's SQL.

    Args:
        period: which periods.
        moment: an expression that is a timestamp, with or without time zone.
        kind: which of the two. The result is of the same type.
    """
    if kind.name != "timestamptz":
        return _local_start(period, moment)
    local = _cast(moment, "TIMESTAMP")
    start = _local_start(period, local)
    if 0 < period.microseconds <= HOUR:
        # Within the offset that holds at that moment, as PostgreSQL truncates to hours and less.
        past = exp.Sub(this=local.copy(), expression=_enclosed(start))
        return exp.Sub(this=_enclosed(moment.copy()), expression=exp.Paren(this=past))
    return _cast(start, "TIMESTAMPTZ")


def _local_start(period: Period, moment: exp.Expr) -> exp.Expr:
    if not period.months:
        stride = exp.Literal.string(f"{period.microseconds} microseconds")
        return _call("date_bin", _cast(stride, "INTERVAL"), moment, _timestamp(period))
    # What the periods' first day is past the first of its month does not count.
    first = period.origin.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    past = (period.origin - first) // MICROSECOND
    unit = _UNITS.get(period.months)
    shift = (period.origin.month - 1) % period.months
    moved = _moved(moment, exp.Sub, 0, past)
    if unit is not None:
        moved = _moved(moved, exp.Sub, shift, 0)
        start = _call("date_trunc", exp.Literal.string(unit), moved)
        return _moved(_moved(start, exp.Add, shift, 0), exp.Add, 0, past)
    month = _call("date_trunc", exp.Literal.string("month"), moved)
    since = _months_since(moved, (period.origin.year * 12 + period.origin.month - 1))
    size = exp.Literal.number(period.months)
    extra = exp.Mod(
        this=exp.Paren(this=exp.Add(
            this=exp.Paren(this=exp.Mod(this=since, expression=size)), expression=size.copy())
        ),
        expression=size.copy(),
    )  # fmt: skip
    back = exp.Mul(this=_interval("1 month"), expression=exp.Paren(this=extra))
    return _moved(exp.Paren(this=exp.Sub(this=month, expression=back)), exp.Add, 0, past)


def _months_since(moment: exp.Expr, origin: int) -> exp.Expr:
    year = exp.Mul(this=_field("year", moment), expression=exp.Literal.number(12))
    months = exp.Add(this=year, expression=_field("month", moment))
    return exp.Paren(this=exp.Sub(this=months, expression=exp.Literal.number(origin + 1)))


def _field(name: str, moment: exp.Expr) -> exp.Expr:
    field = _call("date_part", exp.Literal.string(name), moment.copy())
    return _cast(field, "INT")


def _moved(
    moment: exp.Expr, way: type[exp.Add | exp.Sub], months: int, microseconds: int
) -> exp.Expr:
    """A moment plus or minus a fixed distance; days are 24 hours for a local time."""
    if months:
        moment = way(this=_enclosed(moment), expression=_interval(f"{months} months"))
    if microseconds:
        moment = way(this=_enclosed(moment), expression=_interval(f"{microseconds} microseconds"))
    return moment


def _interval(text: str) -> exp.Expr:
    return _cast(exp.Literal.string(text), "INTERVAL")


def _timestamp(period: Period) -> exp.Expr:
    return _cast(exp.Literal.string(period.origin.isoformat(" ")), "TIMESTAMP")


def _call(name: str, *arguments: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this=name, expressions=list(arguments))


def _cast(node: exp.Expr, to: str) -> exp.Expr:
    return exp.Cast(this=node, to=exp.DataType.build(to, dialect="postgres"))


def _enclosed(node: exp.Expr) -> exp.Expr:
    atoms = (exp.Column, exp.Cast, exp.Anonymous, exp.Paren)
    return node if isinstance(node, atoms) else exp.Paren(this=node)
