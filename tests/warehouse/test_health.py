"""Whether a source answers: down at once where it refuses, later where it is silent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from connectors.errors import WarehouseError
from proxy.warehouse import health as health_module
from proxy.warehouse.health import Health


class Source:
    """Answers as it is told: None is well, a number is that many seconds of silence."""

    def __init__(self) -> None:
        self.state: WarehouseError | float | None = None
        self.severed = 0
        self.health = Health("source", self.look, 0.02, self.sever)

    async def look(self) -> None:
        if isinstance(self.state, WarehouseError):
            raise self.state
        if self.state is not None:
            await asyncio.sleep(self.state)

    def sever(self) -> None:
        self.severed += 1

    async def until(self, *, up: bool) -> None:
        async with asyncio.timeout(5):
            while self.health.is_up is not up:
                await asyncio.sleep(0.005)


@pytest.fixture
async def source(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Source]:
    for name, seconds in (("LOOK", 0.05), ("FIRST_DELAY", 0.01), ("LAST_DELAY", 0.03)):
        monkeypatch.setattr(health_module, f"{name}_SECONDS", seconds)
    monkeypatch.setattr(health_module, "SEVER_SECONDS", 0.1)
    made = Source()
    task = asyncio.create_task(made.health.run())
    yield made
    task.cancel()
    await asyncio.wait([task])


async def test_who_refuses_is_down_at_once_and_up_as_soon_as_it_answers(source: Source) -> None:
    source.state = WarehouseError("08006", "refused")
    source.health.suspect()
    await source.until(up=False)
    with pytest.raises(WarehouseError, match="'source' does not answer") as caught:
        await source.health.wait_until_up(0.05)
    assert (caught.value.sqlstate, caught.value.reached) == ("08006", False)
    waiting = asyncio.create_task(source.health.wait_until_up(5))
    source.state = None
    await source.until(up=True)
    await waiting


async def test_who_is_silent_for_long_is_down_and_given_up(source: Source) -> None:
    source.state = 60.0
    await source.until(up=False)
    async with asyncio.timeout(5):
        while not source.severed:
            await asyncio.sleep(0.01)


async def test_who_sends_rows_is_not_down_though_a_look_waits(source: Source) -> None:
    source.state = 60.0
    for _ in range(60):
        await asyncio.sleep(0.005)
        source.health.heard()
        assert source.health.is_up
    assert not source.severed


async def test_who_answers_with_another_error_is_up(source: Source) -> None:
    source.state = WarehouseError("53300", "too many clients")
    await asyncio.sleep(0.2)
    assert source.health.is_up
