"""Results that are read the cheaper way are the same to the last bit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from connectors import duckdb_reader
from connectors.base import Parameter
from connectors.duckdb_connector import DuckDBConnector, DuckDBOptions
from connectors.errors import WarehouseError

SETUP = (
    "CREATE TABLE t AS SELECT i, i * 1.25::DECIMAL(12, 2) AS n, 'x' || i AS s FROM range(5) r(i)",
)


@pytest.fixture
async def connector() -> AsyncIterator[DuckDBConnector]:
    made = DuckDBConnector(DuckDBOptions(setup=SETUP, threads=1))
    await made.start()
    yield made
    await made.close()


async def rows(connector: DuckDBConnector, sql: str, *values: Parameter) -> pa.Table:
    stream = await connector.execute(sql, values)
    batches = [batch async for batch in stream]
    return pa.Table.from_batches(batches, schema=stream.schema).combine_chunks()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM t ORDER BY i",
        "SELECT * FROM t WHERE false",
        "SELECT NULL::INT AS a, true AS b, 1::SMALLINT AS c, 2.5::DOUBLE AS d, 0.1::FLOAT AS e",
        "SELECT 'nan'::DOUBLE::VARCHAR AS a, '-infinity'::DOUBLE AS b, '' AS c, 'Zoë' AS d",
        "SELECT (-1.50)::DECIMAL(38, 24) AS a, 170141183460469231731687303715884105727 AS b",
        "SELECT DATE '2024-02-29' AS a, TIMESTAMP '2024-01-01 00:00:00.123456' AS b, 7 AS a",
        "SELECT 'infinity'::DATE AS a, '0044-03-15 (BC)'::DATE AS b, DATE '9999-12-31' AS c",
        "SELECT '-infinity'::TIMESTAMP AS a, '20000-01-01'::TIMESTAMP AS b",
        "SELECT INTERVAL '1 month' AS a, ['x'] AS b, 'x'::BLOB AS c, TIME '24:00:00' AS d",
        "SELECT TIMESTAMPTZ '2024-01-01 00:00:00+00' AS a",
    ],
)
async def test_the_second_answer_is_the_first(connector: DuckDBConnector, sql: str) -> None:
    first = await rows(connector, sql)
    for _ in range(2):
        assert await rows(connector, sql) == first


async def test_it_is_read_the_cheaper_way(
    connector: DuckDBConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duckdb_reader, "MOST_SECONDS", 60.0)
    sql = "SELECT s, n + $1 AS m FROM t ORDER BY i"
    first = await rows(connector, sql, Parameter("int4", 1))

    def fail(*_arguments: object) -> None:
        raise AssertionError("the relation API was used")

    monkeypatch.setattr(duckdb_reader.DuckDBReader, "_open_relation", fail)
    assert await rows(connector, sql, Parameter("int4", 1)) == first
    assert await rows(connector, sql, Parameter("int4", 2)) != first
    with pytest.raises(WarehouseError, match="the relation API was used"):
        await rows(connector, "SELECT 1")


async def test_a_result_that_has_grown(connector: DuckDBConnector) -> None:
    sql = "SELECT j FROM range($1::INT) r(j)"
    assert len(await rows(connector, sql, Parameter("int4", 3))) == 3
    assert len(await rows(connector, sql, Parameter("int4", 64))) == 64
    assert len(await rows(connector, sql, Parameter("int4", 100_000))) == 100_000
    assert len(await rows(connector, sql, Parameter("int4", 3))) == 3


async def test_a_result_of_a_file_that_has_grown(tmp_path: Path) -> None:
    """A file that cannot be written is read without transactions, which would drop the rest."""
    path = str(tmp_path / "grown.duckdb")
    with duckdb.connect(path) as file:
        file.execute("CREATE TABLE t AS SELECT i FROM range(100000) r(i)")
    connector = DuckDBConnector(DuckDBOptions(path=path, threads=1))
    await connector.start()
    try:
        for sql in ("SELECT i FROM t WHERE i < $1", "SELECT i FROM t, range(1) WHERE i < $1"):
            for size in (3, 64, 65, 3, 3, 3, 3, 100, 3, 3, 100_000, 3):
                assert len(await rows(connector, sql, Parameter("int4", size))) == size
    finally:
        await connector.close()


async def test_errors_and_the_time_limit_come_as_ever(connector: DuckDBConnector) -> None:
    sql = "SELECT sum(a.i + b.i + $1::INT) AS s FROM range($2::BIGINT) a(i), range(1000) b(i)"
    small = (Parameter("int4", 1), Parameter("int8", 10))
    await rows(connector, sql, *small)
    with pytest.raises(WarehouseError) as caught:
        await asyncio.wait_for(
            _with_timeout(connector, sql, Parameter("int4", 1), Parameter("int8", 10_000_000)), 30
        )
    assert caught.value.sqlstate == "57014"
    assert len(await rows(connector, sql, *small)) == 1


async def _with_timeout(connector: DuckDBConnector, sql: str, *values: Parameter) -> None:
    async for _batch in await connector.execute(sql, values, timeout=0.3):
        pass
