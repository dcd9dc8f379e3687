"""The Spark connector against a real Spark server.

What a Spark server cannot be asked is left out: it computes whole partitions, so an unread result
of billions of rows is not a thing of the client's side.
"""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal

import pyarrow as pa
import pytest

from connectors.base import Parameter
from connectors.errors import WarehouseError
from connectors.registry import open_connector
from tests.connectors.support import Warehouse
from tests.support.spark import needs_spark, spark_server

pytestmark = [
    needs_spark,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore:.RETRIES_EXCEEDED"),
]

UTC = datetime.UTC
MOMENT = datetime.datetime(2024, 2, 29, 12, 30, 15, 250000)
ENDLESS = "SELECT count(*) AS n FROM range(100000000000) WHERE id % 7 = 9"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with spark_server(tmp_path_factory.mktemp("spark")) as found:
        yield found


@pytest.fixture
async def spark(url: str) -> AsyncIterator[Warehouse]:
    connector = open_connector("spark", {"url": url})
    await connector.start()
    try:
        yield Warehouse("spark", connector)
    finally:
        await connector.close()


SCALARS = [
    ("bool", "true", pa.bool_(), True),
    ("int2", "CAST(-7 AS SMALLINT)", pa.int16(), -7),
    ("int2", "CAST(-7 AS TINYINT)", pa.int16(), -7),
    ("int4", "2147483647", pa.int32(), 2147483647),
    ("int8", "9223372036854775807L", pa.int64(), 9223372036854775807),
    ("float4", "CAST(1.5 AS FLOAT)", pa.float32(), 1.5),
    ("float8", "1e300D", pa.float64(), 1e300),
    ("numeric", "CAST(12.5 AS DECIMAL(6,2))", pa.decimal128(6, 2), Decimal("12.50")),
    ("numeric", "CAST('99999999999999999999999999999999999.999' AS DECIMAL(38,3))",
     pa.decimal128(38, 3), Decimal("99999999999999999999999999999999999.999")),
    ("text", "'héllo \U0001f6eb \\' \\\\'", pa.string(), "héllo \U0001f6eb ' \\"),
    ("date", "DATE'2024-02-29'", pa.date32(), datetime.date(2024, 2, 29)),
    ("timestamp", "TIMESTAMP_NTZ'2024-02-29 12:30:15.25'", pa.timestamp("us"), MOMENT),
    ("timestamptz", "TIMESTAMP'2024-02-29 12:30:15.25Z'", pa.timestamp("us", "UTC"),
     MOMENT.replace(tzinfo=UTC)),
    ("bytea", "X'00FF'", pa.binary(), b"\x00\xff"),
    ("_int4", "ARRAY(1, NULL, 3)", pa.list_(pa.int32()), [1, None, 3]),
    ("_text", "ARRAY('a', NULL)", pa.list_(pa.string()), ["a", None]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "expression", "arrow", "value"), SCALARS)
async def test_type(
    spark: Warehouse, kind: str, expression: str, arrow: pa.DataType, value: object
) -> None:
    sql = (
        f"SELECT * FROM (SELECT 1 AS o, {expression} AS x, 'after' AS z"
        f" UNION ALL SELECT 2, NULL, NULL UNION ALL SELECT 3, {expression}, 'end') AS q ORDER BY o"
    )
    table = await spark.table(sql)
    assert table.schema.field("x").type == arrow
    assert table["x"].to_pylist() == [value, None, value]
    assert table["z"].to_pylist() == ["after", None, "end"]
    probed = await spark.connector.probe(sql)
    assert [column.name for column in probed] == ["o", "x", "z"]
    assert probed[1].type_name == kind


@pytest.mark.parametrize(
    "expression", ["MAP('a', 1)", "NAMED_STRUCT('a', 1)", "INTERVAL '1' DAY", "ARRAY(ARRAY(1))"]
)
async def test_type_that_postgres_does_not_have(spark: Warehouse, expression: str) -> None:
    with pytest.raises(WarehouseError) as caught:
        await spark.connector.probe(f"SELECT 1 AS a, {expression} AS odd")
    assert caught.value.sqlstate == "0A000"
    assert '"odd"' in caught.value.message


PARAMETERS = [
    ("bool", "BOOLEAN", True),
    ("int4", "INT", 2**31 - 1),
    ("int8", "BIGINT", -(2**63)),
    ("float8", "DOUBLE", float("inf")),
    ("numeric", "DECIMAL(30,4)", Decimal("12345678901234.5678")),
    ("text", "STRING", "it's \\ \" $1 :p1 -- ` /* */"),
    ("text", "STRING", ""),
    ("date", "DATE", datetime.date(1999, 12, 31)),
    ("timestamp", "TIMESTAMP_NTZ", MOMENT),
    ("timestamptz", "TIMESTAMP", MOMENT.replace(tzinfo=UTC)),
    ("bytea", "BINARY", b"\x00\xff'\\"),
    ("_int4", "ARRAY<INT>", [1, 2]),
    ("_text", "ARRAY<STRING>", ['a,"b', "\\", ""]),
]


