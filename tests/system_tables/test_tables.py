from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Iterator

import psutil
import psycopg
import pytest

from proxy.catalog.system_tables import SYSTEM_TABLES
from tests.support.server import RunningServer
from tests.system_tables.conftest import connect

NAMES = [table.name for table in SYSTEM_TABLES]
CLIENTS = 20
"""So many that each of two workers has some."""
"""That the kernel gives all of them to one worker of two is 1 in 128."""


@pytest.fixture
def clients(shop: RunningServer) -> Iterator[list[psycopg.Connection]]:
    with contextlib.ExitStack() as stack:
        opened = []
        for number in range(CLIENTS):
            name = f"client {number:02}"
            connection = stack.enter_context(connect(shop, "otto", application_name=name))
            opened.append(connection)
        yield opened


@pytest.fixture
def operator(shop: RunningServer) -> Iterator[psycopg.Connection]:
    with connect(shop, "stan") as connection:
        yield connection


def test_sessions_of_all_workers(
    operator: psycopg.Connection, clients: list[psycopg.Connection]
) -> None:
    clients[0].execute("BEGIN")
    rows = operator.execute(
        "SELECT application, worker, process_id, login, state, address, encrypted, tenant "
        "FROM cubewire.sessions WHERE application LIKE 'client%' ORDER BY 1"
    ).fetchall()
    assert [row[0] for row in rows] == [f"client {number:02}" for number in range(CLIENTS)]
    assert {row[1] for row in rows} == {0, 1}
    assert [row[2] for row in rows] == [each.info.backend_pid for each in clients]
    assert {row[3] for row in rows} == {"otto"}
    assert [row[4] for row in rows] == ["idle in transaction"] + ["idle"] * (CLIENTS - 1)
    assert {row[5:] for row in rows} == {("127.0.0.1", True, None)}
    own = operator.execute(
        "SELECT state, statement_id LIKE process_id || '-%', connected_at < now() + '1s', "
        "active_at >= connected_at FROM cubewire.sessions WHERE process_id = pg_backend_pid()"
    ).fetchone()
    assert own == ("active", True, True, True)


def test_statements_that_have_ended(
    operator: psycopg.Connection, clients: list[psycopg.Connection]
) -> None:
    clients[0].execute("SELECT MEASURE(revenue) FROM orders WHERE status <> %s", ("secret",))
    with pytest.raises(psycopg.errors.UndefinedColumn):
        clients[1].execute("SELECT nothing FROM orders")
    done, failed = operator.execute(
        "SELECT login, kind, state, sqlstate, relations, data_source, rows, sql, "
        "(stages->>'warehouse')::float8 > 0 FROM cubewire.statements "
        "WHERE process_id IN (%s, %s) ORDER BY sqlstate",
        [each.info.backend_pid for each in clients[:2]],
    ).fetchall()
    text = "SELECT MEASURE(revenue) FROM orders WHERE status <> $1"
    assert done == ("otto", "cube", "done", "00000", ["orders"], "default", 1, text, True)
    assert failed[2:4] == ("failed", "42703")
    sources = operator.execute(
        "SELECT worker, name, dialect, up, slots > 0, running, waiting FROM cubewire.sources "
        "ORDER BY worker"
    ).fetchall()
    assert sources == [(worker, "default", "duckdb", True, True, 0, 0) for worker in (0, 1)]
    counted = operator.execute("SELECT sum(statements), sum(errors) FROM cubewire.sources")
    assert counted.fetchone() >= (1, 0)  # type: ignore[operator]


def test_rollups(operator: psycopg.Connection) -> None:
    assert operator.execute("SELECT count(*) FROM cubewire.rollups").fetchone() is not None


@pytest.mark.parametrize("name", NAMES)
def test_they_are_described(operator: psycopg.Connection, name: str) -> None:
    (table,) = (table for table in SYSTEM_TABLES if table.name == name)
    described = operator.execute(
        "SELECT column_name::text, data_type::text, "
        "col_description(format('cubewire.%%I', table_name)::regclass, ordinal_position) "
        "FROM information_schema.columns WHERE table_schema = 'cubewire' AND table_name = %s "
        "ORDER BY ordinal_position",
        (name,),
    ).fetchall()
    wanted = [
        (each.name, each.type.replace("text[]", "ARRAY"), each.comment) for each in table.columns
    ]
    assert described == wanted
    read = operator.execute(f"SELECT * FROM cubewire.{name}")
    assert read.description is not None
    assert [column.name for column in read.description] == [each.name for each in table.columns]


