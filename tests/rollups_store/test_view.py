"""What statements may be answered from, as time goes by and tables come and go."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from connectors.rollup_store import PartKey, StoredTable
from proxy.rollups.view import NO_ROLLUPS, ROLLUPS_OFF, RollupChoice, RollupUse, RollupView
from semantic.compiler.rollups.api import RollupDefinition
from semantic.model.values import RefreshKey

HOURLY = RollupDefinition(
    "flights.by_day", "flights", "default", "rollup", (), "v1", refresh_key=RefreshKey("1 hour")
)
FOREVER = replace(HOURLY, name="flights.forever", refresh_key=RefreshKey(immutable=True))


@dataclass
class Clock:
    now: float = 100_000.0

    def __call__(self) -> float:
        return self.now


def table(rollup: str = "flights.by_day", name: str = '"t1"', **values: object) -> StoredTable:
    start = datetime(2013, 1, 1, tzinfo=UTC)
    made = StoredTable(PartKey(rollup, "v1", start), name, 10, 10, 100_000.0, 100_000.0, 0.1)
    return replace(made, **values)  # type: ignore[arg-type]


def view() -> tuple[RollupView, Clock]:
    clock = Clock()
    definitions = {each.name: each for each in (HOURLY, FOREVER)}
    return RollupView(definitions, clock), clock


def names(use: RollupUse) -> list[str]:
    return [part.table for stored in use.candidates.stored for part in stored.parts]


def test_nothing_stored_is_nothing_to_use() -> None:
    seen, _ = view()
    assert seen.use() == NO_ROLLUPS
    assert not seen.publish([])
    assert not seen.publish([table("gone.rollup"), table(key=PartKey("flights.by_day", "v0"))])
    assert seen.use() == NO_ROLLUPS


def test_equal_candidates_have_one_token_and_others_another() -> None:
    seen, clock = view()
    assert seen.publish([table()])
    first = seen.use()
    assert names(first) == ['"t1"']
    assert not seen.publish([table()])
    clock.now += 1800
    assert seen.use() == first
    assert seen.publish([table(name='"t2"')])
    assert seen.use().token != first.token
    assert names(seen.use()) == ['"t2"']


def test_another_part_does_not_change_the_token_of_who_does_not_use_them() -> None:
    seen, _ = view()
    seen.publish([table()])
    off = seen.use(RollupChoice("off"))
    seen.publish([table(name='"t2"')])
    assert seen.use(RollupChoice("off")) == off == ROLLUPS_OFF


def test_what_has_missed_a_refresh_is_not_used() -> None:
    seen, clock = view()
    seen.publish([table(), table("flights.forever", '"f"')])
    clock.now += 7199
    assert names(seen.use()) == ['"t1"', '"f"']
    clock.now += 1
    assert names(seen.use()) == ['"f"']
    seen.publish([table(checked_at=clock.now), table("flights.forever", '"f"')])
    assert names(seen.use()) == ['"t1"', '"f"']


def test_what_a_clock_has_stamped_that_was_ahead_is_not_used() -> None:
    seen, clock = view()
    clock.now += 7200
    seen.publish([table(checked_at=clock.now), table("flights.forever", '"f"')])
    limited = RollupChoice("on", 600.0)
    for choice in (limited, RollupChoice("on")):
        assert names(seen.use(choice)) == ['"t1"', '"f"']
    clock.now -= 7200
    for choice in (limited, RollupChoice("on")):
        assert names(seen.use(choice)) == ['"f"']
    clock.now += 7200 - 59  # which clocks may differ by
    for choice in (limited, RollupChoice("on")):
        assert names(seen.use(choice)) == ['"t1"', '"f"']


def test_a_limit_of_the_session_goes_before_the_refresh_key() -> None:
    seen, clock = view()
    seen.publish([table(), table("flights.forever", '"f"')])
    limited, patient = RollupChoice("on", 600.0), RollupChoice("on", 86_400.0)
    clock.now += 599
    assert names(seen.use(limited)) == ['"t1"', '"f"']
    clock.now += 1
    assert names(seen.use(limited)) == ['"f"']
    clock.now += 10_000
    assert names(seen.use(patient)) == ['"t1"', '"f"']
    assert names(seen.use()) == ['"f"']


def test_a_table_of_unknown_age_is_used_only_by_who_does_not_ask() -> None:
    seen, _ = view()
    assert seen.use().candidates.others
    assert not seen.use(RollupChoice("on", 86_400.0)).candidates.others
    assert not seen.use(RollupChoice("off")).candidates.others
    assert seen.use(RollupChoice("off")).token != seen.use().token


def test_vanished_tables_are_not_named_until_the_store_has_been_looked_at() -> None:
    seen, _ = view()
    seen.publish([table(), table("flights.forever", '"f"')])
    before = seen.use()
    seen.vanished(["flights.by_day"])
    assert names(seen.use()) == ['"f"']
    assert seen.use().token != before.token
    assert seen.publish([table(), table("flights.forever", '"f"')])
    assert names(seen.use()) == ['"t1"', '"f"']


def test_a_refresh_key_that_cannot_be_read_fails_no_statement() -> None:
    odd = replace(HOURLY, refresh_key=RefreshKey("now and then"))
    seen = RollupView({odd.name: odd}, Clock())
    seen.publish([table()])
    assert seen.use() == NO_ROLLUPS


def test_tables_that_overlap_are_not_used() -> None:
    seen, _ = view()
    wide = table(name='"wide"', key=PartKey("flights.by_day", "v1"))
    seen.publish([table(), wide, table("flights.forever", '"f"')])
    assert names(seen.use()) == ['"f"']


def test_tokens_are_not_given_twice() -> None:
    seen, clock = view()
    tokens = set()
    for number in range(5):
        seen.publish([table(name=f'"{number}"', checked_at=clock.now)])
        clock.now += 1000
        tokens.add(seen.use().token)
        tokens.add(seen.use(RollupChoice("on", 5000.0)).token)
    assert len(tokens) == 10
