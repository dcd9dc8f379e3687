"""Leases: settings, what is left behind, limits, cancel, notices, COPY, errors."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.catalog import Catalog, CatalogError, CatalogOptions
from tests.catalog.models import SHOP
from tests.catalog.support import ask, execute, rows_of
from tests.support.waiting import until_async

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tight(templates: Path) -> AsyncIterator[Catalog]:
    """A catalog with two backends, short of patience."""
    running = Catalog(
        CatalogOptions(
            template_directory=templates,
            backends=2,
            lease_timeout=2.0,
            idle_timeout=0.4,
            deadline=1.0,
            analysis_deadline=5.0,
        )
    )
    await running.start()
    await running.deploy(SHOP)
    yield running
    await running.close()


async def test_settings_are_exactly_the_leases(shared_catalog: Catalog) -> None:
    question = "SELECT current_setting('TimeZone'), current_setting('DateStyle'), 1.5::float8"
    first = {"TimeZone": "Europe/Rome", "DateStyle": "German"}
    for wanted, expected in (
        (first, ("Europe/Rome", "German, DMY")),
        ({}, ("UTC", "ISO, MDY")),
        ({"timezone": "Asia/Tokyo"}, ("Asia/Tokyo", "ISO, MDY")),
        (first, ("Europe/Rome", "German, DMY")),
    ):
        (row,) = await ask(shared_catalog, question, settings=wanted)
        assert row[:2] == expected


async def test_fresh_parameters(shared_catalog: Catalog) -> None:
    assert shared_catalog.server_version.startswith("16.")
    found = shared_catalog.parameters
    assert found["client_encoding"] == "UTF8"
    assert found["DateStyle"] == "ISO, MDY"
    assert found["TimeZone"] == "UTC"
    assert found["is_superuser"] == "off"
    assert found["standard_conforming_strings"] == "on"
    (row,) = await ask(shared_catalog, "SHOW server_version")
    assert row == (shared_catalog.server_version,)


async def test_session_settings_after_set(shared_catalog: Catalog) -> None:
    lease = shared_catalog.lease("demo", {"TimeZone": "Asia/Tokyo"}, {"cubewire.backend_pid": "7"})
    async with lease as backend:
        result = await backend.run_simple("SET DateStyle = 'ISO, DMY'")
        await result.drain()
        assert result.tag == "SET"
        assert result.parameter_status == {"DateStyle": "ISO, DMY"}
        await execute(backend, "SELECT set_config('work_mem', '5MB', false)")
        await execute(backend, "SELECT set_config('cubewire.measure_aggregates', 'defined', false)")
        await (await backend.run_simple("SET ROLE demo")).drain()
        assert await backend.session_settings() == {
            "TimeZone": "Asia/Tokyo",
            "DateStyle": "ISO, DMY",
            "work_mem": "5120",
            "cubewire.measure_aggregates": "defined",
            "role": "demo",
        }
        await (await backend.run_simple("RESET ALL")).drain()
        await (await backend.run_simple("RESET ROLE")).drain()
        assert await backend.session_settings() == {}
    assert await ask(
        shared_catalog,
        "SELECT current_setting('work_mem'), current_setting('cubewire.backend_pid', true)",
    ) in ([("4MB", "")], [("4MB", None)])


async def test_what_session_settings_gave_can_be_leased(shared_catalog: Catalog) -> None:
    async with shared_catalog.lease("demo", {}) as backend:
        for sql in (
            "SET search_path = \"$user\", 'o''b\"rien', public",
            "SET statement_timeout = '7s'",
            "SET standard_conforming_strings = off",
            "SET extra_float_digits = 0",
            "SET application_name = 'a\\b'",
            "SET cubewire.note = 'it''s'",
        ):
            await (await backend.run_simple(sql)).drain()
        wanted = await backend.session_settings()
        names = ["search_path", "statement_timeout", "extra_float_digits", "application_name"]
        question = "SELECT " + ", ".join(f"current_setting('{name}')" for name in names)
        before = await execute(backend, question)
    async with shared_catalog.lease("demo", wanted) as backend:
        assert await execute(backend, question) == before
        assert await backend.session_settings() == wanted


@pytest.mark.parametrize(
    "left",
    [
        "SET work_mem = '1MB'",
        "BEGIN",
        "PREPARE p AS SELECT 1",
        "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
        "LISTEN x",
        "SELECT set_config('work_mem', '1MB', false)",
        "SELECT U&\"s\\0065t_config\"('work_mem', '1MB', false)",
        "/* x */ -- y\n (SELECT set_config('work_mem', '1MB', false))",
    ],
)
async def test_nothing_is_left_behind(shared_catalog: Catalog, left: str) -> None:
    async with shared_catalog.lease("left", {}) as backend:
        await (await backend.run_simple(left)).drain()
    (row,) = await ask(
        shared_catalog,
        "SELECT current_setting('work_mem'), (SELECT count(*) FROM pg_prepared_statements WHERE "
        "name = 'p'), (SELECT count(*) FROM pg_cursors WHERE is_holdable), "
        "(SELECT count(*) FROM pg_listening_channels())",
        user="left",
    )
    assert row == ("4MB", "0", "0", "0")
    async with shared_catalog.lease("left", {}) as backend:
        await execute(backend, "SELECT 1")
        assert backend.transaction_status == "I"


async def test_transaction_over_several_statements(shared_catalog: Catalog) -> None:
    async with shared_catalog.lease("demo", {}) as backend:
        for sql, status in (
            ("BEGIN", "T"),
            ("SET LOCAL TimeZone = 'Asia/Tokyo'", "T"),
            ("SAVEPOINT a", "T"),
        ):
            result = await backend.run_simple(sql)
            await result.drain()
            assert result.status == status
        with pytest.raises(CatalogError):
            await backend.run_simple("SELECT 1/0")
        assert backend.transaction_status == "E"
        with pytest.raises(CatalogError) as caught:
            await execute(backend, "SELECT 1")
        assert caught.value.sqlstate == "25P02"
        await (await backend.run_simple("ROLLBACK TO a")).drain()
        assert await execute(backend, "SHOW TimeZone") == [("Asia/Tokyo",)]
        await (await backend.run_simple("COMMIT")).drain()
        assert await execute(backend, "SHOW TimeZone") == [("UTC",)]


async def test_error_fields_and_position(shared_catalog: Catalog) -> None:
    with pytest.raises(CatalogError) as caught:
        await shared_catalog.analyse(
            "SELECT statuss FROM orders", (), {}, "demo", position=lambda at: at + 100
        )
    error = caught.value
    assert error.sqlstate == "42703"
    assert error.hint == 'Perhaps you meant to reference the column "orders.status".'
    assert error.position == 108
    assert error.fields["P"] == "108"
    assert not set("FLR") & set(error.fields)
    with pytest.raises(CatalogError) as caught:
        await ask(shared_catalog, "SELECT 'x'::int")
    assert caught.value.fields == {
        "S": "ERROR",
        "V": "ERROR",
        "C": "22P02",
        "M": 'invalid input syntax for type integer: "x"',
        "P": "8",
    }


async def test_analysis_uses_settings_that_matter(shared_catalog: Catalog) -> None:
    with pytest.raises(CatalogError) as caught:
        await shared_catalog.analyse("SELECT 1 FROM orders", (), {"search_path": "x"}, "demo")
    assert caught.value.sqlstate == "42P01"
    sql = "SELECT DATE '13/02/2024'"
    await shared_catalog.analyse(sql, (), {"DateStyle": "ISO, DMY"}, "demo")
    with pytest.raises(CatalogError):
        await shared_catalog.analyse(sql, (), {}, "demo")
    answer = await shared_catalog.analyse("SELECT $1, $2 + 1", (23, 0), {"jit": "on"}, "demo")
    assert answer.parameter_oids == (23, 23)
    assert (await shared_catalog.analyse("", (), {}, "demo")).columns == ()


async def test_many_analyses_at_once(shared_catalog: Catalog) -> None:
    answers = await asyncio.gather(
        *(shared_catalog.analyse(f"SELECT {n} AS c{n}", (), {}, "demo") for n in range(200))
    )
    assert [answer.columns[0][0] for answer in answers] == [f"c{n}" for n in range(200)]


async def test_prepare_on_the_leased_backend(shared_catalog: Catalog) -> None:
    async with shared_catalog.lease("demo", {}) as backend:
        answer = await backend.prepare("SELECT relname FROM pg_class WHERE oid = $1", ())
        assert answer.parameter_oids == (26,)
        assert answer.columns == (("relname", 19, -1),)
        result = await backend.run(
            "SELECT relname FROM pg_class WHERE oid = $1",
            answer.parameter_oids,
            (1,),
            ((1259).to_bytes(4),),
            (1,),
        )
        assert result.fields is not None
        assert result.fields[0].format == 1
        assert await rows_of(result) == [("pg_class",)]
        assert result.tag == "SELECT 1"


async def test_null_parameters_and_empty_statement(shared_catalog: Catalog) -> None:
    async with shared_catalog.lease("demo", {}) as backend:
        result = await backend.run("SELECT $1::text, $2::text", (), (), (None, b""), ())
        assert await rows_of(result) == [(None, "")]
        empty = await backend.run_simple(" ; ")
        assert [chunk async for chunk in empty] == []
        assert (empty.tag, empty.fields) == ("", None)
        shown = await backend.run_simple("SELECT relname FROM pg_class WHERE false")
        assert [chunk async for chunk in shown] == []
        assert shown.tag == "SELECT 0"


async def test_notices(shared_catalog: Catalog) -> None:
    async with shared_catalog.lease("demo", {}) as backend:
        result = await backend.run_simple("COMMIT")
        await result.drain()
        assert [notice["C"] for notice in result.notices] == ["25P01"]
        assert result.notices[0]["S"] == "WARNING"


async def test_copy_out(shared_catalog: Catalog) -> None:
    async with shared_catalog.lease("demo", {}) as backend:
        for run in (
            backend.run_simple("COPY (VALUES (1, 'a'), (2, 'b')) TO STDOUT"),
            backend.run("COPY (VALUES (1, 'a'), (2, 'b')) TO STDOUT", (), (), (), ()),
        ):
            result = await run
            chunks = [chunk async for chunk in result]
            assert result.copy_formats == (0, 0)
            assert b"".join(data for data, _ in chunks) == b"d\0\0\0\x081\ta\nd\0\0\0\x082\tb\n"
            assert sum(number for _, number in chunks) == 2
            assert result.tag == "COPY 2"
        with pytest.raises(CatalogError):
            await backend.run("COPY customers FROM STDIN", (), (), (), ())
        assert await execute(backend, "SELECT 1") == [("1",)]


async def test_large_result_in_pieces_and_given_up(shared_catalog: Catalog) -> None:
    async with shared_catalog.lease("demo", {}) as backend:
        result = await backend.run(
            "SELECT i, repeat('x', 100) FROM generate_series(1, 30000) i", (), (), (), ()
        )
        rows = await rows_of(result)
        assert len(rows) == 30000
        assert rows[-1][0] == "30000"
        result = await backend.run("SELECT generate_series(1, 100000000)", (), (), (), ())
        await anext(aiter(result))
    started = time.monotonic()
    assert await ask(shared_catalog, "SELECT 1") == [("1",)]
    assert time.monotonic() - started < 30


async def test_row_larger_than_the_buffer(shared_catalog: Catalog) -> None:
    (row,) = await ask(shared_catalog, "SELECT repeat('é', 1000000)")
    assert row == ("é" * 1000000,)


async def test_cancel(shared_catalog: Catalog) -> None:
    async with shared_catalog.lease("demo", {}) as backend:
        run = asyncio.create_task(
            execute(
                backend,
                "SELECT count(*) FROM generate_series(1, 99999) a, generate_series(1, 99999) b",
            )
        )
        await asyncio.sleep(0.1)
        await backend.cancel()
        with pytest.raises(CatalogError) as caught:
            await run
        assert caught.value.sqlstate == "57014"
        assert caught.value.message == "canceling statement due to user request"
        await backend.cancel()
        assert await execute(backend, "SELECT 1") == [("1",)]


async def test_reader_that_goes_away(shared_catalog: Catalog) -> None:
    async def read() -> None:
        async with shared_catalog.lease("demo", {}) as backend:
            await execute(
                backend,
                "SELECT count(*) FROM generate_series(1, 99999) a, generate_series(1, 99999) b",
            )

    for pause in (0.0, 0.005, 0.1):
        task = asyncio.create_task(read())
        await asyncio.sleep(pause)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await ask(shared_catalog, "SELECT 1") == [("1",)]
    analysis = asyncio.create_task(shared_catalog.analyse("SELECT 1", (), {}, "demo"))
    await asyncio.sleep(0)
    analysis.cancel()
    with pytest.raises(asyncio.CancelledError):
        await analysis
    assert (await shared_catalog.analyse("SELECT 2 AS b", (), {}, "demo")).columns[0][0] == "b"


async def test_deadline_stands_above_statement_timeout(tight: Catalog) -> None:
    settings = {"statement_timeout": "0"}
    started = time.monotonic()
    with pytest.raises(CatalogError) as caught:
        await ask(
            tight,
            "SELECT count(*) FROM generate_series(1, 99999) a, generate_series(1, 99999) b",
            settings=settings,
        )
    assert caught.value.sqlstate == "57014"
    assert caught.value.message == "canceling statement due to statement timeout"
    assert time.monotonic() - started < 30
    async with tight.lease("demo", {}) as backend:
        with pytest.raises(CatalogError):
            await backend.run_simple(
                "SELECT count(*) FROM generate_series(1, 99999) a, generate_series(1, 99999) b",
                deadline=0.05,
            )
        assert await execute(backend, "SELECT 1") == [("1",)]


async def test_pool_is_bounded_and_fair(tight: Catalog) -> None:
    async with tight.lease("a", {}) as one, tight.lease("b", {}) as two:
        await execute(one, "SELECT 1")
        await execute(two, "SELECT 1")
        with pytest.raises(CatalogError) as caught:
            await ask(tight, "SELECT 1", user="c")
        assert caught.value.sqlstate == "53300"
    rows = await asyncio.gather(
        *(ask(tight, f"SELECT {n}", user=f"user {n % 5}") for n in range(40))
    )
    assert [row[0][0] for row in rows] == [str(n) for n in range(40)]
    assert tight._pool.total <= 2
    await until_async(lambda: tight._pool.total == 0)


async def test_waiters_that_leave_pass_their_turn_on(tight: Catalog) -> None:
    async def hold(user: str, seconds: float) -> None:
        async with tight.lease(user, {}):
            await asyncio.sleep(seconds)

    holders = [asyncio.create_task(hold("a", 0.1)) for _ in range(2)]
    await asyncio.sleep(0.02)
    waiting = [asyncio.create_task(hold("b", 0.0)) for _ in range(6)]
    await asyncio.sleep(0.02)
    for task in waiting[::2]:
        task.cancel()
    await asyncio.gather(*holders, *waiting, return_exceptions=True)
    assert await ask(tight, "SELECT 1") == [("1",)]


async def test_many_connections_are_used_again(shared_catalog: Catalog) -> None:
    pids = {
        (await ask(shared_catalog, "SELECT pg_backend_pid()", user="same"))[0] for _ in range(20)
    }
    assert len(pids) == 1


USERS = st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=16
).filter(lambda name: len(name.encode()) <= 63)


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(user=USERS, value=USERS)
async def test_any_user_and_any_value(shared_catalog: Catalog, user: str, value: str) -> None:
    if user.startswith("pg_") or user in ("public", "none"):
        return
    question = "SELECT current_user, current_setting('cubewire.note')"
    assert await ask(shared_catalog, question, user=user, settings={"cubewire.note": value}) == [
        (user, value)
    ]


@pytest.mark.parametrize("user", ["", "x" * 64, "pg_cubewire", "pg_monitor", "public", "none"])
async def test_users_that_cannot_be(shared_catalog: Catalog, user: str) -> None:
    with pytest.raises(CatalogError) as caught:
        await ask(shared_catalog, "SELECT 1", user=user)
    assert caught.value.sqlstate == "28000"


async def test_setting_that_does_not_exist(shared_catalog: Catalog) -> None:
    for _ in range(2):
        with pytest.raises(CatalogError) as caught:
            await ask(shared_catalog, "SELECT 1", settings={"no_such_setting": "1"})
        assert caught.value.sqlstate == "42704"
    assert await ask(shared_catalog, "SELECT 1") == [("1",)]
