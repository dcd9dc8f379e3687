"""Tables of a data lake are read by DuckDB as they are, or refused; and followed as they change."""

from __future__ import annotations

import asyncio
import datetime
import json
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import deltalake
import duckdb
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.types import DoubleType

from connectors.base import Reader, SnapshotReader
from connectors.duckdb_connector import LOOK_SECONDS, DuckDBConnector, DuckDBOptions
from connectors.errors import WarehouseError
from connectors.lake_delta import DeltaTable
from connectors.lake_files import LakeFiles
from connectors.options import ConnectorOptionsError
from connectors.threaded import LEAVE_SECONDS
from connectors.workers import CLOSE_SECONDS

SOON = 0.05
NOON = datetime.datetime(2024, 7, 1, 12, tzinfo=datetime.UTC)
ORDERS = pa.table(
    {
        "id": [1, 2, 3],
        "region": ["EU", "a b/c%", None],
        "paid": pa.array([Decimal("1.10"), None, Decimal("-2.20")], pa.decimal128(12, 2)),
        "seen": pa.array([NOON, None, NOON], pa.timestamp("us", tz="UTC")),
        "day": [datetime.date(2024, 7, 1), None, datetime.date(1969, 1, 1)],
    }
)

Describe = Callable[..., dict[str, Any]]


@asynccontextmanager
async def opened(
    tables: Mapping[str, Mapping[str, Any]], **options: Any
) -> AsyncIterator[DuckDBConnector]:
    connector = DuckDBConnector(DuckDBOptions(tables=tables, table_seconds=SOON, **options))
    await connector.start()
    try:
        yield connector
    finally:
        await connector.close()


async def rows(
    connector: Reader | SnapshotReader, sql: str, zone: str = "UTC"
) -> list[tuple[object, ...]]:
    stream = await connector.execute(sql, time_zone=zone)
    return [tuple(row.values()) async for batch in stream for row in batch.to_pylist()]


async def until(connector: DuckDBConnector, sql: str, expected: object) -> None:
    async with asyncio.timeout(60):
        while await rows(connector, sql) != expected:
            await asyncio.sleep(SOON)


async def refused(tables: Mapping[str, Mapping[str, Any]], **options: Any) -> WarehouseError:
    with pytest.raises(WarehouseError) as caught:
        async with opened(tables, **options):
            pass
    assert caught.value.sqlstate == "08001"
    return caught.value


# ------------------------------------------------------------------------------- Parquet


async def test_parquet_files_by_a_pattern(tmp_path: Path) -> None:
    for number in range(3):
        pq.write_table(pa.table({"n": [number]}), tmp_path / f"{number}.parquet")
    tables = {"numbers": {"format": "parquet", "url": f"{tmp_path}/*.parquet"}}
    async with opened(tables) as connector:
        assert await rows(connector, "SELECT sum(n) AS s FROM numbers") == [(3,)]
        (version,) = await rows(connector, "SELECT version FROM cubewire_tables")
        pq.write_table(pa.table({"n": [10]}), tmp_path / "10.parquet")
        await until(connector, "SELECT sum(n) AS s FROM numbers", [(13,)])
        assert await rows(connector, "SELECT version FROM cubewire_tables") != [version]


async def test_a_snapshot_keeps_the_version_of_a_table(tmp_path: Path) -> None:
    pq.write_table(pa.table({"n": [1]}), tmp_path / "1.parquet")
    tables = {"numbers": {"format": "parquet", "url": f"{tmp_path}/*.parquet"}}
    count = "SELECT count(*) FROM numbers"
    async with opened(tables) as connector, connector.snapshot() as snapshot:
        assert await rows(snapshot, count) == [(1,)]
        pq.write_table(pa.table({"n": [2]}), tmp_path / "2.parquet")
        await until(connector, count, [(2,)])
        assert await rows(snapshot, count) == [(1,)]


async def test_files_whose_names_look_like_patterns(tmp_path: Path) -> None:
    for number, name in enumerate(("p1", "p[1]", "p?", "p*")):
        pq.write_table(pa.table({"n": [10**number]}), tmp_path / f"{name}.parquet")
    tables = {"numbers": {"format": "parquet", "url": f"{tmp_path}/*.parquet"}}
    async with opened(tables) as connector:
        assert await rows(connector, "SELECT sum(n) AS s FROM numbers") == [(1111,)]


