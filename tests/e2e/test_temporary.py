"""Temporary tables as clients use them: isolation, limits, names, what ends them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from psycopg import sql

from tests.e2e.shop import shop_target, start_shop
from tests.e2e.targets import Target, run_client
from tests.support.server import RunningServer
from tests.support.waiting import cancelling

MAX_ROWS = 2_000
MAX_BYTES = 2 * 1024 * 1024
HOSTILE = (
    'a"b',
    "a'b",
    "a;b",
    "a--b",
    "/*",
    "$$",
    "\\",
    "%s",
    "select",
    "Ω名",
    " ",
    'x" AS y; DROP TABLE orders; --',
    "pg_class",
    "orders",
    "cubewire_stage_1",
    "A",
    "n" * 63,
)
ENDLESS = "SELECT count(*) AS n FROM numbers WHERE n % 7 = 3"
AT_ONCE = 20.0


@pytest.fixture(scope="module")
def small_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server whose sessions may hold little."""
    folder: Path = tmp_path_factory.mktemp("temporary")
    limits = {
        "CUBEWIRE_TEMPORARY_TABLES__MAX_ROWS": str(MAX_ROWS),
        "CUBEWIRE_TEMPORARY_TABLES__MAX_BYTES": str(MAX_BYTES),
        "CUBEWIRE_TEMPORARY_TABLES__MAX_SESSIONS": "3",
    }
    server = start_shop(folder, environment=limits)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def small(small_server: RunningServer) -> Target:
    return shop_target(small_server)


def refused(connection: psycopg.Connection[tuple[object, ...]], text: str) -> psycopg.Error:
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(text.encode())
    return caught.value


def test_others_see_nothing_of_it(shop: Target) -> None:
    with shop.connect() as one, shop.connect() as two:
        one.execute("CREATE TEMP TABLE mine AS SELECT status, count(*) AS n FROM orders GROUP BY 1")
        two.execute("CREATE TEMP TABLE mine (other int)")
        assert two.execute("SELECT * FROM mine").fetchall() == []
        schema = one.execute("SELECT pg_my_temp_schema()::regnamespace::text").fetchone()
        assert schema is not None
        text = f"SELECT * FROM {schema[0]}.mine"
        assert one.execute(text.encode()).fetchall()
        assert refused(two, text).sqlstate in ("42501", "0A000")
        for change in ("DROP TABLE {}.mine", "TRUNCATE {}.mine", "INSERT INTO {}.mine VALUES (1)"):
            assert refused(two, change.format(schema[0])).sqlstate is not None
        both = f"SELECT o.status FROM orders o JOIN {schema[0]}.mine m ON m.status = o.status"
        assert refused(two, both).sqlstate is not None
        assert one.execute("SELECT sum(n) FROM mine").fetchone() == (500,)


def test_a_disconnect_drops_it(shop: Target) -> None:
    with shop.connect() as connection:
        connection.execute("CREATE TEMP TABLE gone_tomorrow (n int)")
    with shop.connect() as connection:
        until = time.monotonic() + AT_ONCE
        query = "SELECT count(*) FROM pg_class WHERE relname = 'gone_tomorrow'"
        while connection.execute(query).fetchone() != (0,):
            assert time.monotonic() < until
            time.sleep(0.05)


def test_discard_all_drops_it(shop: Target) -> None:
    with shop.connect() as connection:
        connection.execute("CREATE TEMP TABLE t (n int)")
        connection.execute("DISCARD ALL")
        assert refused(connection, "SELECT * FROM t").sqlstate == "42P01"


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names(shop: Target, name: str) -> None:
    table, column = sql.Identifier(name), sql.Identifier(name)
    names = {"t": table, "c": column}
    with shop.connect() as connection:

        def run(text: str) -> psycopg.Cursor[tuple[object, ...]]:
            return connection.execute(sql.SQL(text).format(**names))  # type: ignore[arg-type]

        run("CREATE TEMP TABLE {t} ({c} text, number int)")
        run("INSERT INTO {t} SELECT status, count(*) FROM public.orders GROUP BY 1")
        run("INSERT INTO {t} ({c}) VALUES ('it''s \"$1\" \\')")
        rows = run("SELECT sum(number) FROM {t}").fetchall()
        assert rows == [(500,)]
        joined = run(
            "SELECT count(*) FROM public.orders AS o JOIN {t} AS x ON x.{c} = o.status"
        ).fetchall()
        assert joined == [(500,)]
        found = run(
            "SELECT {c} FROM {t} WHERE {c} LIKE 'it%' AND (SELECT count(*) FROM public.orders) > 0"
        ).fetchall()
        assert found == [('it\'s "$1" \\',)]
        run("DROP TABLE {t}")
        assert run("SELECT count(*) FROM public.orders").fetchone() == (500,)


