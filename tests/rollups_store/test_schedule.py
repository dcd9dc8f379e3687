"""When parts are due, closed and too old; how ranges are cut."""

from __future__ import annotations

import doctest
import itertools
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from connectors.rollup_store import PartKey, StoredTable
from proxy.rollups import duration, partitions
from proxy.rollups.partitions import TooManyPartitionsError
from proxy.rollups.planning import Verdict, plan_rollup
from proxy.rollups.schedule import (
    ScheduleError,
    check_schedule,
    closed_at,
    next_look,
    pause_before_look,
    too_old_at,
)
from semantic.compiler.rollups.api import RollupDefinition
from semantic.model.values import Interval, RefreshKey

NOON = datetime(2013, 3, 30, 12, tzinfo=UTC)


def at(*fields: int) -> float:
    return datetime(*fields, tzinfo=UTC).timestamp()  # type: ignore[misc, arg-type]


@pytest.mark.parametrize("module", [duration, partitions])
def test_examples(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("key", "due"),
    [
        (None, at(2013, 3, 30, 13)),
        (RefreshKey(immutable=True), None),
        (RefreshKey(every="10 minutes"), at(2013, 3, 30, 12, 10)),
        (RefreshKey(every="1 month"), at(2013, 4, 30, 12)),
        (RefreshKey(every="1 day 6 hours"), at(2013, 3, 31, 18)),
        (RefreshKey(sql="SELECT 1"), at(2013, 3, 30, 12, 1)),
        (RefreshKey(every="30 5 * * *"), at(2013, 3, 31, 5, 30)),
        # Half past five in Berlin is another moment after the clocks went forward that night.
        (RefreshKey(every="30 5 * * *", time_zone="Europe/Berlin"), at(2013, 3, 31, 3, 30)),
        (RefreshKey(every="0 0 * * 1", time_zone="Asia/Kolkata"), at(2013, 3, 31, 18, 30)),
    ],
)
def test_next_look(key: RefreshKey | None, due: float | None) -> None:
    assert next_look(key, NOON.timestamp()) == due


def test_too_old_is_what_has_missed_a_refresh() -> None:
    key = RefreshKey(every="30 5 * * *")
    assert too_old_at(key, NOON.timestamp()) == at(2013, 4, 1, 5, 30)
    assert too_old_at(RefreshKey(immutable=True), NOON.timestamp()) is None


@pytest.mark.parametrize(
    "key",
    [
        RefreshKey(every="now and then"),
        RefreshKey(every="99 * * * *"),
        RefreshKey(every="0 5 * * *", time_zone="Europe/Atlantis"),
        RefreshKey(every="1 day", update_window=Interval(((1, "sprint"),))),
    ],
)
def test_what_cannot_be_read_is_refused(key: RefreshKey) -> None:
    with pytest.raises(ScheduleError):
        check_schedule(key)


def test_partitions_closed_after_their_window() -> None:
    end = datetime(2013, 4, 1, tzinfo=UTC)
    window = Interval(((3, "day"),))
    key = RefreshKey(every="1 hour", incremental=True, update_window=window)
    assert closed_at(key, end) == at(2013, 4, 4)
    assert closed_at(RefreshKey(every="1 hour", incremental=True), end) == at(2013, 4, 1)
    assert closed_at(RefreshKey(every="1 hour"), end) is None
    assert closed_at(key, None) is None


@pytest.mark.parametrize(
    ("unit", "first", "last", "count"),
    [
        ("hour", "2013-03-30T12:00", "2013-04-02T08:00", 69),
        ("day", "2013-03-30T00:00", "2013-04-02T00:00", 4),
        ("week", "2013-03-25T00:00", "2013-04-01T00:00", 2),
        ("month", "2013-03-01T00:00", "2013-04-01T00:00", 2),
        ("quarter", "2013-01-01T00:00", "2013-04-01T00:00", 2),
        ("year", "2013-01-01T00:00", "2013-01-01T00:00", 1),
    ],
)
def test_partitions_meet_and_cover(unit: str, first: str, last: str, count: int) -> None:
    end = datetime(2013, 4, 2, 8, tzinfo=UTC)
    found = list(partitions.partitions(NOON, end, unit))
    assert len(found) == count
    assert found[0][0] == datetime.fromisoformat(first).replace(tzinfo=UTC)
    assert found[-1][0] == datetime.fromisoformat(last).replace(tzinfo=UTC)
    assert all(one[1] == other[0] for one, other in itertools.pairwise(found))
    assert found[0][0] <= NOON
    assert end < found[-1][1]


