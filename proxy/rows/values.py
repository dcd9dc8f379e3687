"""Days and microseconds as Python's dates and times, whose range is smaller than PostgreSQL's."""

from __future__ import annotations

import datetime

from proxy.rows.calendar import DAY, PLAIN_FIRST, PLAIN_LAST
from proxy.rows.errors import ParameterError

_EPOCH = datetime.datetime(1970, 1, 1)
_ORDINAL = datetime.date(1970, 1, 1).toordinal()


def _beyond(type_name: str) -> ParameterError:
    return ParameterError(
        "0A000",
        f"{type_name} parameter is beyond what is supported",
        hint="Years from 1 to 9999 are; infinity and 24:00:00 are not. Write it as a literal.",
    )


def date_value(days: int) -> datetime.date:
    """A date of days since 1970."""
    if not PLAIN_FIRST <= days <= PLAIN_LAST:
        raise _beyond("date")
    return datetime.date.fromordinal(days + _ORDINAL)


def time_value(micros: int) -> datetime.time:
    """A time of day."""
    if micros >= DAY:
        raise _beyond("time")
    return (_EPOCH + datetime.timedelta(microseconds=micros)).time()


def timestamp_value(micros: int, aware: bool) -> datetime.datetime:
    """A timestamp of microseconds since 1970; an instant, in UTC, if ``aware``."""
    if not PLAIN_FIRST * DAY <= micros < (PLAIN_LAST + 1) * DAY:
        raise _beyond("timestamp")
    value = _EPOCH + datetime.timedelta(microseconds=micros)
    return value.replace(tzinfo=datetime.UTC) if aware else value


def zone_value(seconds: int) -> datetime.timezone:
    """A fixed offset east of Greenwich."""
    return datetime.timezone(datetime.timedelta(seconds=seconds))