def test_too_many_rows(small: Target) -> None:
    with small.connect() as connection:
        connection.execute("CREATE TEMP TABLE t (n int)")
        connection.execute(f"INSERT INTO t SELECT generate_series(1, {MAX_ROWS})".encode())
        for text in (
            "INSERT INTO t VALUES (1)",
            "INSERT INTO t SELECT n FROM numbers LIMIT 1",
            "CREATE TEMP TABLE u AS SELECT n FROM numbers",
            "SELECT n INTO TEMP u FROM t",
            "WITH w AS (INSERT INTO t VALUES (1) RETURNING n) SELECT * FROM w",
            "EXPLAIN ANALYZE INSERT INTO t VALUES (1)",
            "INSERT INTO t SELECT generate_series(1, 5000)",
        ):
            error = refused(connection, text)
            assert error.sqlstate == "53400", text
            assert "temporary_tables.max_rows" in str(error.diag.message_hint)
            assert connection.execute("SELECT count(*) FROM t").fetchone() == (MAX_ROWS,)
        connection.execute("DELETE FROM t WHERE n > 10")
        connection.execute("INSERT INTO t VALUES (1)")


def test_too_many_bytes(small: Target) -> None:
    with small.connect() as connection:
        connection.execute("CREATE TEMP TABLE t (s text)")
        wide = "string_agg(md5(i::text), '') FROM generate_series(1, 400000) i"
        for text in (
            f"INSERT INTO t SELECT {wide}",
            f"CREATE TEMP TABLE u AS SELECT {wide}",
        ):
            error = refused(connection, text)
            assert error.sqlstate == "53400", text
            assert "temporary_tables.max_bytes" in str(error.diag.message_hint)


def test_a_statement_that_fills_the_disk_is_stopped_while_it_runs(small: Target) -> None:
    with small.connect() as connection:
        started = time.monotonic()
        error = refused(
            connection,
            "CREATE TEMP TABLE t AS SELECT md5(generate_series(1, 500000000)::text) AS s",
        )
        assert error.sqlstate == "53400"
        assert "temporary_tables.max_bytes" in str(error.diag.message_hint)
        assert time.monotonic() - started < AT_ONCE
        connection.execute("CREATE TEMP TABLE t (n int)")


def test_too_many_sessions(small: Target) -> None:
    opened = [small.connect() for _ in range(4)]
    try:
        for connection in opened[:3]:
            connection.execute("CREATE TEMP TABLE t (n int)")
        error = refused(opened[3], "CREATE TEMP TABLE t (n int)")
        assert error.sqlstate == "53300"
        assert "temporary_tables.max_sessions" in str(error.diag.message_hint)
        assert opened[3].execute("SELECT 1").fetchone() == (1,)
        opened[0].execute("DROP TABLE t")
        opened[3].execute("CREATE TEMP TABLE t (n int)")
    finally:
        for connection in opened:
            connection.close()


def test_cancel_while_it_is_filled(shop: Target) -> None:
    with shop.connect() as connection:
        connection.execute("CREATE TEMP TABLE kept AS SELECT 1 AS n")
        for text in (
            f"CREATE TEMP TABLE t AS {ENDLESS}",
            f"INSERT INTO kept {ENDLESS}",
            "CREATE TEMP TABLE t AS SELECT count(*) FROM generate_series(1, 100000000000)",
        ):
            with cancelling(connection):
                assert refused(connection, text).sqlstate == "57014"
            assert connection.execute("SELECT * FROM kept").fetchall() == [(1,)]
            assert refused(connection, "SELECT * FROM t").sqlstate == "42P01"


def test_the_catalogs_end_is_told(small_server: RunningServer, small: Target) -> None:
    with small.connect() as connection:
        connection.execute("CREATE TEMP TABLE t (n int)")
        for child in psutil.Process(small_server.pid).children():
            if child.name() == "postgres":
                os.kill(child.pid, signal.SIGKILL)
        time.sleep(0.5)
        error = refused(connection, "SELECT * FROM t")
        assert error.sqlstate in ("57P02", "08006")
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (500,)
        connection.execute("CREATE TEMP TABLE t (n int)")
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)