@pytest.mark.parametrize(("type_name", "kind", "value"), PARAMETERS)
async def test_parameter(spark: Warehouse, type_name: str, kind: str, value: object) -> None:
    found, other, quoted = await spark.values(
        f"SELECT CAST($1 AS {kind}) AS x, CAST($2 AS {kind}) AS y, '$1 \\' $2' AS `$1`",
        [Parameter(type_name, value), Parameter(type_name, None)],
    )
    assert found == value
    assert other is None
    assert quoted == "$1 ' $2"


async def test_all_rows_in_order(spark: Warehouse) -> None:
    stream = await spark.connector.execute("SELECT id AS a FROM range(100000) ORDER BY id")
    seen, sizes = 0, []
    async for batch in stream:
        assert batch.schema == stream.schema
        assert batch["a"].to_pylist() == list(range(seen, seen + batch.num_rows))
        seen += batch.num_rows
        sizes.append(batch.num_rows)
    assert seen == 100_000
    assert min(sizes) > 0
    assert sizes[0] <= 20_000
    assert [batch async for batch in stream] == []
    assert (await spark.table("SELECT id FROM range(0)")).num_rows == 0


async def test_time_zone_is_utc(spark: Warehouse) -> None:
    sql = "SELECT CAST(CAST(TIMESTAMP'2024-07-01 12:00:00Z' AS TIMESTAMP_NTZ) AS STRING) AS t"
    assert await spark.values(sql, time_zone="Europe/Berlin") == ["2024-07-01 12:00:00"]


FAULTS = [
    ("22012", "SELECT 1 / 0 AS a"),
    ("22P02", "SELECT CAST(concat('x', id) AS INT) AS a FROM range(3)"),
    ("22003", "SELECT CAST(id + 3000000000 AS INT) AS a FROM range(3)"),
    ("22003", "SELECT 9223372036854775807L + id AS a FROM range(3)"),
    ("22003", "SELECT CAST(100000 AS DECIMAL(4,2)) AS a"),
    ("42703", "SELECT nothing FROM range(3)"),
    ("42P01", "SELECT * FROM nowhere"),
    ("42883", "SELECT no_such_function(1)"),
    ("42803", "SELECT id, count(*) FROM range(3)"),
    ("42702", "SELECT id FROM range(3) AS a, range(3) AS b"),
    ("42601", "SELECT 1 +"),
    ("22008", "SELECT CAST(raise_error('22008: date out of range') AS INT) AS a"),
    ("21000", "SELECT (SELECT id FROM range(3)) AS a"),
]


@pytest.mark.parametrize(("sqlstate", "sql"), FAULTS)
async def test_code(spark: Warehouse, sqlstate: str, sql: str) -> None:
    with pytest.raises(WarehouseError) as caught:
        await spark.table(sql)
    assert caught.value.sqlstate == sqlstate, caught.value.message
    assert "\n" not in caught.value.message
    assert "spark." not in caught.value.message
    assert await spark.values("SELECT 42 AS a") == [42]


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE made USING parquet AS SELECT 1 AS a",
        "DROP TABLE IF EXISTS flights",
        "SET spark.sql.ansi.enabled = false",
        "SELECT 1 AS a; DROP TABLE flights",
        "SHOW TABLES",
        "SELECT 1) AS x; SELECT (1",
    ],
)
async def test_only_queries_run(spark: Warehouse, sql: str) -> None:
    with pytest.raises(WarehouseError) as caught:
        await spark.table(sql)
    # SHOW TABLES reads as a table with an alias there.
    assert caught.value.sqlstate in {"42601", "42P01"}


async def test_cancel_and_timeout_stop_the_work(spark: Warehouse) -> None:
    started = time.monotonic()
    with pytest.raises(WarehouseError) as caught:
        await spark.table(ENDLESS, timeout=1)
    assert caught.value.sqlstate == "57014"
    assert "timeout" in caught.value.message
    task = asyncio.create_task(spark.table(ENDLESS))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for _ in range(100):
        if not spark.running:
            break
        await asyncio.sleep(0.1)
    assert spark.running == set()
    assert time.monotonic() - started < 30
    assert await spark.values("SELECT 42 AS a") == [42]


async def test_early_close(spark: Warehouse) -> None:
    stream = await spark.connector.execute("SELECT id FROM range(3000000)")
    await anext(aiter(stream))
    await stream.close()
    await stream.close()
    assert [batch async for batch in stream] == []
    assert spark.running == set()


async def test_closing_the_connector_ends_its_statements(spark: Warehouse) -> None:
    running = asyncio.create_task(spark.table(ENDLESS))
    await asyncio.sleep(1)
    await spark.connector.close()
    with pytest.raises(WarehouseError) as caught:
        await running
    assert caught.value.sqlstate == "57P01"
    with pytest.raises(WarehouseError) as caught:
        await spark.table("SELECT 1")
    assert caught.value.sqlstate == "57P01"


async def test_nobody_there() -> None:
    connector = open_connector("spark", {"url": "sc://127.0.0.1:1"})
    with pytest.raises(WarehouseError) as caught:
        await connector.start()
    assert caught.value.sqlstate == "08001"
    assert not caught.value.reached