async def test_a_parquet_file(tmp_path: Path) -> None:
    pq.write_table(pa.table({"n": [7]}), tmp_path / "numbers.parquet")
    tables = {"numbers": {"format": "parquet", "url": f"{tmp_path}/numbers.parquet"}}
    async with opened(tables) as connector:
        assert await rows(connector, "SELECT n FROM numbers") == [(7,)]


async def test_parquet_partitions_have_the_types_that_are_declared(tmp_path: Path) -> None:
    for region in ("007", "EU"):
        (tmp_path / f"region={region}").mkdir()
        pq.write_table(pa.table({"n": [1]}), tmp_path / f"region={region}" / "1.parquet")
    described = {
        "format": "parquet",
        "url": f"{tmp_path}/*/*.parquet",
        "partitions": {"region": "varchar"},
    }
    async with opened({"t": described}) as connector:
        found = await rows(connector, "SELECT region, n FROM t ORDER BY 1")
        assert found == [("007", 1), ("EU", 1)]


async def test_files_of_other_columns_are_an_error_and_not_left_out(tmp_path: Path) -> None:
    pq.write_table(pa.table({"n": [1]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"m": [2]}), tmp_path / "2.parquet")
    async with opened({"t": {"format": "parquet", "url": f"{tmp_path}/*.parquet"}}) as connector:
        with pytest.raises(WarehouseError):
            await rows(connector, "SELECT sum(n) AS s FROM t")


