from __future__ import annotations

import asyncio
import threading

import pytest

from connectors.threads import finished_in_thread


async def test_a_cancelled_caller_waits_for_the_thread() -> None:
    started, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        may_end.wait(10)
        ended.set()

    task = asyncio.create_task(finished_in_thread(work))
    await asyncio.to_thread(started.wait, 10)
    for _ in range(2):
        task.cancel()
        await asyncio.sleep(0.01)
        assert not task.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_what_it_returns_and_raises() -> None:
    def fail() -> None:
        raise ValueError("no")

    assert await finished_in_thread(max, 2, 3) == 3
    with pytest.raises(ValueError, match="no"):
        await finished_in_thread(fail)


async def test_a_failure_of_a_cancelled_call_is_not_reported() -> None:
    may_fail = threading.Event()

    def work() -> None:
        may_fail.wait(10)
        raise ValueError("no")

    task = asyncio.create_task(finished_in_thread(work))
    await asyncio.sleep(0.01)
    task.cancel()
    may_fail.set()
    with pytest.raises(asyncio.CancelledError):
        await task