def test_a_mistaken_range_is_refused() -> None:
    with pytest.raises(TooManyPartitionsError):
        list(partitions.partitions(datetime(1, 1, 1, tzinfo=UTC), NOON, "hour"))


KEY = RefreshKey(every="1 hour", incremental=True, update_window=Interval(((3, "day"),)))
MARCH = (datetime(2013, 3, 1, tzinfo=UTC), datetime(2013, 4, 1, tzinfo=UTC))
FEBRUARY = (datetime(2013, 2, 1, tzinfo=UTC), MARCH[0])
DEFINITION = RollupDefinition(
    "flights.by_day", "flights", "default", "rollup", (), "v1", partition="month", refresh_key=KEY
)


def stored(bounds: tuple[datetime, datetime], built: float, version: str = "v1") -> StoredTable:
    key = PartKey("flights.by_day", version, *bounds)
    return StoredTable(key, f'"{bounds[0]}"', 1, 1, built, built, 0.1)


def test_a_plan_says_what_each_part_needs() -> None:
    now = NOON.timestamp()
    tables = [stored(FEBRUARY, at(2013, 3, 5)), stored(MARCH, now - 7200)]
    plan = plan_rollup(DEFINITION, [FEBRUARY, MARCH], tables, now)
    assert [part.verdict for part in plan.parts] == [Verdict.DUE, Verdict.CLOSED]
    assert plan.complete
    # Built while its rows could still change, a partition is built once more when they rest.
    early = plan_rollup(DEFINITION, [FEBRUARY], [stored(FEBRUARY, at(2013, 3, 3))], now)
    assert [part.verdict for part in early.parts] == [Verdict.DUE]
    fresh = plan_rollup(DEFINITION, [MARCH], [stored(MARCH, now - 60)], now)
    assert [part.verdict for part in fresh.parts] == [Verdict.FRESH]
    forced = plan_rollup(DEFINITION, [FEBRUARY], tables, now, force=True)
    assert [part.verdict for part in forced.parts] == [Verdict.FORCED]


def test_what_was_built_by_a_clock_that_was_ahead_is_built_again() -> None:
    now = NOON.timestamp()
    # Its window seems to have ended: it would never be built again.
    ahead = stored(MARCH, at(2013, 4, 5))
    for table, verdict in (
        (ahead, Verdict.DUE),
        (stored(MARCH, now + 30), Verdict.FRESH),  # by another machine's clock
    ):
        (part,) = plan_rollup(DEFINITION, [MARCH], [table], now).parts
        assert part.verdict is verdict
    immutable = replace(DEFINITION, refresh_key=RefreshKey(immutable=True))
    (part,) = plan_rollup(immutable, [MARCH], [ahead], now).parts
    assert part.verdict is Verdict.FRESH


def test_a_plan_names_what_is_superfluous() -> None:
    now = NOON.timestamp()
    old, outside = stored(MARCH, now, "v0"), stored(FEBRUARY, now)
    plan = plan_rollup(DEFINITION, [MARCH], [old, outside], now)
    assert [part.verdict for part in plan.parts] == [Verdict.MISSING]
    assert plan.outside == (outside,)
    assert plan.superseded == (old,)
    assert not plan.complete


@pytest.mark.parametrize(
    ("every", "seconds"),
    [
        ([], 10),
        (["1 hour"], 10),
        (["3 seconds", "1 hour"], 3),
        (["0 12 * * *"], 10),
        (["1 second", "no schedule"], 1),
    ],
)
def test_keys_that_ask_more_often_are_looked_at_more_often(every: list[str], seconds: int) -> None:
    keys = [RefreshKey(every=each) for each in every] + [RefreshKey(immutable=True)]
    assert pause_before_look(keys, at(2013, 3, 30, 11), 10) == seconds
