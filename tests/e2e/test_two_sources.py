"""A server over two warehouses, as its users meet it: what is fetched, limited and stopped."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
import psycopg
import pytest

from tests.support.oracle import OraclePostgres
from tests.support.server import RunningServer, start_server
from tests.support.waiting import cancelling

MODEL = """
cubes:
  - name: sales
    sql_table: sales
    data_source: duck
    joins:
      - {name: shops, relationship: many_to_one, sql: "{CUBE}.shop_id = {shops.id}"}
    dimensions:
      - {name: id, type: number, sql: "{CUBE}.id", primary_key: true}
      - {name: shop_id, type: number, sql: "{CUBE}.shop_id"}
    measures:
      - {name: count, type: count}
      - {name: total, type: sum, sql: "{CUBE}.amount"}
  - name: shops
    sql_table: shops
    data_source: post
    dimensions:
      - {name: id, type: number, sql: "{CUBE}.id", primary_key: true}
      - {name: city, type: string, sql: "{CUBE}.city"}
      - {name: mood, type: string, sql: "{CUBE}.mood"}
    measures:
      - {name: count, type: count}
    access_policy:
      - group: all
      - group: romans
        row_level: {filters: [{member: city, operator: equals, values: [Rome]}]}
"""
BY_CITY = (
    "SELECT h.city, MEASURE(s.total) AS total FROM sales s JOIN shops h ON h.id = s.shop_id "
    "GROUP BY 1 ORDER BY 1"
)
TOTALS = [("Oslo", 25), ("Rome", 50)]
LONG = (
    "SELECT COUNT(*) FROM (SELECT DISTINCT h.id FROM shops h JOIN sales s ON s.id = h.id) q, "
    "generate_series(1, 1000000) AS a(i), generate_series(1, 1000000) AS b(j) "
    "WHERE (i + j) % 7 = q.id"
)


@pytest.fixture(scope="module")
def server(
    oracle: OraclePostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("two_sources")
    (folder / "models").mkdir()
    (folder / "models" / "sales.yml").write_text(MODEL)
    file = str(folder / "sales.duckdb")
    with duckdb.connect(file) as database:
        database.execute(
            "CREATE TABLE sales AS SELECT i::INT AS id, (i % 4)::INT AS shop_id, 1 AS amount "
            "FROM range(100) AS t(i)"
        )
    schema = f"two_sources_{secrets.token_hex(4)}"
    with psycopg.connect(oracle.dsn, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}".encode())
        connection.execute(f"SET search_path = {schema}".encode())
        connection.execute("CREATE TYPE mood AS ENUM ('sad', 'glad')")
        connection.execute("CREATE TABLE shops (id int, city text, mood mood)")
        connection.execute(
            "INSERT INTO shops VALUES (0, 'Rome', 'sad'), (1, 'Oslo', 'glad'), (2, 'Rome', NULL)"
        )
    users = {"ann": ["all"], "ben": ["romans"]}
    config = {
        "models": "models",
        "state_directory": "state",
        "auth": {"users": {n: {"password": n, "groups": g} for n, g in users.items()}},
        "data_sources": {
            "duck": {"type": "duckdb", "path": file},
            "post": {"type": "postgres", "dsn": oracle.dsn, "search_path": schema},
        },
        "cache": {"ttl": "1h"},
        "staging": {"max_rows": 150},
    }
    (folder / "cubewire.yml").write_text(json.dumps(config))
    running = start_server(["--config", str(folder / "cubewire.yml"), "--port", "0"])
    yield running
    running.stop()


@contextmanager
def client(server: RunningServer, user: str = "ann") -> Iterator[psycopg.Connection[Any]]:
    dsn = f"postgresql://{user}:{user}@{server.host}:{server.port}/cubewire"
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


def shown(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [(city, int(total)) for city, total in rows]


def test_every_way_to_read_rows(server: RunningServer) -> None:
    with client(server) as ann:
        assert shown(ann.execute(BY_CITY).fetchall()) == TOTALS
        assert shown(ann.execute(BY_CITY, prepare=True).fetchall()) == TOTALS
        with ann.cursor(binary=True) as cursor:
            assert shown(cursor.execute(BY_CITY).fetchall()) == TOTALS
        with ann.cursor().copy(f"COPY ({BY_CITY}) TO STDOUT".encode()) as copy:
            assert b"".join(copy) == b"Oslo\t25\nRome\t50\n"
        ann.execute(f"CREATE TEMP TABLE kept AS {BY_CITY}")
        assert shown(ann.execute("SELECT * FROM kept ORDER BY 1").fetchall()) == TOTALS
        joined = "SELECT k.city, h.id FROM kept k JOIN shops h ON h.city = k.city"
        both = f"{joined} JOIN sales s ON s.id = h.id ORDER BY 2"
        assert ann.execute(both).fetchall() == [("Rome", 0), ("Oslo", 1), ("Rome", 2)]
        with ann.transaction(), ann.cursor("c") as named:
            assert shown(named.execute(BY_CITY).fetchall()) == TOTALS


def test_results_are_kept_and_told_apart_by_what_is_fetched(server: RunningServer) -> None:
    sql = "SELECT MEASURE(s.total) FROM sales s JOIN shops h ON h.id = s.shop_id WHERE h.city = %s"

    def outcome(connection: psycopg.Connection[Any], city: str) -> tuple[str, int]:
        plan = connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", (city,)).fetchone()
        row = connection.execute(sql, (city,)).fetchone()
        assert plan is not None
        assert row is not None
        return plan[0][0]["Cache"], int(row[0] or 0)

    with client(server) as ann, client(server, "ben") as ben:
        assert outcome(ann, "Rome") == ("miss", 50)
        assert outcome(ann, "Rome")[0] in ("hit", "memory")
        assert outcome(ann, "Oslo") == ("miss", 25)
        assert outcome(ben, "Oslo") == ("miss", 0)


def test_policies_are_applied_where_the_rows_are(server: RunningServer) -> None:
    with client(server, "ben") as ben:
        assert shown(ben.execute(BY_CITY).fetchall()) == [("Rome", 50)]
        plan = "\n".join(row[0] for row in ben.execute(f"EXPLAIN {BY_CITY}").fetchall())
        assert "Fetch stage_2: rows of post" in plan
        assert "SELECT" not in plan
    with client(server) as ann:
        plan = "\n".join(row[0] for row in ann.execute(f"EXPLAIN {BY_CITY}").fetchall())
        assert 'FROM shops AS "h"' in plan


def test_too_many_rows_are_an_error_that_names_them(server: RunningServer) -> None:
    sql = "SELECT COUNT(*) FROM sales a JOIN sales b ON a.id = b.id JOIN shops h ON h.id = a.id"
    with client(server, "ben") as ben, pytest.raises(psycopg.Error) as caught:
        ben.execute(sql)
    assert caught.value.sqlstate == "54000"
    assert "of data source duck" in str(caught.value.diag.message_hint)


def test_a_statement_is_stopped_while_it_is_computed_here(server: RunningServer) -> None:
    with client(server) as ann:
        started = time.monotonic()
        with pytest.raises(psycopg.errors.QueryCanceled), cancelling(ann):
            ann.execute(LONG)
        ann.execute("SET statement_timeout = '500ms'")
        with pytest.raises(psycopg.errors.QueryCanceled):
            ann.execute(LONG)
        assert time.monotonic() - started < 60
        ann.execute("RESET statement_timeout")
        assert shown(ann.execute(BY_CITY).fetchall()) == TOTALS


def test_errors_of_fetches_are_the_warehouses(server: RunningServer) -> None:
    sql = "SELECT 1 / (h.id - 1) FROM shops h JOIN sales s ON s.id = h.id WHERE 10 / h.id > 0"
    with client(server) as ann, pytest.raises(psycopg.errors.DivisionByZero):
        ann.execute(sql)


def test_the_warehouses_own_types_are_read_as_text(server: RunningServer) -> None:
    with client(server) as ann:
        sql = "SELECT h.mood FROM shops h ORDER BY h.id"
        assert ann.execute(sql).fetchall() == [("sad",), ("glad",), (None,)]
        joined = "SELECT h.mood FROM shops h JOIN sales s ON s.id = h.id ORDER BY h.id"
        assert ann.execute(joined).fetchall() == [("sad",), ("glad",), (None,)]
