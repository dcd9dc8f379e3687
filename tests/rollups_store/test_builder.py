"""Plans carried out over real stores: partitions, refresh keys, versions, parallelism, failures."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.rollups.planning import within
from proxy.rollups.refresher import Refresher, RefreshSettings
from semantic.model.values import RefreshKey
from tests.rollups_store.support import POSTGRES, STORES
from tests.rollups_store.world import (
    DEFINITION,
    FEBRUARY,
    HOURS,
    MARCH,
    World,
    open_world,
)
from tests.support.oracle import OraclePostgres


@pytest.fixture(params=STORES)
async def world(
    request: pytest.FixtureRequest, folder: Path, oracle: OraclePostgres
) -> AsyncIterator[World]:
    async with open_world(request.param, folder, oracle) as opened:
        yield opened


def statuses(outcomes: object) -> list[str]:
    return [each.status for each in outcomes]  # type: ignore[attr-defined]


async def test_every_partition_is_built_once(world: World) -> None:
    assert statuses(await world.build()) == ["built"] * 4
    stored = await world.store.read()
    # Without a declared range the outermost parts have no bound: together they hold every row.
    assert stored[0].key.start is None or stored[-1].key.start is None
    assert {each.key.start for each in stored} >= {None, FEBRUARY, MARCH}
    assert sum(each.key.end is None for each in stored) == 1
    assert await world.total() == HOURS
    assert statuses(await world.build()) == ["kept"] * 4
    assert statuses(await world.build(force=True)) == ["built"] * 4
    assert await world.total() == HOURS


async def test_a_declared_range_bounds_every_part(world: World) -> None:
    await world.build(replace(DEFINITION, has_range=True))
    assert all(None not in each.key.bounds for each in await world.store.read())


async def test_a_rollup_without_partitions_is_one_table(world: World) -> None:
    assert statuses(await world.build(replace(DEFINITION, partition=None))) == ["built"]
    (only,) = await world.store.read()
    assert only.rows == 4
    assert await world.total() == HOURS


async def test_only_the_partitions_asked_for(world: World) -> None:
    builder = world.builder()
    plan = within(await builder.plan(DEFINITION), FEBRUARY, MARCH)
    assert statuses(await builder.run(plan)) == ["built"]
    (only,) = await world.store.read()
    assert only.key.bounds == (FEBRUARY, MARCH)
    # What was built is kept, and the rest follows: builds go on where they stopped.
    assert sorted(statuses(await world.build())) == ["built", "built", "built", "kept"]


async def test_the_sql_of_a_refresh_key_decides(world: World) -> None:
    sql = "SELECT CAST(MAX({}) AS TEXT) AS key FROM events"
    asked = replace(DEFINITION, refresh_key=RefreshKey(every="0 second", sql=sql.format("n")))
    asked = replace(asked, refresh_key=RefreshKey(every="1 second", sql=sql.format("n")))
    assert statuses(await world.build(asked)) == ["built"] * 4
    before = await world.store.read()
    await world.store.confirm(before, before[0].built_at - 3600)
    assert statuses(await world.build(asked)) == ["confirmed"] * 4
    after = await world.store.read()
    assert [each.table for each in after] == [each.table for each in before]
    assert all(each.checked_at >= each.built_at for each in after)
    await world.store.confirm(after, after[0].built_at - 3600)
    other = replace(asked, refresh_key=RefreshKey(every="1 second", sql=sql.format("n + 1")))
    assert statuses(await world.build(other)) == ["built"] * 4


async def test_a_new_version_takes_over_when_it_is_complete(world: World) -> None:
    await world.build()
    new = replace(DEFINITION, version="v2")
    builder = world.builder(new)
    plan = await builder.plan(new)
    await builder.run(within(plan, FEBRUARY, MARCH))
    assert {each.key.version for each in await world.store.read()} == {"v1", "v2"}
    await builder.run(await builder.plan(new))
    assert {each.key.version for each in await world.store.read()} == {"v2"}
    assert await world.total() == HOURS


async def test_a_failing_partition_leaves_the_others_and_the_old_version(world: World) -> None:
    await world.build()
    world.compiler.factor = "(1 / (CASE WHEN MIN(moment) >= '2013-03-01' THEN 0 ELSE 1 END))"
    if world.kind != POSTGRES:
        world.compiler.factor = (
            "(CASE WHEN MIN(moment) >= '2013-03-01' THEN error('22012: no') ELSE 1 END)"
        )
    outcomes = await world.build(replace(DEFINITION, version="v2"))
    assert sorted(statuses(outcomes)) == ["built", "built", "failed", "failed"]
    failed = [each.error for each in outcomes if each.error is not None]
    assert failed[0].startswith("220")
    assert {each.key.version for each in await world.store.read()} == {"v1", "v2"}
    old = [each for each in await world.store.read() if each.key.version == "v1"]
    assert await world.total(old) == HOURS


async def test_a_refresher_builds_what_is_due_and_collects(world: World) -> None:
    builder = world.builder()
    refresher = Refresher(builder, RefreshSettings(interval=0.01, grace=0.0))
    assert statuses(await refresher.run_once()) == ["built"] * 4
    stored = await world.store.read()
    await world.store.confirm(stored, stored[0].built_at - 7200)
    assert statuses(await refresher.run_once()) == ["built"] * 4
    assert await world.store.collect(0.0) == 0
    assert await world.total() == HOURS


async def test_a_part_that_takes_too_long_is_given_up(folder: Path, oracle: OraclePostgres) -> None:
    async with open_world("postgres", folder, oracle) as world:
        world.compiler.factor = "(SELECT COUNT(*) FROM generate_series(1, 1000000000))"
        builder = world.builder(replace(DEFINITION, partition=None), timeout=0.2)
        definition = next(iter(builder.definitions.values()))
        (outcome,) = await builder.run(await builder.plan(definition))
        assert outcome.status == "failed"
        assert (outcome.error or "").startswith("57014")
        assert await world.store.read() == ()
