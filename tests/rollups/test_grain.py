"""The lattice of granularities, and the clocks of all time zones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest

from semantic.compiler.expressions.periods import DAY, HOUR, Period
from semantic.compiler.rollups.grain import GRAINS, is_aligned, is_made_of, serves_every_zone
from semantic.compiler.rollups.stored_query import QUARTER_HOURS_SINCE

UNITS = tuple(GRAINS)
FISCAL = Period(12, 0, datetime(2020, 4, 1))
SPRINT = Period(0, 14 * DAY, datetime(2020, 1, 6))
SHIFT = Period(0, 8 * HOUR, datetime(2020, 1, 1, 6))


def test_units_are_made_of_finer_ones_but_weeks() -> None:
    for coarse in UNITS:
        for fine in UNITS:
            expected = UNITS.index(coarse) >= UNITS.index(fine)
            if "week" in (coarse, fine) and coarse != fine:
                expected = fine in ("second", "minute", "hour", "day")
            assert is_made_of(GRAINS[coarse], GRAINS[fine]) is expected, (coarse, fine)


@pytest.mark.parametrize(
    ("coarse", "fine", "expected"),
    [
        (FISCAL, GRAINS["month"], True),
        (FISCAL, GRAINS["quarter"], True),
        (FISCAL, GRAINS["year"], False),
        (GRAINS["year"], FISCAL, False),
        (FISCAL, GRAINS["day"], True),
        (FISCAL, SHIFT, False),
        (SPRINT, GRAINS["week"], True),
        (GRAINS["week"], SPRINT, False),
        (SHIFT, GRAINS["hour"], True),
        (GRAINS["day"], SHIFT, False),
    ],
)
def test_custom_granularities(coarse: Period, fine: Period, expected: bool) -> None:
    assert is_made_of(coarse, fine) is expected


def test_starts_of_periods() -> None:
    assert is_aligned(datetime(2024, 4, 1), FISCAL)
    assert not is_aligned(datetime(2024, 1, 1), FISCAL)
    assert is_aligned(datetime(2024, 1, 1), GRAINS["week"])
    assert not is_aligned(datetime(2024, 1, 2), GRAINS["week"])
    assert is_aligned(datetime(1999, 12, 31, 22), SHIFT)


def test_offsets_of_all_zones_are_quarter_hours() -> None:
    """Since the moment from which on times are truncated to quarters of an hour of UTC."""
    quarter = timedelta(minutes=15)
    start = datetime.fromisoformat(QUARTER_HOURS_SINCE)
    assert start.tzinfo is not None
    for name in sorted(available_timezones()):
        zone = ZoneInfo(name)
        moment = start
        while moment < datetime(2040, 1, 1, tzinfo=UTC):
            offset = moment.astimezone(zone).utcoffset()
            assert offset is not None
            assert offset % quarter == timedelta(0), (name, moment)
            moment += timedelta(days=91)
    served = [unit for unit in UNITS if serves_every_zone(GRAINS[unit])]
    assert served == ["second", "minute"]
    assert serves_every_zone(Period(0, HOUR // 4, datetime(2000, 1, 1)))
