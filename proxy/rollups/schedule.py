"""When a stored part is due to be looked at again, by its rollup's refresh key. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from proxy.rollups.duration import duration_of, parse_duration
from semantic.model.values import RefreshKey

DEFAULT_EVERY = "1 hour"
"""Of a rollup that says nothing about its freshness."""
SQL_EVERY = "1 minute"
"""How often the SQL of a refresh key is asked where ``every`` does not say."""


class ScheduleError(ValueError):
    """The ``every`` of a refresh key is neither an interval nor a cron line."""


SHORTEST_PAUSE = 0.01
AHEAD_SECONDS = 60.0
"""By which the clocks of machines may differ."""


def has_unknown_age(key: RefreshKey | None, looked_at: float, now: float) -> bool:
    """Whether data that may age was looked at by a clock that has been set back since."""
    return looked_at > now + AHEAD_SECONDS and not (key is not None and key.immutable)


def next_look(key: RefreshKey | None, looked_at: float) -> float | None:
    """Unix seconds at which data of ``looked_at`` is due; None: never. Raises ScheduleError."""
    if key is not None and key.immutable:
        return None
    every = key.every if key is not None else None
    if every is None:
        every = SQL_EVERY if key is not None and key.sql is not None else DEFAULT_EVERY
    moment = datetime.fromtimestamp(looked_at, UTC)
    duration = parse_duration(every)
    if duration is not None:
        return duration.after(moment).timestamp()
    return _next_of_cron(every, key.time_zone if key is not None else None, moment)


def pause_before_look(keys: Iterable[RefreshKey | None], now: float, longest: float) -> float:
    """Seconds until anything may be due, at most ``longest``.

    Keys that ask more often than is looked would otherwise be too old most of the time.
    """
    looks = (next_look(key, now) for key in keys if has_schedule(key))
    soonest = min((look for look in looks if look is not None), default=now + longest)
    return max(SHORTEST_PAUSE, min(longest, soonest - now))


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
    return duration_of(key.update_window).after(end).timestamp()


def check_schedule(key: RefreshKey | None) -> None:
    """Raise ScheduleError where ``every``, the zone or the window cannot be read."""
    next_look(key, 0.0)
    try:
        duration_of(key.update_window if key is not None else None)
    except ValueError as error:
        raise ScheduleError(f"update_window: {error}") from None


def has_schedule(key: RefreshKey | None) -> bool:
    """Whether ``check_schedule`` has nothing to say."""
    try:
        check_schedule(key)
    except ScheduleError:
        return False
    return True


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
