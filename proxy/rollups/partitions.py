"""Partitions of a rollup: half-open ranges of moments, cut by calendar units in UTC."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from proxy.rollups.duration import Duration

Range = tuple[datetime | None, datetime | None]

MOST_PARTITIONS = 10_000
"""Of one rollup: more are a mistake in its range, and would keep a store busy for days."""

_STEPS = {
    "hour": Duration(seconds=3600),
    "day": Duration(seconds=86_400),
    "week": Duration(seconds=604_800),
    "month": Duration(months=1),
    "quarter": Duration(months=3),
    "year": Duration(months=12),
}


class TooManyPartitionsError(ValueError):
    """The range of a rollup holds more partitions than anybody can mean."""


def partition_start(moment: datetime, unit: str) -> datetime:
    """Where the partition that holds a moment starts; a week starts on Monday.

    >>> partition_start(datetime(2013, 5, 17, 9, tzinfo=UTC), "quarter").isoformat()
    '2013-04-01T00:00:00+00:00'
    """
    day = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    if unit == "hour":
        return day
    day = day.replace(hour=0)
    if unit == "day":
        return day
    if unit == "week":
        return day - timedelta(days=day.weekday())
    month = {"month": day.month, "quarter": (day.month - 1) // 3 * 3 + 1, "year": 1}[unit]
    return day.replace(day=1, month=month)


def partitions(start: datetime, end: datetime, unit: str) -> Iterator[tuple[datetime, datetime]]:
    """The partitions that hold the moments from ``start`` to ``end``, both included.

    Raises TooManyPartitionsError.
    """
    step = _STEPS[unit]
    here = partition_start(start, unit)
    for _ in range(MOST_PARTITIONS):
        if here > end:
            return
        following = step.after(here)
        yield here, following
        here = following
    raise TooManyPartitionsError(
        f"from {start.isoformat()} to {end.isoformat()} there are more than"
        f" {MOST_PARTITIONS} partitions by {unit}"
    )


def parse_range(start: str | None, end: str | None) -> tuple[datetime | None, datetime | None]:
    """Moments of a command line; without a zone they are in UTC. Raises ValueError."""
    return _moment(start), _moment(end)


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
