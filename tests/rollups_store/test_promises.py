"""Whether what is stored for one cube keeps what another one declares of its data's age."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from proxy.rollups.promises import Age, kept_until, model_promises
from proxy.rollups.view import RollupChoice, RollupView
from semantic.model.preaggregation import PreAggregation
from semantic.model.promises import Promise
from semantic.model.relations import Cube
from semantic.model.values import RefreshKey
from tests.rollups_store.test_view import HOURLY, Clock, table

HOUR = RefreshKey("1 hour")
COUNTED = RefreshKey("5 minutes", sql="SELECT max(id) FROM flights")
BUILT, CHECKED = 36_000.0, 37_200.0
AGE = Age(BUILT, CHECKED)


@pytest.mark.parametrize(
    ("key", "is_stored", "own", "seconds"),
    [
        # The age up to which results are served, of rows as they were read.
        (HOUR, False, HOUR, 3600),
        (HOUR, False, RefreshKey("1 day"), 3600),
        (HOUR, False, COUNTED, 3600),
        (RefreshKey("30 10 * * *"), False, HOUR, 1800),
        (RefreshKey("30 10 * * *", time_zone="Asia/Tokyo"), False, HOUR, 15.5 * 3600),
        (RefreshKey(immutable=True), False, RefreshKey("1 day"), math.inf),
        (RefreshKey(immutable=True, sql="SELECT 1"), False, HOUR, math.inf),
        # What is built answers until it has missed a whole refresh.
        (HOUR, True, HOUR, 7200),
        (None, True, HOUR, 7200),
        # An answer of SQL is known of the rollup that asks the same only.
        (COUNTED, False, COUNTED, 1200 + 300),
        (COUNTED, True, COUNTED, 1200 + 600),
        (COUNTED, False, HOUR, -math.inf),
        (COUNTED, False, None, -math.inf),
        (COUNTED, False, replace(COUNTED, sql="SELECT max(id) FROM others"), -math.inf),
        (RefreshKey("now and then"), False, HOUR, -math.inf),
    ],
)
def test_how_long_a_promise_is_kept(
    key: RefreshKey | None, is_stored: bool, own: RefreshKey | None, seconds: float
) -> None:
    promise = Promise(key, is_stored)
    assert kept_until([promise], own, AGE, CHECKED) == BUILT + seconds
    assert kept_until([promise, Promise(HOUR, is_stored=False)], own, AGE, CHECKED) == min(
        BUILT + seconds, BUILT + 3600
    )


def test_who_promises_nothing_is_kept_nothing() -> None:
    assert kept_until([], HOUR, AGE, CHECKED) == -math.inf


def test_rows_of_a_clock_that_was_ahead_keep_no_promise() -> None:
    assert kept_until([Promise(HOUR, is_stored=False)], None, AGE, BUILT - 61) == -math.inf
    assert kept_until([Promise(HOUR, is_stored=False)], None, AGE, BUILT - 59) > BUILT


def test_promises_are_of_cubes_that_declare_some() -> None:
    told = replace(HOURLY.refresh_key or HOUR, every=None, sql="SELECT 1")
    cubes = [
        Cube("silent", pre_aggregations=(PreAggregation("given", table="t"),)),
        Cube("told", refresh_key=told, pre_aggregations=(PreAggregation("a", refresh_key=HOUR),)),
    ]
    asked = replace(told, every="10 seconds")
    assert model_promises(cubes, 10.0) == {
        "told": (Promise(asked, is_stored=False), Promise(HOUR, is_stored=True))
    }


def test_a_view_says_whom_a_rollup_serves_as_time_goes_by() -> None:
    clock = Clock()
    cubes = [
        Cube("quick", refresh_key=RefreshKey("10 minutes")),
        Cube("slow", refresh_key=RefreshKey("90 minutes")),
        Cube("flights", refresh_key=RefreshKey("1 second")),
        Cube("silent"),
    ]
    seen = RollupView({HOURLY.name: HOURLY}, clock, model_promises(cubes, 10.0))
    seen.publish([table()])

    def served(choice: RollupChoice | None = None) -> frozenset[str] | None:
        (stored,) = seen.use(choice or RollupChoice()).candidates.stored
        return stored.serves

    first = seen.use()
    assert served() == {"quick", "slow"}
    clock.now += 599
    assert seen.use() == first
    clock.now += 1
    assert served() == {"slow"}
    assert seen.use().token != first.token
    # Who says how old data may be has said it of every cube.
    assert served(RollupChoice("on", 86_400.0)) is None
    clock.now += 4800
    assert served() == frozenset()
    seen.publish([table(built_at=clock.now, checked_at=clock.now)])
    assert served() == {"quick", "slow"}
