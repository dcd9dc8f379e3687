"""Hostile statements end in an answer or a refusal, and the event loop goes on meanwhile."""

from __future__ import annotations

import asyncio
import time

import pytest

from proxy.parse_worker import ParseWorker, RemoteBinding
from semantic.compiler.api import SessionSettings
from semantic.compiler.compiler import Compiler
from semantic.compiler.guard import GuardLimits
from semantic.errors import SemanticError
from tests.compiler.shop import probe_duckdb, published, shop_database, shop_model
from tests.support.canary import slowness

SETTINGS = SessionSettings("tester", "cubewire")


LONG = {
    "or": "select count(*) from orders where " + " or ".join(f"id = {n}" for n in range(10_000)),
    "in": "select count(*) from orders where id in (" + ", ".join(map(str, range(20_000))) + ")",
    "parentheses": "select " + "(" * 200 + "id" + ")" * 200 + " from orders",
    "plus": "select " + "+".join(["id"] * 3_000) + " from orders",
    "casts": "select id" + "::int" * 3_000 + " from orders",
    "minus": "select " + "- " * 3_000 + "id from orders",
    "not": "select id from orders where " + "not " * 3_000 + "true",
}
ENDLESS = {
    "array": "select " + "array[" * 60 + "id" + "]" * 60 + " from orders",
    "date": "select " + "date(" * 60 + "id" + ")" * 60 + " from orders",
    "join": "select * from orders " + "join orders a " * 30,
}
"""The parser takes twice as long for each one more: no deadline is enough."""


@pytest.fixture(scope="module")
def compiler() -> Compiler:
    model = shop_model()
    database = shop_database()
    types = published(model, "duckdb", lambda sql: probe_duckdb(database, sql))
    return Compiler(model, types, {"default": "duckdb"})


async def longest_pause(done: asyncio.Event) -> float:
    longest = 0.0
    while not done.is_set():
        started = time.perf_counter()
        await asyncio.sleep(0.005)
        longest = max(longest, time.perf_counter() - started)
    return longest


@pytest.mark.parametrize("name", [*LONG, *ENDLESS])
async def test_an_answer_or_a_refusal(compiler: Compiler, name: str) -> None:
    sql, deadline = (LONG[name], 20) if name in LONG else (ENDLESS[name], 2)
    worker = ParseWorker(GuardLimits(max_depth=500), deadline=deadline)
    done = asyncio.Event()
    pauses = asyncio.create_task(longest_pause(done))
    state = None
    try:
        bound = await worker.bind(compiler, "1", sql, SETTINGS)
        assert isinstance(bound, RemoteBinding)
    except SemanticError as error:
        state = error.sqlstate
    finally:
        done.set()
        await worker.close()
    assert state in (None, "54000", "54001", "42601", "0A000", "42501")
    assert await pauses < 2 * slowness()


async def test_a_worker_past_its_deadline_is_replaced(compiler: Compiler) -> None:
    worker = ParseWorker(GuardLimits(max_depth=500), deadline=1)
    sql = ENDLESS["array"]
    try:
        with pytest.raises(SemanticError) as caught:
            await worker.bind(compiler, "1", sql, SETTINGS)
        assert caught.value.sqlstate == "54000"
        assert caught.value.hint is not None
        bound = await worker.bind(compiler, "1", "select id from orders", SETTINGS)
        assert isinstance(bound, RemoteBinding)
    finally:
        await worker.close()


@pytest.mark.parametrize("end", ["cancelled", "too late"])
async def test_an_interrupted_start_leaves_no_answer_behind(
    compiler: Compiler, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """Who comes next would be given what was answered to somebody else."""
    worker = ParseWorker(GuardLimits(max_depth=500), deadline=30)
    try:
        if end == "cancelled":
            first = asyncio.create_task(worker.bind(compiler, "1", "select 1", SETTINGS))
            while worker._process is None:
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.02)  # it has been sent the compiler, and has not answered
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
        else:
            with monkeypatch.context() as patched:
                patched.setattr("proxy.parse_worker.START_SECONDS", 0.05)
                with pytest.raises(SemanticError) as caught:
                    await worker.bind(compiler, "1", "select 1", SETTINGS)
            assert caught.value.sqlstate == "53000"
        for sql in (
            "select id from orders",
            "select count(*) from orders",
            "select status from orders",
        ):
            bound = await worker.bind(compiler, "1", sql, SETTINGS)
            expected = compiler.bind(sql, SETTINGS)
            assert bound is not None
            assert expected is not None
            assert bound.analysis_sql == expected.analysis_sql
    finally:
        await worker.close()
