"""The lattice of granularities: which periods are made of which."""

from __future__ import annotations

from datetime import datetime, timedelta

from semantic.compiler.expressions.periods import DAY, HOUR, MICROSECOND, Period

_ORIGIN = datetime(2000, 1, 1)
_SECOND = 1_000_000
QUARTER_HOUR = 15 * 60 * _SECOND

GRAINS: dict[str, Period] = {
    "second": Period(0, _SECOND, _ORIGIN),
    "minute": Period(0, 60 * _SECOND, _ORIGIN),
    "hour": Period(0, HOUR, _ORIGIN),
    "day": Period(0, DAY, _ORIGIN),
    "week": Period(0, 7 * DAY, datetime(2000, 1, 3)),
    "month": Period(1, 0, _ORIGIN),
    "quarter": Period(3, 0, _ORIGIN),
    "year": Period(12, 0, _ORIGIN),
}

# The coarsest grain that decides a field of a local time.
_FIELDS = {
    "minute": "minute",
    "hour": "hour",
    "day": "day",
    "dow": "day",
    "isodow": "day",
    "doy": "day",
    "week": "week",
    "isoyear": "week",
    "month": "month",
    "quarter": "quarter",
    "year": "year",
}


def grain_of_field(name: str) -> Period | None:
    """The periods within which a field of a local time has one value; None: no such periods."""
    found = _FIELDS.get(name.lower())
    return None if found is None else GRAINS[found]


def is_made_of(coarse: Period, fine: Period) -> bool:
    """Whether every period of one grain is a number of whole periods of the other."""
    if fine.months:
        return _months_of_months(coarse, fine)
    apart = (coarse.origin - fine.origin) // MICROSECOND
    if apart % fine.microseconds:
        return False
    if coarse.months:
        # Its starts are whole days apart.
        return DAY % fine.microseconds == 0
    return coarse.microseconds % fine.microseconds == 0


def _months_of_months(coarse: Period, fine: Period) -> bool:
    if not coarse.months or coarse.months % fine.months:
        return False
    if _within_month(coarse.origin) != _within_month(fine.origin):
        return False
    return (_month(coarse.origin) - _month(fine.origin)) % fine.months == 0


def _within_month(moment: datetime) -> timedelta:
    return moment - moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _month(moment: datetime) -> int:
    return moment.year * 12 + moment.month - 1


def is_aligned(moment: datetime, grain: Period) -> bool:
    """Whether a period of the grain starts at a local time."""
    if grain.months:
        same = _within_month(moment) == _within_month(grain.origin)
        return same and (_month(moment) - _month(grain.origin)) % grain.months == 0
    return ((moment - grain.origin) // MICROSECOND) % grain.microseconds == 0


def serves_every_zone(grain: Period) -> bool:
    """Whether clocks of all time zones start its periods together (offsets are quarter hours)."""
    return bool(grain.microseconds) and is_made_of(Period(0, QUARTER_HOUR, _ORIGIN), grain)
