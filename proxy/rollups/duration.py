"""Spans of the calendar: months, which differ in length, and seconds, which do not."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from semantic.model.values import Interval

_PART = re.compile(r"\s*(\d+)\s*([a-z]+?)s?\s*(?=\d|$)", re.IGNORECASE)
_NUMBER = re.compile(r"\d{1,9}(\.\d{1,6})?", re.ASCII)
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
_MONTHS = {"month": 1, "quarter": 3, "year": 12}
_SHORT = {"s": "second", "sec": "second", "min": "minute", "h": "hour", "d": "day"}


@dataclass(frozen=True, slots=True)
class Duration:
    """A span to be added to a moment in UTC."""

    months: int = 0
    seconds: int = 0

    def after(self, moment: datetime) -> datetime:
        """The moment so much later; the last day of a month where it has no such day.

        >>> Duration(months=1).after(datetime(2013, 1, 31)).date().isoformat()
        '2013-02-28'
        """
        years, month = divmod(moment.year * 12 + moment.month - 1 + self.months, 12)
        day = min(moment.day, calendar.monthrange(years, month + 1)[1])
        return moment.replace(year=years, month=month + 1, day=day) + timedelta(
            seconds=self.seconds
        )

    def __add__(self, other: Duration) -> Duration:
        return Duration(self.months + other.months, self.seconds + other.seconds)

    def __bool__(self) -> bool:
        return bool(self.months or self.seconds)


def duration_of(interval: Interval | None) -> Duration:
    """An interval of the model; nothing for none. Raises ValueError for another unit."""
    total = Duration()
    for count, unit in interval.parts if interval is not None else ():
        total += _of(count, unit)
    return total


def parse_duration(text: str) -> Duration | None:
    """``10 min``, ``1 hour``, ``2 days 12 hours``; None where it is something else."""
    total, position = Duration(), 0
    try:
        while part := _PART.match(text, position):
            total += _of(int(part[1]), part[2].lower())
            position = part.end()
    except ValueError:
        return None
    return total if total and position == len(text) else None


def parse_seconds(text: str) -> float | None:
    """A span without months in seconds, a bare number too; None where it is something else.

    >>> parse_seconds("10 min"), parse_seconds("1.5"), parse_seconds("1 month")
    (600.0, 1.5, None)
    """
    span = parse_duration(text)
    if span is not None:
        return float(span.seconds) if not span.months else None
    return float(text) if _NUMBER.fullmatch(text) else None


def _of(count: int, unit: str) -> Duration:
    name = _SHORT.get(unit, unit)
    if name in _SECONDS:
        return Duration(seconds=count * _SECONDS[name])
    if name in _MONTHS:
        return Duration(months=count * _MONTHS[name])
    raise ValueError(f'"{unit}" is no unit of time')