def test_only_temporary_tables(shop: Target) -> None:
    with shop.connect() as connection:
        connection.execute("CREATE TEMP TABLE t (n int)")
        for text, sqlstate in (
            ("CREATE TABLE x (n int)", "25006"),
            ("CREATE TABLE public.x AS SELECT * FROM t", "25006"),
            ("SELECT * INTO x FROM orders", "25006"),
            ("CREATE UNLOGGED TABLE x (n int)", "25006"),
            ("CREATE TEMP TABLE public.x (n int)", "42501"),
            ("CREATE TEMP VIEW v AS SELECT 1", "25006"),
            ("INSERT INTO orders SELECT * FROM orders", "25006"),
            ("DELETE FROM orders USING t", "25006"),
            ("DROP TABLE t, orders", "25006"),
            ("TRUNCATE t, orders", "25006"),
            ("UPDATE t SET n = (SELECT count(*) FROM orders)", "0A000"),
            ("DELETE FROM t WHERE n IN (SELECT id FROM orders)", "0A000"),
            ("ALTER TABLE t SET SCHEMA public", "42501"),
            ("ALTER TABLE t INHERIT orders", "42501"),
            ("CREATE TEMP TABLE x (a int) INHERITS (orders)", "42501"),
            ("CREATE TEMP TABLE x (a int REFERENCES orders (id))", "42P16"),
            ("CREATE TEMP TABLE x AS EXECUTE orders", "0A000"),
            ("COPY t FROM STDIN", "25006"),
            ("EXPLAIN ANALYZE CREATE TABLE x AS SELECT 1", "25006"),
            ("EXPLAIN CREATE TEMP TABLE x AS SELECT * FROM orders", "0A000"),
        ):
            error = refused(connection, text)
            assert error.sqlstate == sqlstate, f"{text}: {error}"
        connection.execute("CREATE TEMP TABLE like_it (LIKE orders)")
        assert connection.execute("SELECT count(*) FROM like_it").fetchone() == (0,)


def test_psql(shop: Target) -> None:
    script = """
CREATE TEMP TABLE "#T" AS SELECT status, count(*) AS n FROM orders GROUP BY 1;
\\d "#T"
\\dt
SELECT o.status, count(*), max(n) FROM orders o JOIN "#T" t USING (status) GROUP BY 1 ORDER BY 1;
\\copy "#T" to stdout csv
"""
    code, output, errors = run_client(["psql", "-X", "-A", "-t"], shop.environment, given=script)
    assert (code, errors) == (0, "")
    lines = output.splitlines()
    assert "status|text|||" in lines
    assert any(line.endswith("|#T|table|bi") for line in lines)
    counts = [line.split("|") for line in lines if line.count("|") == 2 and line[0].isalpha()]
    assert counts
    assert all(one == two for _, one, two in counts)
    assert {f"{status},{one}" for status, one, _ in counts} <= set(lines)


def test_executemany_and_server_cursor(shop: Target) -> None:
    with shop.connect(autocommit=False) as connection:
        connection.execute("CREATE TEMP TABLE t (n int, s text)")
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO t VALUES (%s, %s)", [(i, str(i)) for i in range(500)])
        with connection.cursor(name="c") as named:
            named.execute(
                "SELECT t.n, o.id FROM t JOIN orders o ON o.id = t.n ORDER BY 1",
            )
            assert len(named.fetchmany(100)) == 100
            assert connection.execute("SELECT count(*) FROM t").fetchone() == (500,)
            assert named.fetchone() is not None
        with connection.cursor(name="b", binary=True) as named:
            named.execute("SELECT n, s FROM t ORDER BY 1")
            assert named.fetchmany(2) == [(0, "0"), (1, "1")]
            connection.execute("DELETE FROM t")
            assert named.fetchone() == (2, "2")
        connection.rollback()
        with pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("SELECT * FROM t")


def test_copy_into_one_says_what_fills_it(shop: Target) -> None:
    with shop.connect() as connection:
        connection.execute("CREATE TEMP TABLE filled (a int)")
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction) as raised:
            connection.cursor().copy("COPY filled FROM STDIN").__enter__()
        assert "INSERT" in (raised.value.diag.message_hint or "")


def test_what_else_would_be_temporary_says_what_there_is(shop: Target) -> None:
    with shop.connect() as connection:
        for kind in ("VIEW v AS SELECT 1", "VIEW v AS SELECT id FROM orders", "SEQUENCE s"):
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction) as raised:
                connection.execute(f"CREATE TEMPORARY {kind}".encode())
            assert "TEMPORARY TABLE" in (raised.value.diag.message_hint or ""), kind
