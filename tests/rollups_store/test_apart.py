"""Rollups of two warehouses kept in one store: joined there, and there when a warehouse is not."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator

import duckdb
import psycopg
import pytest

from tests.conftest import free_port
from tests.rollups_store.served import Setup, connect, explain, served
from tests.rollups_store.support import POSTGRES
from tests.support.oracle import OraclePostgres, start_oracle
from tests.support.server import RunningServer
from tests.support.waiting import until

STORE = "cubewire_rollups"
MODEL = """
cubes:
  - name: sales
    sql_table: sales
    data_source: post
    joins:
      - {name: shops, relationship: many_to_one, sql: "{CUBE}.shop_id = {shops.id}"}
    dimensions:
      - {name: id, type: number, sql: "{CUBE}.id", primary_key: true}
      - {name: shop_id, type: number, sql: "{CUBE}.shop_id"}
      - {name: kind, type: string, sql: "{CUBE}.kind"}
      - {name: sold, type: time, sql: "{CUBE}.sold"}
    measures:
      - {name: count, type: count}
      - {name: total, type: sum, sql: "{CUBE}.amount"}
      - {name: mean, type: avg, sql: "{CUBE}.amount"}
      - {name: ratio, type: number, sql: "{total} / NULLIF({count}, 0)"}
      - {name: spread, type: number, sql: "stddev_pop({CUBE}.amount)"}
    pre_aggregations:
      - name: by_day
        measures: [count, total, mean, ratio]
        dimensions: [kind, shop_id]
        time_dimension: sold
        granularity: day
        partition_granularity: month
        store: duckdb
        refresh_key: {every: 1 hour}
    access_policy:
      - group: all
      - group: some
        row_level: {filters: [{member: kind, operator: equals, values: [a]}]}
      - group: others
        row_level: {filters: [{member: kind, operator: notEquals, values: [a]}]}
  - name: shops
    sql_table: shops
    data_source: duck
    dimensions:
      - {name: id, type: number, sql: "{CUBE}.id", primary_key: true}
      - {name: city, type: string, sql: "{CUBE}.city"}
    measures:
      - {name: count, type: count}
    pre_aggregations:
      - name: cities
        measures: [count]
        dimensions: [id, city]
        store: duckdb
        refresh_key: {every: 1 hour}
