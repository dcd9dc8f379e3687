"""Statements whose driver blocks, from the event loop's side."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from connectors import threaded
from connectors.errors import WarehouseError
from connectors.threaded import Chunk, ThreadedStatement
from connectors.workers import Call, Workers


class Reader:
    """A connection that is never asked."""

    stopping = False

    def next(self, _rows: int) -> Chunk:
        raise AssertionError

    def interrupt(self) -> None:
        """Nobody hears it."""

    def close(self) -> None:
        """There is nothing to close."""


class Hand:
    """Workers whose calls end when the test says so."""

    def __init__(self) -> None:
        self.calls: list[Call[Any]] = []

    def submit(self, function: Callable[[], Any], *, urgent: bool = False) -> Call[Any]:
        assert urgent == bool(self.calls)
        self.calls.append(Call(function, asyncio.get_running_loop().create_future()))
        return self.calls[-1]

    def withdraw(self, _call: Call[Any]) -> bool:
        return False


async def test_a_step_that_ends_as_it_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    complaints: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    monkeypatch.setattr(threaded, "LEAVE_SECONDS", 0.0)
    hand, given_back = Hand(), asyncio.Event()
    statement = ThreadedStatement(
        Reader(),
        cast("Workers", hand),
        lambda _, reusable: given_back.set() if not reusable else None,
        lambda error: WarehouseError("XX000", str(error)),
    )
    step = asyncio.create_task(statement.step(lambda reader: reader.next(1)))
    await asyncio.sleep(0)
    statement.stop("timeout")
    loop.call_later(0, hand.calls[0].future.set_result, Chunk(None, None, finished=True))
    with pytest.raises(WarehouseError) as caught:
        await step
    assert caught.value.sqlstate == "57014"
    while len(hand.calls) < 2:
        await asyncio.sleep(0)
    hand.calls[1].future.set_result(None)
    await asyncio.wait_for(given_back.wait(), 10)
    assert complaints == []
