"""Versions of the data: how refresh keys are asked, and what stands where they cannot be."""

from __future__ import annotations

import asyncio

from connectors.errors import WarehouseError
from proxy.cache.freshness import FOREVER, CubeFreshness
from proxy.cache.versions import DataVersions
from tests.cache.test_units import Clock


def versions(cubes: dict[str, CubeFreshness], answers: list[str | Exception]) -> DataVersions:
    async def ask(source: str, sql: str) -> str:
        await asyncio.sleep(0)
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return DataVersions(cubes, ask, clock=Clock(), wall=Clock())


async def test_a_refresh_key_is_asked_once_in_its_time() -> None:
    made = versions({"a": CubeFreshness(FOREVER, "s", sql="q", every=10)}, ["1", "1", "2"])
    clock = made.clock
    assert isinstance(clock, Clock)
    first, second = await asyncio.gather(made.of(["a"]), made.of(["a"]))
    assert first is not None
    assert first == second
    clock.now += 10
    same = await made.of(["a"])
    assert same is not None
    assert same.token == first.token
    clock.now += 10
    other = await made.of(["a"])
    assert other is not None
    assert other.token != first.token


async def test_a_refresh_key_that_fails_means_not_cached() -> None:
    cubes = {"a": CubeFreshness(FOREVER, "s", sql="q", every=10)}
    made = versions(cubes, [WarehouseError("08006", "away"), "1"])
    assert await made.of(["a"]) is None
    assert await made.of(["a"]) is None
    assert isinstance(made.clock, Clock)
    made.clock.now += 10
    assert await made.of(["a"]) is not None


async def test_a_refresh_key_that_fails_is_believed_as_long_as_old_results_may_be() -> None:
    cubes = {"a": CubeFreshness(FOREVER, "s", sql="q", every=10)}
    away = WarehouseError("08006", "away")
    made = versions(cubes, ["1", away, away, "1"])
    made.grace = 15
    clock = made.clock
    assert isinstance(clock, Clock)
    first = await made.of(["a"])
    assert first is not None
    for seconds, known in ((12, True), (10, True), (3, False), (7, True)):
        clock.now += seconds
        await made.of(["a"])
        await asyncio.gather(*(each.task for each in made._answers.values() if each.task))
        version = await made.of(["a"])
        assert (version is not None and version.token == first.token) is known


async def test_cubes_together_live_as_long_as_the_shortest() -> None:
    cubes = {"a": CubeFreshness(60, "s"), "b": CubeFreshness(5, "s"), "c": CubeFreshness(0, "s")}
    made = versions(cubes, [])
    version = await made.of(["a", "b"])
    assert version is not None
    assert version.lifetime == 5
    assert await made.of(["a", "c"]) is None
    assert await made.of(["unknown"]) is None
    assert await made.of([]) is None
