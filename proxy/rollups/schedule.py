"""When a stored part is due to be looked at again, by its rollup's refresh key. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from dateutil.relativedelta import relativedelta

from semantic.model.values import Interval, RefreshKey

DEFAULT_EVERY = "1 hour"
"""Of a rollup that says nothing about its freshness."""
SQL_EVERY = "1 minute"
"""How often the SQL of a refresh key is asked where ``every`` does not say."""

_PART = re.compile(r"\s*(\d+)\s+([a-z]+?)s?\s*(?:$|(?=\d))", re.IGNORECASE)
_UNITS: dict[str, Callable[[int], relativedelta]] = {
    "second": lambda count: relativedelta(seconds=count),
    "minute": lambda count: relativedelta(minutes=count),
    "hour": lambda count: relativedelta(hours=count),
    "day": lambda count: relativedelta(days=count),
    "week": lambda count: relativedelta(weeks=count),
    "month": lambda count: relativedelta(months=count),
    "quarter": lambda count: relativedelta(months=3 * count),
    "year": lambda count: relativedelta(years=count),
}


class ScheduleError(ValueError):
    """The ``every`` of a refresh key is neither an interval nor a cron line."""


def next_look(key: RefreshKey | None, looked_at: float) -> float | None:
    """Unix seconds at which data of ``looked_at`` is due; None: never. Raises ScheduleError."""
    if key is not None and key.immutable:
        return None
    every = key.every if key is not None else None
    if every is None:
        every = SQL_EVERY if key is not None and key.sql is not None else DEFAULT_EVERY
    moment = datetime.fromtimestamp(looked_at, UTC)
    duration = _duration(every)
    if duration is not None:
        return (moment + duration).timestamp()
    return _next_of_cron(every, key.time_zone if key is not None else None, moment)


def too_old_at(key: RefreshKey | None, looked_at: float) -> float | None:
    """Unix seconds from which data of ``looked_at`` has missed a refresh; None: never.

    What is due is being refreshed, and answers until then; what was due twice is not.
    """
    first = next_look(key, looked_at)
    return None if first is None else next_look(key, first)


def closed_at(key: RefreshKey | None, end: datetime | None) -> float | None:
    """Unix seconds from which a partition's rows change no more; None: they always may.

    Args:
        key: of the rollup.
        end: of the partition.
    """
    if key is None or not key.incremental or end is None:
        return None
    return (end + duration_of(key.update_window)).timestamp()


def duration_of(interval: Interval | None) -> relativedelta:
    """An interval of the model as what can be added to a moment."""
    total = relativedelta()
    for count, unit in interval.parts if interval is not None else ():
        total += _UNITS[unit](count)
    return total


def check_schedule(key: RefreshKey | None) -> None:
    """Raise ScheduleError where ``every``, the zone or the window cannot be read."""
    next_look(key, 0.0)
    if key is not None and key.update_window is not None:
        unknown = [unit for _, unit in key.update_window.parts if unit not in _UNITS]
        if unknown:
            raise ScheduleError(f'"{unknown[0]}" is no unit of an update_window')


def _duration(every: str) -> relativedelta | None:
    total, position = relativedelta(), 0
    while part := _PART.match(every, position):
        unit = _UNITS.get(part[2].lower())
        if unit is None:
            return None
        total += unit(int(part[1]))
        position = part.end()
    return total if total and position == len(every) else None


def _next_of_cron(line: str, zone_name: str | None, moment: datetime) -> float:
    try:
        zone = UTC if zone_name is None else ZoneInfo(zone_name)
        return next(CronSim(line, moment.astimezone(zone))).timestamp()
    except ZoneInfoNotFoundError:
        raise ScheduleError(f'"{zone_name}" is no time zone') from None
    except (CronSimError, StopIteration):
        raise ScheduleError(
            f'"{line}" is neither an interval such as "1 hour" nor a cron line such as "30 5 * * 1"'
        ) from None
