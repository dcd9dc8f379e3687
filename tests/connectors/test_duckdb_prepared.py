"""Small statements over one small table are kept planned, with the same answers and errors."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors import duckdb_prepared, duckdb_reader
from connectors.base import Parameter, SnapshotReader
from connectors.duckdb_connector import DuckDBConnector, DuckDBOptions
from connectors.duckdb_prepared import OPTIMIZER, PreparedStatements
from connectors.errors import WarehouseError

SETUP = (
    "CREATE TABLE t AS SELECT i, i * 1.25::DECIMAL(12, 2) AS n, 'x''' || i AS s, "
    "DATE '2024-02-27' + i::INT AS d FROM range(50) r(i)",
    "CREATE TABLE large AS SELECT i FROM range(200000) r(i)",
)
OFTEN = 8


class Counted:
    """How many statements were executed as they had been planned."""

    def __init__(self) -> None:
        self.executed = 0


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    made, find = Counted(), PreparedStatements.execution

    def execution(self: PreparedStatements, sql: str, arguments: str, zone: str) -> object:
        found = find(self, sql, arguments, zone)
        made.executed += found is not None
        return found

    monkeypatch.setattr(PreparedStatements, "execution", execution)
    # However busy the machine is.
    monkeypatch.setattr(duckdb_reader, "MOST_SECONDS", 60.0)
    monkeypatch.setattr(duckdb_reader, "PLANNED_SECONDS", 60.0)
    return made


@pytest.fixture
async def connector() -> AsyncIterator[DuckDBConnector]:
    made = DuckDBConnector(DuckDBOptions(setup=SETUP, threads=1))
    await made.start()
    yield made
    await made.close()


async def rows(
    connector: DuckDBConnector | SnapshotReader, sql: str, *values: Parameter, zone: str = "UTC"
) -> pa.Table:
    stream = await connector.execute(sql, values, time_zone=zone)
    batches = [batch async for batch in stream]
    return pa.Table.from_batches(batches, schema=stream.schema).combine_chunks()


def change(connector: DuckDBConnector, sql: str) -> None:
    """Change the database, as another process would."""
    database = connector._database
    assert database is not None
    with database.cursor() as cursor:
        cursor.execute(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT i, n, s, d FROM t WHERE i % 7 = 3 AND s <> 'x''3' ORDER BY n DESC LIMIT 5",
        "SELECT i % 3 AS k, sum(n) AS a, count(*) AS b, CAST(avg(i) AS DECIMAL(10, 3)) AS c, "
        "max(s) AS e FROM t WHERE d >= DATE '2024-03-01' GROUP BY 1 HAVING count(*) > 1 ORDER BY k",
        "SELECT count(*) FILTER (WHERE i > 40) AS a, sum(n) AS b FROM t WHERE i IN (1, 2, 3, 41)",
        "SELECT i, row_number() OVER (PARTITION BY i % 2 ORDER BY i DESC) AS k FROM t "
        "ORDER BY i LIMIT 9 OFFSET 3",
        "SELECT sum(a) AS b FROM (SELECT DISTINCT i % 4 AS a FROM t) q",
        "SELECT i FROM t WHERE false",
    ],
)
async def test_what_is_kept_answers_the_same(
    connector: DuckDBConnector, counted: Counted, sql: str
) -> None:
    first = await rows(connector, sql)
    for _ in range(OFTEN):
        assert await rows(connector, sql) == first
    assert counted.executed > OFTEN // 2


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) AS c FROM t a JOIN t b ON a.i = b.i",
        "SELECT count(*) AS c FROM t a, t b WHERE a.i = b.i",
        "SELECT count(*) AS c FROM t WHERE i IN (SELECT max(i) FROM t)",
        "SELECT i FROM t WHERE i < 2 UNION ALL SELECT i FROM t WHERE i > 48 ORDER BY 1",
        "SELECT count(*) AS c FROM range(10)",
        "SELECT 1 AS c",
        "SELECT max(i) AS c FROM large",
    ],
)
async def test_what_the_optimizer_may_be_needed_for_is_not_kept(
    connector: DuckDBConnector, counted: Counted, sql: str
) -> None:
    first = await rows(connector, sql)
    for _ in range(OFTEN):
        assert await rows(connector, sql) == first
    assert not counted.executed


async def test_the_optimizer_is_off_for_nobody_else(
    connector: DuckDBConnector, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, seen = PreparedStatements._plan, []

    def looking(self: PreparedStatements, statement: str) -> object:
        seen.append([optimized(self._connection), optimized(connector._cursor())])
        return plan(self, statement)

    def optimized(connection: duckdb.DuckDBPyConnection) -> object:
        return connection.execute(f"SELECT current_setting('{OPTIMIZER}')").fetchall()[0][0]

    monkeypatch.setattr(PreparedStatements, "_plan", looking)
    for _ in range(OFTEN):
        await rows(connector, "SELECT max(i) AS m FROM t")
    assert counted.executed
    # The plan of the statement, then the table's size.
    assert seen == [[False, True], [True, True]]


async def test_values_are_bound_as_they_were(connector: DuckDBConnector, counted: Counted) -> None:
    sql = (
        "SELECT i, n + CAST($1 AS DECIMAL(30, 2)) AS a, CAST($2 AS VARCHAR) || s AS b, "
        "CAST($3 AS DATE) AS c, CAST($4 AS BOOLEAN) AS e FROM t "
        "WHERE s > CAST($2 AS VARCHAR) AND i < CAST($5 AS BIGINT) ORDER BY i LIMIT 3"
    )
    days = (datetime.date(2024, 2, 29), datetime.date(1582, 10, 14), "0044-03-15 (BC)", None)
    choices = [
        (1, "", days[0], True, 10),
        (-7, "'; DROP TABLE t --", days[1], False, 1 << 40),
        (Decimal("-0.50"), "Zoë\n\\", days[2], None, 5),
        (1 << 62, "\u00e4" * 50, days[3], True, -(1 << 63)),
        (None, "a", days[0], True, 1 << 70),
    ]
    names = ("numeric", "text", "date", "bool", "int8")
    asked = [tuple(map(Parameter, names, choice)) for choice in choices]
    fresh = [await _or_error(connector, sql.replace("LIMIT", "\nLIMIT"), *each) for each in asked]
    assert counted.executed == 0
    for _ in range(OFTEN):
        for values, expected in zip(asked, fresh, strict=True):
            assert await _or_error(connector, sql, *values) == expected
    assert counted.executed > OFTEN // 2


async def _or_error(connector: DuckDBConnector, sql: str, *values: Parameter) -> object:
    try:
        return await rows(connector, sql, *values)
    except WarehouseError as error:
        return error.sqlstate, error.message


async def test_what_has_changed_is_seen(connector: DuckDBConnector, counted: Counted) -> None:
    sql = "SELECT count(*) AS c, sum(n) AS s FROM t WHERE i >= 10"
    for _ in range(OFTEN):
        before = await rows(connector, sql)
    change(connector, "INSERT INTO t VALUES (100, 0.5, 'new', DATE '2024-01-01')")
    after = await rows(connector, sql)
    assert after["c"].to_pylist() == [before["c"][0].as_py() + 1]
    change(connector, "DROP TABLE t")
    with pytest.raises(WarehouseError) as caught:
        await rows(connector, sql)
    assert caught.value.sqlstate == "42P01"
    change(connector, "CREATE TABLE t AS SELECT i, i AS n FROM range(20) r(i)")
    for _ in range(OFTEN):
        again = await rows(connector, sql)
        assert again.to_pylist() == [{"c": 10, "s": 145}]
    assert counted.executed > OFTEN


async def test_a_snapshot_stays_what_it_is(connector: DuckDBConnector, counted: Counted) -> None:
    kept, fresh = "SELECT count(*) AS c FROM t", "SELECT sum(i) AS s FROM t"
    for _ in range(OFTEN):
        before = await rows(connector, kept)
    async with connector.snapshot() as reader:
        assert await rows(reader, kept) == before
        change(connector, "INSERT INTO t VALUES (100, 0.5, 'new', DATE '2024-01-01')")
        for _ in range(OFTEN):
            assert await rows(reader, kept) == before
            assert (await rows(reader, fresh))["s"].to_pylist() == [sum(range(50))]
    assert counted.executed >= OFTEN
    assert (await rows(connector, kept))["c"].to_pylist() == [before["c"][0].as_py() + 1]


async def test_a_statement_that_has_grown_is_planned_anew(
    connector: DuckDBConnector, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duckdb_reader, "PLANNED_SECONDS", 0.0)
    for _ in range(16):
        await rows(connector, "SELECT max(i) AS m FROM t")
    # The second run, the fourth and the eighth: ever more rarely.
    assert counted.executed == 3


async def test_moments_and_time_zones(connector: DuckDBConnector, counted: Counted) -> None:
    sql = (
        "SELECT CAST(now() AS VARCHAR) AS a, CAST(CAST('2024-07-01 12:00+00' AS TIMESTAMPTZ) "
        "AS VARCHAR) AS b FROM t LIMIT 1"
    )
    seen = set()
    for _ in range(OFTEN):
        for zone, expected in (("UTC", "12:00:00+00"), ("Asia/Tokyo", "21:00:00+09")):
            (row,) = (await rows(connector, sql, zone=zone)).to_pylist()
            assert row["b"] == f"2024-07-01 {expected}"
            seen.add(row["a"])
    assert len(seen) == 2 * OFTEN
    assert counted.executed > OFTEN // 2


async def test_errors_come_as_ever(connector: DuckDBConnector, counted: Counted) -> None:
    sql = "SELECT sum(CAST(s AS INTEGER) + $1) AS a FROM t WHERE i < $2"
    for _ in range(OFTEN):
        await rows(connector, sql, Parameter("int4", 1), Parameter("int8", 0))
    assert counted.executed > OFTEN // 2
    with pytest.raises(WarehouseError) as caught:
        await rows(connector, sql, Parameter("int4", 1), Parameter("int8", 5))
    assert caught.value.sqlstate == "22P02"
    assert (await rows(connector, sql, Parameter("int4", 1), Parameter("int8", 0))).num_rows == 1


async def test_the_time_limit_ends_it(connector: DuckDBConnector, counted: Counted) -> None:
    sql = "SELECT count(*) AS c FROM t WHERE len(repeat(s || i, $1)) + i < 0"
    small = Parameter("int4", 1)
    for _ in range(OFTEN):
        await rows(connector, sql, small)
    assert counted.executed
    change(connector, "INSERT INTO t SELECT i, 0, 'x', NULL FROM range(3000000) r(i)")
    started = asyncio.get_running_loop().time()
    with pytest.raises(WarehouseError) as caught:
        await connector.execute(sql, [Parameter("int4", 20_000)], timeout=0.3)
    assert caught.value.sqlstate == "57014"
    assert asyncio.get_running_loop().time() - started < 30


async def test_few_are_kept(
    connector: DuckDBConnector, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duckdb_prepared, "_KEPT", 3)
    for _ in range(3):
        for number in range(6):
            values = [Parameter("int8", number)] if number % 2 else []
            condition = "i = $1" if values else f"i = {number}"
            found = await rows(
                connector, f"SELECT i AS i{number} FROM t WHERE {condition}", *values
            )
            assert found.to_pylist() == [{f"i{number}": number}]
    assert counted.executed
    kept = "SELECT count(*) AS c FROM duckdb_prepared_statements() WHERE name LIKE 'cubewire%'"
    assert (await rows(connector, kept)).to_pylist() == [{"c": 3}]


async def test_a_file_is_kept_planned_once_it_is_in_memory(
    tmp_path: Path, counted: Counted
) -> None:
    stored = tmp_path / "rollup.parquet"
    pq.write_table(pa.table({"n": [1, 2, None]}), stored)
    options = DuckDBOptions(
        allowed_directories=(str(tmp_path),),
        resident_folder=str(tmp_path),
        resident_bytes=1 << 20,
        threads=1,
    )
    connector = DuckDBConnector(options)
    await connector.start()
    try:
        sql = f'SELECT sum(n) AS n FROM "{stored}"'
        for _ in range(3 * OFTEN):
            assert (await rows(connector, sql)).to_pylist() == [{"n": 3}]
            await asyncio.sleep(0.01)
        assert counted.executed
        change(connector, f'DROP TABLE cubewire_resident.main."{stored}"')
        assert (await rows(connector, sql)).to_pylist() == [{"n": 3}]
    finally:
        await connector.close()
