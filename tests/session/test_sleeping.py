"""What the session takes for a call of pg_sleep, and how it waits."""

from __future__ import annotations

import asyncio
import math

import pytest

from proxy.errors import SessionError
from proxy.session.sleeping import sleep, sleep_call


@pytest.mark.parametrize(
    ("text", "values", "seconds"),
    [
        ("select pg_sleep(3)", (), 3.0),
        (" SELECT pg_catalog.pg_sleep( -.5e1 ) AS x ", (), -5.0),
        ("select pg_sleep(1.5::double precision)", (), 1.5),
        ("select pg_sleep($1)", (2.0,), 2.0),
        ("select pg_sleep($1::float8)", (None,), None),
    ],
)
def test_calls(text: str, values: tuple[object, ...], seconds: float | None) -> None:
    found = sleep_call(text, values)
    assert found is not None
    assert found.seconds == seconds


@pytest.mark.parametrize(
    "text",
    [
        "select pg_sleep(1), 2",
        "select pg_sleep(1) from flights",
        "select pg_sleep('1')",
        "select pg_sleep($2)",
        "select pg_sleep($1)",
        "select pg_sleep(1) as x; select 1",
        "explain select pg_sleep(1)",
        "select public.pg_sleep(1)",
        "select pg_sleep(0.4::int)",
    ],
)
def test_other_statements(text: str) -> None:
    assert sleep_call(text, ()) is None


def test_answers() -> None:
    one, none = (
        sleep_call("select pg_sleep(0) as n", ()),
        sleep_call("select pg_sleep($1)", (None,)),
    )
    assert one is not None
    assert one.answer == "SELECT ''::void AS n"
    assert none is not None
    assert none.answer == "SELECT NULL::void AS pg_sleep"


@pytest.mark.parametrize("seconds", [None, 0.0, -1.0, math.nan, -math.inf])
async def test_does_not_wait(seconds: float | None) -> None:
    await asyncio.wait_for(sleep(seconds, None), 5)


@pytest.mark.parametrize("seconds", [60.0, 1e30, math.inf])
async def test_timeout(seconds: float) -> None:
    with pytest.raises(SessionError) as problem:
        await asyncio.wait_for(sleep(seconds, 0.05), 30)
    assert problem.value.sqlstate == "57014"


async def test_is_interrupted() -> None:
    task = asyncio.create_task(sleep(math.inf, None))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)