def test_a_statement_sees_one_moment(operator: psycopg.Connection) -> None:
    sql = (
        "SELECT a.milliseconds = b.milliseconds FROM cubewire.statements a "
        "JOIN cubewire.statements b USING (statement_id) WHERE a.state = 'preparing' "
        "OR a.state = 'running'"
    )
    assert set(operator.execute(sql).fetchall()) == {(True,)}


def test_every_way_of_reading(operator: psycopg.Connection) -> None:
    sql = "SELECT login FROM cubewire.sessions WHERE process_id = pg_backend_pid()"
    assert operator.execute(sql, binary=True).fetchall() == [("stan",)]
    assert operator.execute(sql, prepare=True).fetchall() == [("stan",)]
    with operator.transaction(), operator.cursor("c") as cursor:
        assert cursor.execute(sql).fetchall() == [("stan",)]
    with operator.cursor() as reading, reading.copy(f"COPY ({sql}) TO STDOUT") as copy:
        assert b"".join(bytes(piece) for piece in copy) == b"stan\n"
    operator.execute("SET search_path = cubewire, public")
    assert operator.execute(sql.replace("cubewire.", "")).fetchall() == [("stan",)]
    operator.execute("RESET search_path")
    operator.execute("CREATE TEMPORARY TABLE own AS SELECT 'stan' AS login")
    joined = "SELECT count(*) FROM cubewire.sessions JOIN own USING (login)"
    assert operator.execute(joined).fetchone() > (0,)  # type: ignore[operator]
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="cannot be read here"):
        operator.execute("CREATE TEMPORARY TABLE copied AS SELECT * FROM cubewire.sessions")


def test_not_beside_cubes(operator: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="system catalogs together"):
        operator.execute("SELECT count(*) FROM orders, cubewire.sessions")


def test_a_client_cannot_forge_them(operator: psycopg.Connection) -> None:
    operator.execute("SELECT set_config('cubewire.rows_of_sessions', '[]', false)")
    assert operator.execute("SELECT count(*) FROM cubewire.sessions").fetchone() != (0,)


def message(connection: psycopg.Connection, sql: str) -> tuple[str | None, ...]:
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(sql, prepare=True)
    diag = caught.value.diag
    return (diag.sqlstate, diag.message_primary, diag.message_hint, diag.statement_position)


@pytest.mark.parametrize("user", ["sara", "otto"])
def test_to_others_they_do_not_exist(shop: RunningServer, user: str) -> None:
    with connect(shop, user) as other:
        for name in NAMES:
            told = message(other, f"SELECT * FROM cubewire.{name}")
            absent = message(other, f"SELECT * FROM nowheree.{name}")
            assert told == tuple(part and part.replace("nowheree", "cubewire") for part in absent)
            both = message(other, f"SELECT 1 FROM orders, cubewire.{name}")
            assert both[0] == "42P01"
        found = other.execute(
            "SELECT (SELECT count(*) FROM pg_namespace WHERE nspname = 'cubewire'), "
            "to_regclass('cubewire.sessions'), (SELECT count(*) FROM pg_proc "
            "WHERE proname ~ 'cubewire'), (SELECT count(*) FROM information_schema.tables "
            "WHERE table_schema = 'cubewire')"
        ).fetchone()
        assert found == (0, None, 0, 0)


def test_who_acts_for_another_sees_what_they_see(shop: RunningServer) -> None:
    with connect(shop, "stan") as staff:
        staff.execute("SET ROLE otto")
        assert message(staff, "SELECT * FROM cubewire.sessions")[0] == "42P01"
        staff.execute("RESET ROLE")
        rows = staff.execute("SELECT login FROM cubewire.sessions").fetchall()
        assert ("stan",) in rows


def test_a_worker_that_does_not_answer_holds_nobody_up(shop: RunningServer) -> None:
    with connect(shop, "stan") as operator:
        warnings: list[str | None] = []
        operator.add_notice_handler(lambda diag: warnings.append(diag.message_primary))
        own = operator.info.backend_pid >> 22
        other = next(
            child
            for child in psutil.Process(shop.pid).children()
            if re.search(rf"--worker {1 - own}\b", " ".join(child.cmdline()))
        )
        os.kill(other.pid, signal.SIGSTOP)
        try:
            started = time.monotonic()
            rows = operator.execute("SELECT DISTINCT worker FROM cubewire.sources").fetchall()
            took = time.monotonic() - started
        finally:
            os.kill(other.pid, signal.SIGCONT)
        assert rows == [(own,)]
        assert took < 15
        assert warnings == [f"worker {1 - own} has not answered in time: its rows are missing"]