"""
SALES = (
    "CREATE TABLE sales AS SELECT i AS id, i % 4 AS shop_id, CASE WHEN i % 2 = 0 THEN 'a' ELSE 'b' "
    "END AS kind, timestamp '2024-01-01' + i * interval '5 hours' AS sold, "
    "(i * 1.25)::numeric(10, 2) AS amount FROM generate_series(1, 400) AS t(i)"
)
BY_KIND = (
    "SELECT kind, MEASURE(count), MEASURE(total), MEASURE(mean), MEASURE(ratio) FROM sales "
    "GROUP BY 1 ORDER BY 1"
)
FROM_NOON = (
    "SELECT date_trunc('month', sold) AS m, MEASURE(total) FROM sales "
    "WHERE sold >= '2024-02-10 12:00' GROUP BY 1 ORDER BY 1"
)
BY_CITY = (
    "SELECT h.city, MEASURE(s.total) FROM sales s JOIN shops h ON h.id = s.shop_id "
    "GROUP BY 1 ORDER BY 1"
)
BOTH = (
    "SELECT s.n, h.n FROM (SELECT COUNT(*) AS n FROM sales) s, (SELECT COUNT(*) AS n FROM shops) h"
)
USERS = {name: {"password": "secret", "groups": [name]} for name in ("all", "some", "others")}


@pytest.fixture(scope="module")
def warehouse() -> Iterator[OraclePostgres]:
    """A PostgreSQL that may be stopped."""
    server = start_oracle(free_port())
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute(SALES)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def server(
    warehouse: OraclePostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp(f"apart_{secrets.token_hex(2)}")
    (folder / "models").mkdir()
    (folder / "models" / "sales.yml").write_text(MODEL)
    with duckdb.connect(str(folder / "shops.duckdb")) as database:
        database.execute(
            "CREATE TABLE shops AS SELECT * FROM (VALUES (0, 'Rome'), (1, 'Oslo'), (2, 'Rome'))"
            " AS t(id, city)"
        )
    setup = Setup(POSTGRES, folder, warehouse.dsn)
    config = {
        "models": "models",
        "state_directory": "state",
        "auth": {"users": USERS | {"tester": {"password": "secret", "groups": ["all"]}}},
        "data_sources": {
            "post": {"type": "postgres", "dsn": warehouse.dsn, "retry_seconds": 0},
            "duck": {"type": "duckdb", "path": str(folder / "shops.duckdb")},
        },
        "cache": {"enabled": False},
        "rollups": {"poll": 0.1, "interval": 0.2},
    }
    setup.config.write_text(json.dumps(config))
    with served(setup) as running:
        with connect(running) as client:
            until(lambda: explain(client, BY_KIND)["Rollups"] == ["sales.by_day"])
            until(lambda: explain(client, "SELECT city, COUNT(*) FROM shops GROUP BY 1")["Rollups"])
        yield running


def rows(client: psycopg.Connection[tuple[object, ...]], sql: str, rollups: str) -> list[object]:
    client.execute(f"SET cubewire.rollups = '{rollups}'".encode())
    return [tuple(map(str, row)) for row in client.execute(sql.encode()).fetchall()]


@pytest.mark.parametrize("sql", [BY_KIND, FROM_NOON, BY_CITY, BOTH])
def test_answers_are_those_of_the_warehouse(server: RunningServer, sql: str) -> None:
    with connect(server) as client:
        assert explain(client, sql)["Rollups"]
        assert rows(client, sql, "on") == rows(client, sql, "off")


def test_what_is_covered_is_one_statement_of_the_store(server: RunningServer) -> None:
    with connect(server) as client:
        assert explain(client, BY_KIND)["Data Source"] == STORE
        document = explain(client, BOTH)
        assert document["Rollups"] == ["sales.by_day", "shops.cities"]
        assert document["Data Source"] == STORE
        assert document["Fetches"] == []


def test_what_is_not_covered_is_fetched_from_the_source(server: RunningServer) -> None:
    with connect(server) as client:
        document = explain(client, FROM_NOON)
        assert document["Data Source"] == f"{STORE}, post"
        assert document["Rollups"] == ["sales.by_day"]


def test_what_only_the_warehouse_computes_it_does(server: RunningServer) -> None:
    with connect(server) as client:
        sql = "SELECT kind, MEASURE(spread) FROM sales GROUP BY 1"
        document = explain(client, sql)
        assert document["Data Source"] == "post"
        assert client.execute(sql).fetchall()


def test_rules_hold_in_the_store_or_at_the_source(server: RunningServer) -> None:
    """Which texts a warehouse takes for equal only it knows, so unequal ones it has to tell."""
    found = {}
    for user in ("some", "others"):
        dsn = f"postgresql://{user}:secret@{server.host}:{server.port}/cubewire"
        with psycopg.connect(dsn, autocommit=True) as client:
            assert rows(client, BY_KIND, "on") == rows(client, BY_KIND, "off")
            found[user] = explain(client, BY_KIND)["Data Source"]
            client.execute("SET cubewire.rollups = 'on'")
            found[user] = explain(client, BY_KIND)["Data Source"]
            kinds = {row[0] for row in client.execute(BY_KIND).fetchall()}
            assert kinds == ({"a"} if user == "some" else {"b"})
    assert found == {"some": STORE, "others": "post"}


def test_the_store_answers_when_the_warehouse_is_away(
    server: RunningServer, warehouse: OraclePostgres
) -> None:
    with connect(server) as client:
        expected = rows(client, BY_KIND, "on")
        warehouse.stop()
        assert rows(client, BY_KIND, "on") == expected
        with pytest.raises(psycopg.Error):
            rows(client, BY_KIND, "off")