async def test_nothing_beside_the_tables_may_be_read(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for where in (tmp_path / "mine", tmp_path):
        pq.write_table(pa.table({"n": [1]}), where / "1.parquet")
    url = f"{tmp_path}/mine/*.parquet"
    async with opened({"t": {"format": "parquet", "url": url}}) as connector:
        with pytest.raises(WarehouseError, match="disabled by configuration"):
            await rows(connector, f"SELECT * FROM read_parquet('{tmp_path}/1.parquet')")


async def test_files_come_by_the_driver_of_their_scheme() -> None:
    memory = fsspec.filesystem("memory")
    memory.mkdirs("/lake/numbers", exist_ok=True)
    for number in range(2):
        with memory.open(f"/lake/numbers/{number}.parquet", "wb") as file:
            pq.write_table(pa.table({"n": [number]}), file)
    tables = {"numbers": {"format": "parquet", "url": "memory://lake/numbers/*.parquet"}}
    async with opened(tables) as connector:
        assert await rows(connector, "SELECT n FROM numbers ORDER BY 1") == [(0,), (1,)]


# --------------------------------------------------------------------------------- Delta


def delta(folder: Path, table: pa.Table = ORDERS, **options: Any) -> dict[str, Any]:
    deltalake.write_deltalake(str(folder), table, **options)
    return {"format": "delta", "url": str(folder)}


EVERYTHING = "SELECT id, region, paid, epoch_us(seen) AS seen, day FROM t ORDER BY id"
EXPECTED = [
    (
        row["id"],
        row["region"],
        row["paid"],
        row["seen"] and int(NOON.timestamp() * 10**6),
        row["day"],
    )
    for row in ORDERS.to_pylist()
]


@pytest.mark.parametrize("partitions", [None, ["region"], ["seen"], ["day", "region"]])
async def test_delta(tmp_path: Path, partitions: list[str] | None) -> None:
    described = delta(tmp_path / "t", partition_by=partitions)
    async with opened({"t": described}) as connector:
        assert await rows(connector, EVERYTHING, "America/New_York") == EXPECTED


async def test_delta_rows_that_were_overwritten_or_deleted_are_not_read(tmp_path: Path) -> None:
    described = delta(tmp_path / "t")
    async with opened({"t": described}) as connector:
        deltalake.DeltaTable(described["url"]).delete("id = 1")
        await until(connector, "SELECT id FROM t ORDER BY id", [(2,), (3,)])
        deltalake.write_deltalake(described["url"], ORDERS.slice(0, 1), mode="overwrite")
        await until(connector, "SELECT id FROM t", [(1,)])
        assert await rows(connector, "SELECT name, version FROM cubewire_tables") == [("t", "2")]
        deltalake.DeltaTable(described["url"]).delete()
        await until(connector, "SELECT id FROM t", [])


async def test_delta_columns_that_were_added_are_null_before(tmp_path: Path) -> None:
    described = delta(tmp_path / "t", ORDERS.select(["id"]))
    more = pa.table({"id": [9], "note": ["new"]})
    deltalake.write_deltalake(described["url"], more, mode="append", schema_mode="merge")
    async with opened({"t": described}) as connector:
        found = await rows(connector, "SELECT id, note FROM t ORDER BY id")
        assert found == [(1, None), (2, None), (3, None), (9, "new")]


async def test_delta_instants_as_spark_writes_them(tmp_path: Path) -> None:
    described = delta(tmp_path / "t", ORDERS.select(["id", "seen"]))
    (file,) = (tmp_path / "t").glob("*.parquet")
    pq.write_table(ORDERS.select(["id", "seen"]), file, use_deprecated_int96_timestamps=True)
    sql = "SELECT id, epoch_us(seen) AS seen FROM t ORDER BY id"
    async with opened({"t": described}) as connector:
        expected = [(row[0], row[3]) for row in EXPECTED]
        assert await rows(connector, sql, "America/New_York") == expected


async def test_delta_instants_of_a_file_that_could_not_be_read_at_first(tmp_path: Path) -> None:
    described = delta(tmp_path / "t", ORDERS.select(["id", "seen"]))
    (file,) = (tmp_path / "t").glob("*.parquet")
    pq.write_table(ORDERS.select(["id", "seen"]), file, use_deprecated_int96_timestamps=True)
    table = DeltaTable(LakeFiles(described["url"], {}, is_folder=True), {})
    away = file.rename(tmp_path / "away.parquet")
    with duckdb.connect() as database:
        with pytest.raises(duckdb.IOException):
            table.snapshot(database, None)
        away.rename(file)
        assert "timezone('UTC'" in table.snapshot(database, None).sql


@pytest.mark.parametrize(
    ("protocol", "settings"),
    [
        ({"minReaderVersion": 3, "readerFeatures": ["deletionVectors"]}, {}),
        ({"minReaderVersion": 2}, {"delta.columnMapping.mode": "name"}),
        ({"minReaderVersion": 3, "readerFeatures": ["somethingNew"]}, {}),
    ],
)
async def test_delta_tables_that_want_more_are_refused(
    tmp_path: Path, protocol: dict[str, Any], settings: dict[str, str]
) -> None:
    described = delta(tmp_path / "t")
    log = tmp_path / "t" / "_delta_log" / f"{0:020}.json"
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    for action in actions:
        if "protocol" in action:
            action["protocol"] |= protocol | {"minWriterVersion": 7, "writerFeatures": []}
            action["protocol"]["writerFeatures"] = protocol.get("readerFeatures", [])
        if "metaData" in action:
            action["metaData"]["configuration"] |= settings
    log.write_text("".join(json.dumps(action) + "\n" for action in actions))
    error = await refused({"t": described})
    assert "wants readers that know" in error.message or "Kernel error" in error.message


# ------------------------------------------------------------------------------- Iceberg


@pytest.fixture
def catalog(tmp_path: Path) -> SqlCatalog:
    made = SqlCatalog("cubewire", **where(tmp_path))
    made.create_namespace("sales")
    return made


def where(folder: Path) -> dict[str, str]:
    return {
        "type": "sql",
        "uri": f"sqlite:///{folder}/catalog.db",
        "warehouse": f"file://{folder}/warehouse",
    }


async def test_iceberg(tmp_path: Path, catalog: SqlCatalog) -> None:
    table = catalog.create_table("sales.orders", schema=ORDERS.schema)
    table.append(ORDERS)
    described = {"format": "iceberg", "name": "sales.orders"}
    async with opened({"t": described}, metadata=where(tmp_path)) as connector:
        assert await rows(connector, EVERYTHING, "America/New_York") == EXPECTED
        table.append(ORDERS.slice(0, 1))
        await until(connector, "SELECT count(*) AS n FROM t", [(4,)])
        table.delete("id = 1")
        await until(connector, "SELECT id FROM t ORDER BY id", [(2,), (3,)])


async def test_iceberg_columns_by_their_numbers(tmp_path: Path, catalog: SqlCatalog) -> None:
    table = catalog.create_table("sales.orders", schema=ORDERS.select(["id", "region"]).schema)
    table.append(ORDERS.select(["id", "region"]).slice(0, 2))
    with table.update_schema() as update:
        update.rename_column("region", "place")
        update.add_column("rate", DoubleType())
    with table.update_schema() as update:
        update.add_column("region", DoubleType())
    table.append(pa.table({"id": [9], "place": ["new"], "rate": [0.5], "region": [1.5]}))
    described = {"format": "iceberg", "name": "sales.orders"}
    async with opened({"t": described}, metadata=where(tmp_path)) as connector:
        found = await rows(connector, "SELECT id, place, rate, region FROM t ORDER BY id")
    assert found == [(1, "EU", None, None), (2, "a b/c%", None, None), (9, "new", 0.5, 1.5)]


async def test_nested_iceberg_columns_are_left_out(tmp_path: Path, catalog: SqlCatalog) -> None:
    nested = pa.table({"id": [1], "tags": [["a"]], "seen": [{"by": [{"name": "x"}]}]})
    catalog.create_table("sales.orders", schema=nested.schema).append(nested)
    described = {"format": "iceberg", "name": "sales.orders"}
    async with opened({"t": described}, metadata=where(tmp_path)) as connector:
        assert await rows(connector, "SELECT * FROM t") == [(1,)]


async def test_iceberg_files_that_were_added_as_they_are(
    tmp_path: Path, catalog: SqlCatalog
) -> None:
    table = catalog.create_table("sales.orders", schema=ORDERS.select(["id", "region"]).schema)
    path = tmp_path / "added.parquet"
    pq.write_table(ORDERS.select(["id", "region"]), path)
    table.add_files([str(path)])
    error = await refused(
        {"t": {"format": "iceberg", "name": "sales.orders"}}, metadata=where(tmp_path)
    )
    assert "columns without numbers" in error.message


async def test_iceberg_partitions_whose_column_is_not_in_the_files(
    tmp_path: Path, catalog: SqlCatalog
) -> None:
    table = catalog.create_table("sales.orders", schema=ORDERS.select(["id", "region"]).schema)
    with table.update_spec() as update:
        update.add_identity("region")
    table.append(ORDERS.select(["id", "region"]).slice(0, 1))
    described = {"format": "iceberg", "name": "sales.orders"}
    async with opened({"t": described}, metadata=where(tmp_path)) as connector:
        assert await rows(connector, "SELECT id, region FROM t") == [(1, "EU")]
    (task,) = table.scan().plan_files()
    path = task.file.file_path.removeprefix("file://")
    pq.write_table(pq.read_table(path).select(["id"]), path)
    error = await refused({"t": described}, metadata=where(tmp_path))
    assert "lack the column of a partition" in error.message


async def test_iceberg_without_a_catalog(catalog: SqlCatalog) -> None:
    table = catalog.create_table("sales.orders", schema=ORDERS.schema)
    table.append(ORDERS)
    described = {"format": "iceberg", "url": table.metadata_location}
    async with opened({"t": described}) as connector:
        assert await rows(connector, EVERYTHING) == EXPECTED


async def test_an_empty_iceberg_table(tmp_path: Path, catalog: SqlCatalog) -> None:
    catalog.create_table("sales.orders", schema=ORDERS.schema)
    described = {"format": "iceberg", "name": "sales.orders"}
    async with opened({"t": described}, metadata=where(tmp_path)) as connector:
        assert await rows(connector, EVERYTHING) == []


# ---------------------------------------------------------------------------- in general


@pytest.mark.parametrize(
    ("described", "message"),
    [
        ({"format": "parquet", "url": "orders/*.parquet"}, "neither an absolute path nor a URL"),
        ({"format": "parquet", "url": "ftp://host/*.parquet"}, "no driver for ftp://"),
    ],
)
def test_urls(described: dict[str, Any], message: str) -> None:
    with pytest.raises(ConnectorOptionsError, match=message):
        DuckDBConnector(DuckDBOptions(tables={"t": described}))


async def test_a_table_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    for kind in ("parquet", "delta", "iceberg"):
        error = await refused({"t": {"format": kind, "url": f"{tmp_path}/nothing"}})
        assert "'t'" in error.message or "nothing" in error.message, kind


async def test_a_table_that_cannot_be_read_any_more_is_served_as_it_was(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    described = delta(tmp_path / "t")
    async with opened({"t": described}) as connector:
        newest = tmp_path / "t" / "_delta_log" / f"{1:020}.json"
        newest.write_text("this is no commit")
        async with asyncio.timeout(60):
            while "served as it was" not in caplog.text:
                await asyncio.sleep(SOON)
        assert await rows(connector, EVERYTHING) == EXPECTED
        newest.unlink()
        deltalake.write_deltalake(described["url"], ORDERS.slice(0, 1), mode="overwrite")
        await until(connector, "SELECT id FROM t", [(1,)])


async def answer(pipe: Path, others: set[threading.Thread]) -> None:
    """Let go who waits for a pipe, and see its threads end. Fails where nobody waits.

    Args:
        others: threads that were there before.
    """
    os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
    async with asyncio.timeout(60):
        while any(thread.name.startswith("duckdb") for thread in {*threading.enumerate()} - others):
            await asyncio.sleep(SOON)


async def test_the_end_does_not_wait_for_a_store_that_hangs(
    tmp_path: Path, catalog: SqlCatalog
) -> None:
    table = catalog.create_table("sales.orders", schema=ORDERS.schema)
    pipe = tmp_path / "t.metadata.json"
    pipe.write_bytes(Path(table.metadata_location.removeprefix("file://")).read_bytes())
    tables = {"t": {"format": "iceberg", "url": f"file://{pipe}"}}
    others = {*threading.enumerate()}
    connector = DuckDBConnector(DuckDBOptions(tables=tables, table_seconds=SOON))
    await connector.start()
    pipe.unlink()
    os.mkfifo(pipe)  # who opens it to read waits until somebody writes
    try:
        await asyncio.sleep(20 * SOON)
        began = time.monotonic()
        async with asyncio.timeout(4 * LOOK_SECONDS):
            await connector.close()
        assert time.monotonic() - began < 2 * LOOK_SECONDS
    finally:
        await answer(pipe, others)


async def test_a_statement_ends_in_time_though_a_store_hangs(tmp_path: Path) -> None:
    pipe = tmp_path / "numbers.parquet"
    pq.write_table(pa.table({"n": [7]}), pipe)
    tables = {"numbers": {"format": "parquet", "url": str(pipe)}}
    others = {*threading.enumerate()}
    connector = DuckDBConnector(DuckDBOptions(tables=tables))
    await connector.start()
    pipe.unlink()
    os.mkfifo(pipe)  # who opens it to read waits until somebody writes
    try:
        began = time.monotonic()
        with pytest.raises(WarehouseError) as caught:
            async with asyncio.timeout(20):
                await connector.execute("SELECT n FROM numbers", timeout=0.1)
        assert caught.value.sqlstate == "57014"
        assert time.monotonic() - began < 2 * LEAVE_SECONDS
        assert await rows(connector, "SELECT 1 AS n") == [(1,)]
        began = time.monotonic()
        async with asyncio.timeout(20):
            await connector.close()
        assert time.monotonic() - began < 2 * (LEAVE_SECONDS + CLOSE_SECONDS)
    finally:
        await answer(pipe, others)


def test_names_that_are_one_to_duckdb() -> None:
    described = {"format": "parquet", "url": "/data/*.parquet"}
    with pytest.raises(ConnectorOptionsError, match="one name"):
        DuckDBConnector(DuckDBOptions(tables={"Orders": described, "orders": described}))


async def test_secrets_are_not_told() -> None:
    error = await refused(
        {"t": {"format": "iceberg", "name": "sales.orders"}},
        metadata={"type": "rest", "uri": "http://topsecret.invalid:1", "password": "topsecret"},
    )
    assert "topsecret" not in error.message


async def test_tables_of_the_database_come_first(tmp_path: Path) -> None:
    described = delta(tmp_path / "t")
    async with opened({"t": described}, setup=("CREATE TABLE t AS SELECT 7 AS id",)) as connector:
        assert await rows(connector, "SELECT id FROM t") == [(7,)]


async def test_the_schema_that_setup_uses(tmp_path: Path) -> None:
    setup = ("ATTACH ':memory:' AS o", "CREATE TABLE o.n AS SELECT 7 AS id", "USE o")
    for tables in ({}, {"t": delta(tmp_path / "t")}):
        async with opened(tables, setup=setup) as connector:
            assert await rows(connector, "SELECT id FROM n") == [(7,)]
