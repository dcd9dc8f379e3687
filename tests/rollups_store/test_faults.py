"""Builders that are killed, disks that are full, state that is damaged, readers during swaps."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import resource
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from connectors.errors import WarehouseError
from connectors.rollup_manifest import MANIFEST
from tests.architecture.sources import ROOT
from tests.rollups_store.support import PARQUET, STORES
from tests.rollups_store.world import DEFINITION, HOURS, World, open_world
from tests.support.oracle import OraclePostgres

ONE = replace(DEFINITION, partition=None)


@pytest.fixture(params=STORES)
async def world(
    request: pytest.FixtureRequest, folder: Path, oracle: OraclePostgres
) -> AsyncIterator[World]:
    async with open_world(request.param, folder, oracle) as opened:
        yield opened


@pytest.mark.slow
async def test_killed_at_every_step_a_build_leaves_old_or_new_whole(
    world: World, folder: Path, oracle: OraclePostgres
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.rollups_store.victims",
        world.kind,
        str(folder),
        oracle.dsn,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await process.communicate()
    steps = [json.loads(line) for line in out.splitlines()]
    assert process.returncode == 0, err.decode()
    factor, outcomes = 1, set()
    for step in steps:
        assert step["tables"] == 1, step
        # No table that nobody names is left, once collected.
        assert step["left"] == 1, step
        assert step["total"] in (factor * HOURS, (step["step"] + 1) * HOURS), step
        outcomes.add((step["killed"], step["total"] != factor * HOURS))
        factor = step["total"] // HOURS
    # Some died before their table was there, some after it, the last one lived.
    assert outcomes == {(True, False), (True, True), (False, True)}
    assert len(steps) > 10


async def test_a_full_disk_is_an_error_and_the_old_data_stay(
    folder: Path, oracle: OraclePostgres
) -> None:
    async with open_world(PARQUET, folder, oracle) as world:
        await world.build(ONE)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        # What a file may grow to: the table's rows do not fit, whatever they are written as.
        resource.setrlimit(resource.RLIMIT_FSIZE, (200, hard))
        try:
            (outcome,) = await world.build(ONE, force=True)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert outcome.status == "failed"
        assert outcome.error is not None
        assert outcome.error.startswith("53100")
        assert await world.total() == HOURS
        await world.store.collect(0.0)
        assert len(list((folder / "rollups").glob("*.*"))) == 3
        assert [each.status for each in await world.build(ONE, force=True)] == ["built"]


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "other"])
async def test_damaged_state_is_refused_and_built_anew(
    damage: str, folder: Path, oracle: OraclePostgres
) -> None:
    async with open_world(PARQUET, folder, oracle) as world:
        await world.build()
        manifest = folder / "rollups" / MANIFEST
        data = manifest.read_bytes()
        damaged = {
            "cut": data[: len(data) // 2],
            "flipped": data.replace(b'\\"rows\\": 1', b'\\"rows\\": 7', 1),
            "empty": b"",
            "other": b"[]",
        }[damage]
        assert damaged != data
        manifest.write_bytes(damaged)
        with pytest.raises(WarehouseError) as caught:
            await world.store.read()
        assert caught.value.sqlstate == "XX001"
        assert [each.status for each in await world.build()] == ["built"] * 4
        assert await world.total() == HOURS
        # The tables of the damaged state belong to nobody, and go in time.
        assert await world.store.collect(0.0) == 4
        assert await world.total() == HOURS


def _refresh(kind: str, folder: Path, dsn: str, gate: object, results: object) -> None:
    from types import SimpleNamespace

    async def work() -> list[str]:
        async with open_world(kind, folder, SimpleNamespace(dsn=dsn), fresh=False) as world:  # type: ignore[arg-type]
            builder = world.builder()
            plan = await builder.plan(DEFINITION)
            gate.wait()  # type: ignore[attr-defined]
            return [each.status for each in await builder.run(plan)]

    results.put(asyncio.run(work()))  # type: ignore[attr-defined]


async def test_racing_processes_build_each_part_once(
    world: World, folder: Path, oracle: OraclePostgres
) -> None:
    spawn = multiprocessing.get_context("spawn")
    gate, results = spawn.Barrier(2), spawn.Queue()
    arguments = (world.kind, folder, oracle.dsn, gate, results)
    processes = [spawn.Process(target=_refresh, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    found = [await asyncio.to_thread(results.get, timeout=60) for _ in processes]
    for process in processes:
        await asyncio.to_thread(process.join)
    assert all(set(each) <= {"built", "taken"} for each in found)
    stored = await world.store.read()
    assert len(stored) == 4
    assert await world.total() == HOURS
    # Nothing was built that was not needed: what is stored is all there is.
    assert await world.store.collect(0.0) == 0


async def test_readers_see_one_version_or_the_other_while_it_is_replaced(world: World) -> None:
    await world.build(ONE)
    stop = asyncio.Event()
    sums: set[int] = set()
    reads = 0

    async def read() -> None:
        nonlocal reads
        while not stop.is_set():
            tables = await world.store.read()
            assert len(tables) == 1
            sums.add(await world.total(tables))
            reads += 1

    readers = [asyncio.create_task(read()) for _ in range(4)]
    for factor in range(2, 12):
        world.compiler.factor = str(factor)
        (outcome,) = await world.build(ONE, force=True)
        assert outcome.status == "built", outcome.error
        await world.store.collect(60.0)
    stop.set()
    await asyncio.gather(*readers)
    assert sums <= {HOURS * factor for factor in range(1, 12)}
    assert len(sums) > 3
    assert reads > 20
    assert await world.store.collect(0.0) == 10


async def test_a_table_that_is_read_is_not_dropped(folder: Path, oracle: OraclePostgres) -> None:
    async with open_world("postgres", folder, oracle) as world:
        await world.build(ONE)
        (old,) = await world.store.read()
        import psycopg

        async with await psycopg.AsyncConnection.connect(oracle.dsn) as reader:
            await reader.execute(f"SELECT * FROM {old.table}")
            await world.build(ONE, force=True)
            assert await world.store.collect(0.0) == 0
        assert await world.store.collect(0.0) == 1
