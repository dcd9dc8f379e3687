"""The errors of every connector: PostgreSQL's codes, and a connector that goes on working."""

from __future__ import annotations

import pytest

from connectors.errors import WarehouseError
from tests.connectors.support import Warehouse

FAULTS = [
    ("22012", "SELECT 1 // 0 AS a", "SELECT 1 / 0 AS a"),
    ("22P02", "SELECT carrier::int4 AS a FROM flights", ""),
    ("22003", "SELECT (id * 1000000)::int4 AS a FROM flights", ""),
    ("22003", "SELECT 9223372036854775807 + id AS a FROM flights", ""),
    ("22003", "SELECT 100000::decimal(4,2) AS a", ""),
    ("22007", "SELECT carrier::date AS a FROM flights", ""),
    ("22008", "SELECT ('2024-02-' || (29 + id))::date AS a FROM flights", ""),
    ("42703", "SELECT nothing FROM flights", ""),
    ("42703", "SELECT f.nothing FROM flights AS f", ""),
    ("42P01", "SELECT * FROM nowhere", ""),
    ("42P01", "SELECT nowhere.id FROM flights", ""),
    ("42883", "SELECT no_such_function(id) FROM flights", ""),
    ("42883", "SELECT substr(id, 1, 2, 3) FROM flights", ""),
    ("42803", "SELECT id, count(*) FROM flights", ""),
    ("42702", "SELECT id FROM flights AS a, flights AS b", ""),
    ("42601", "SELECT 1 +", ""),
    ("42704", "SELECT 1::no_such_type", ""),
    ("21000", "SELECT (SELECT id FROM flights) AS a", ""),
    ("2201B", "SELECT regexp_matches(carrier, '(') FROM flights",
     "SELECT carrier ~ '(' FROM flights"),
]  # fmt: skip


@pytest.mark.parametrize(("sqlstate", "duckdb", "postgres"), FAULTS)
async def test_code(postgres_like: Warehouse, sqlstate: str, duckdb: str, postgres: str) -> None:
    sql = postgres_like.sql(duckdb, postgres or duckdb)
    with pytest.raises(WarehouseError) as caught:
        await postgres_like.table(sql)
    assert caught.value.sqlstate == sqlstate, caught.value.message
    assert caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.reached
    assert await postgres_like.values("SELECT 42 AS a") == [42]


async def test_fault_in_the_middle_of_a_stream(warehouse: Warehouse) -> None:
    sql = warehouse.sql(
        "SELECT 1 // (900000 - i) AS a FROM range(1000000) AS t(i)",
        "SELECT 1 / (900000 - i) AS a FROM (SELECT generate_series(1, 1000000) AS i) AS t",
        # MariaDB makes NULL of a division by zero.
        "SELECT 9223372036854775806 + CAST(seq DIV 450000 AS signed) AS a FROM seq_1_to_1000000",
        "SELECT intDiv(1, 900000 - number) AS a FROM numbers(1000000) SETTINGS max_threads = 1",
    )
    stream = await warehouse.connector.execute(sql)
    seen = 0

    async def read() -> None:
        nonlocal seen
        async for batch in stream:
            seen += batch.num_rows

    with pytest.raises(WarehouseError) as caught:
        await read()
    assert caught.value.sqlstate == warehouse.sql("22012", "22012", "22003")
    assert 0 < seen < 900_000
    await stream.close()
    assert await warehouse.values("SELECT 42 AS a") == [42]


async def test_fault_while_probing(warehouse: Warehouse) -> None:
    with pytest.raises(WarehouseError) as caught:
        await warehouse.connector.probe("SELECT nothing FROM flights")
    assert caught.value.sqlstate == "42703"
    (column,) = await warehouse.connector.probe("SELECT id FROM flights")
    assert column.name == "id"


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE made AS SELECT 1 AS a",
        "DROP TABLE flights",
        "INSERT INTO flights SELECT * FROM flights",
        "DELETE FROM flights",
        "SELECT 1 AS a; DROP TABLE flights",
        "WITH x AS (DELETE FROM flights RETURNING id) SELECT * FROM x",
    ],
)
async def test_nothing_is_written(warehouse: Warehouse, sql: str) -> None:
    with pytest.raises(WarehouseError) as caught:
        await warehouse.table(sql)
    # ClickHouse takes DELETE before its words for the output's format for a name.
    assert caught.value.sqlstate in {"42501", "25006", "42601", "0A000", "42703"}
    assert await warehouse.values("SELECT count(*) AS n FROM flights") == [100_000]


async def test_health(warehouse: Warehouse) -> None:
    await warehouse.connector.health()


@pytest.mark.parametrize("text", ["a\x00b", "\udcff"])
async def test_text_that_is_not_text(warehouse: Warehouse, text: str) -> None:
    with pytest.raises(WarehouseError) as caught:
        await warehouse.table(f"SELECT '{text}' AS a")
    assert caught.value.sqlstate in {"22021", "42601"}
    assert await warehouse.values("SELECT 42 AS a") == [42]
