"""Moments of a schedule, in time zones, and a clock that is set back."""

from __future__ import annotations

import datetime as dt

import pytest

from proxy.cache.clock_steps import ClockSteps
from proxy.cache.schedule import Cron, ScheduleError
from tests.cache.test_units import Clock


def test_cron() -> None:
    def unix(*parts: int) -> float:
        return dt.datetime(*parts, tzinfo=dt.UTC).timestamp()  # type: ignore[misc]

    daily = Cron.parse("30 8 * * *")
    assert daily.last(unix(2024, 3, 1, 8, 29)) == unix(2024, 2, 29, 8, 30)
    assert daily.next(unix(2024, 3, 1, 8, 30)) == unix(2024, 3, 2, 8, 30)
    rome = Cron.parse("0 0 * * mon-fri", "Europe/Rome")
    # The clocks of Rome go forward on Sunday, 31 March 2024.
    assert rome.next(unix(2024, 3, 29, 12)) == unix(2024, 3, 31, 22)
    assert Cron.parse("*/15 * * * *").next(unix(2024, 1, 1, 0, 1)) == unix(2024, 1, 1, 0, 15)
    leap = Cron.parse("0 0 29 2 *")
    assert leap.next(unix(2024, 3, 1)) == unix(2028, 2, 29)
    for wrong in ("61 * * * *", "* * *", "x * * * *", "1 hou", "0 0 31 2 x"):
        with pytest.raises(ScheduleError):
            Cron.parse(wrong)
    with pytest.raises(ScheduleError):
        Cron.parse("0 0 * * *", "Nowhere/None")


@pytest.mark.parametrize("line", ["30 2 * * *", "0 3 * * *", "*/20 * * * *"])
def test_days_of_23_and_of_25_hours(line: str) -> None:
    cron = Cron.parse(line, "Europe/Amsterdam")
    for day in (dt.datetime(2026, 3, 28, tzinfo=dt.UTC), dt.datetime(2026, 10, 24, tzinfo=dt.UTC)):
        moment = begin = day.timestamp()
        while moment < begin + 3 * 86_400:
            following = cron.next(moment)
            assert 0 < following - moment <= (3600 + 1200 if "/" in line else 25 * 3600)
            assert cron.last(following) == following
            assert cron.last(following - 1) <= moment or moment == begin
            moment = following


def test_a_clock_that_is_set_back_is_noticed_once() -> None:
    clock, wall = Clock(), Clock()
    steps = ClockSteps(clock, wall)
    assert not steps.back()
    for now in (clock, wall):
        now.now += 3600.0
    assert not steps.back()
    wall.now += 7200.0
    assert not steps.back()
    wall.now -= 7200.0
    assert steps.back()
    assert not steps.back()
    wall.now -= 1.0  # as NTP does
    assert not steps.back()
