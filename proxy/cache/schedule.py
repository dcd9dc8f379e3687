"""When data counts as stale by time: ``every`` of a refresh key, an interval or a cron line.

The interval ``1 hour`` is an age: data is current for so long after it was read. A cron line names
moments at which all data before them becomes stale.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

_INTERVAL = re.compile(r"(\d+)\s+(second|minute|hour|day|week|month|quarter|year)s?\b")
_SECONDS = {
    "second": 1,
    "minute": 60,
    "hour": 3600,
    "day": 86_400,
    "week": 7 * 86_400,
    "month": 30 * 86_400,
    "quarter": 91 * 86_400,
    "year": 365 * 86_400,
}
_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_FARTHEST_DAYS = 366 * 8
"""A cron line may mean only the 29th of February, which may be eight years off."""


class ScheduleError(ValueError):
    """Neither an interval nor a cron line."""


def interval_seconds(text: str) -> float | None:
    """Seconds of ``1 hour 30 minutes``; None for what is no interval.

    >>> interval_seconds("1 hour 30 minutes"), interval_seconds("0 8 * * *")
    (5400.0, None)
    """
    found = list(_INTERVAL.finditer(text.lower()))
    rest = _INTERVAL.sub("", text.lower()).strip()
    if not found or rest:
        return None
    return float(sum(int(each[1]) * _SECONDS[each[2]] for each in found))


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron line in a time zone, to the minute.

    Attributes:
        any_day: whether the day of the month, and that of the week, is ``*``: where neither is, one
            of them is enough.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: tuple[bool, bool]
    zone: ZoneInfo

    @classmethod
    def parse(cls, text: str, zone: str = "UTC") -> Cron:
        """Read five fields, or six where the first one, of seconds, is 0. Raises ScheduleError."""
        fields = text.lower().split()
        if len(fields) == 6 and fields[0] in ("0", "*"):
            fields = fields[1:]
        if len(fields) != 5:
            raise ScheduleError(f"not an interval and not a cron line: {text!r}")
        names: Sequence[Sequence[str]] = ((), (), (), ("", *_MONTHS), _DAYS)
        sets = [
            _field(field, low, high, words)
            for field, (low, high), words in zip(fields, _RANGES, names, strict=True)
        ]
        weekdays = frozenset(day % 7 for day in sets[4])
        any_day = (fields[2] in ("*", "?"), fields[4] in ("*", "?"))
        try:
            return cls(sets[0], sets[1], sets[2], sets[3], weekdays, any_day, ZoneInfo(zone))
        except (KeyError, ValueError, OSError) as error:
            raise ScheduleError(f"unknown time zone {zone!r}") from error

    def last(self, now: float) -> float:
        """The latest moment it names up to ``now``, both in unix seconds."""
        return self._search(now, -1)

    def next(self, now: float) -> float:
        """The first moment it names after ``now``."""
        return self._search(now, 1)

    def _search(self, now: float, step: int) -> float:
        local = dt.datetime.fromtimestamp(now, self.zone)
        day = local.date()
        for _ in range(_FARTHEST_DAYS):
            if self._is_on(day):
                moments = self._moments(day)
                found = [each for each in moments if (each > now if step > 0 else each <= now)]
                if found:
                    return min(found) if step > 0 else max(found)
            day += dt.timedelta(days=step)
        raise ScheduleError("the cron line names no day")

    def _is_on(self, day: dt.date) -> bool:
        if day.month not in self.months:
            return False
        in_month = day.day in self.days
        in_week = (day.isoweekday() % 7) in self.weekdays
        if any(self.any_day):
            return in_month and in_week
        return in_month or in_week

    def _moments(self, day: dt.date) -> list[float]:
        return [
            dt.datetime(day.year, day.month, day.day, hour, minute, tzinfo=self.zone).timestamp()
            for hour in self.hours
            for minute in self.minutes
        ]


def _field(text: str, low: int, high: int, words: Sequence[str]) -> frozenset[int]:
    values: set[int] = set()
    for part in text.split(","):
        span, _, every = part.partition("/")
        if span in ("*", "?"):
            first, last = low, high
        elif "-" in span:
            first, last = (_number(each, words) for each in span.split("-", 1))
        else:
            first = _number(span, words)
            last = high if every else first
        step = _number(every, ()) if every else 1
        if not low <= first <= last <= high or step < 1:
            raise ScheduleError(f"{part!r} of a cron line is out of range {low} to {high}")
        values.update(range(first, last + 1, step))
    return frozenset(values)


def _number(text: str, words: Sequence[str]) -> int:
    if text in words:
        return words.index(text)
    if not text.isdigit():
        raise ScheduleError(f"{text!r} of a cron line is no number")
    return int(text)
