"""Both kinds of store over a small warehouse, and how a build is written for each."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from connectors.base import Connector, Parameter
from connectors.bucket import Bucket
from connectors.bucket_rollups import BucketRollups
from connectors.parquet_rollups import ParquetRollups
from connectors.postgres_rollups import PostgresRollupOptions, PostgresRollups
from connectors.registry import open_connector
from connectors.rollup_store import (
    BuildColumn,
    BuildIndex,
    PartKey,
    RollupStore,
    StoredTable,
    TableBuild,
)
from tests.support.oracle import OraclePostgres

PARQUET, POSTGRES, BUCKET = "parquet", "postgres", "bucket"
KINDS = (PARQUET, POSTGRES)
STORES = (*KINDS, BUCKET)
SCHEMA = "stored_for_tests"
JANUARY = datetime(2013, 1, 1, tzinfo=UTC)
FEBRUARY = datetime(2013, 2, 1, tzinfo=UTC)
MARCH = datetime(2013, 3, 1, tzinfo=UTC)
COLUMNS = (BuildColumn("day", "timestamptz"), BuildColumn("n", "int8"), BuildColumn("s", "text"))


@dataclass(frozen=True, slots=True)
class Place:
    """A store, with the connector that its builds read and that reads its tables."""

    kind: str
    store: RollupStore
    connector: Connector

    @property
    def bucket(self) -> Bucket:
        """What a store in a bucket is made of."""
        assert isinstance(self.store, BucketRollups)
        return self.store.bucket

    @property
    def bucket_folder(self) -> Path:
        """Where it fetches to."""
        assert isinstance(self.store, BucketRollups)
        return self.store.folder

    async def rows(self, sql: str) -> list[tuple[object, ...]]:
        """What a query on the tables gives."""
        stream = await self.connector.execute(sql)
        found: list[tuple[object, ...]] = []
        async for batch in stream:
            found += [tuple(row.values()) for row in batch.to_pylist()]
        return found

    async def count(self, table: StoredTable) -> object:
        """Rows of a table."""
        return (await self.rows(f"SELECT count(*) AS n FROM {table.table}"))[0][0]


def build(
    start: datetime | None = JANUARY,
    end: datetime | None = FEBRUARY,
    *,
    factor: int = 1,
    version: str = "v1",
    refresh_key: str | None = None,
    rollup: str = "flights.by_day",
) -> TableBuild:
    """One row a day of the range, of ``factor`` each."""
    first, last = start or JANUARY, end or FEBRUARY
    sql = (
        f"SELECT CAST(day AS TIMESTAMPTZ) AS day, CAST({factor} AS BIGINT) AS n,"
        " CAST('x' AS TEXT) AS s FROM generate_series(CAST($1 AS TIMESTAMPTZ),"
        " CAST($2 AS TIMESTAMPTZ) - INTERVAL '1 day', INTERVAL '1 day') AS t(day)"
    )
    parameters = (Parameter("timestamptz", first), Parameter("timestamptz", last))
    key = PartKey(rollup, version, start, end)
    indexes = (BuildIndex("by_day", ("day",)),)
    return TableBuild(key, sql, parameters, COLUMNS, indexes, refresh_key)


@contextlib.asynccontextmanager
async def open_place(kind: str, folder: Path, oracle: OraclePostgres) -> AsyncIterator[Place]:
    """A store that is empty, and its connector."""
    if kind == PARQUET:
        store: RollupStore = ParquetRollups(folder)
        connector = open_connector("duckdb", {"allowed_directories": [str(folder)]})
    elif kind == BUCKET:
        store = BucketRollups(Bucket(f"memory://{folder}", {}), folder)
        connector = open_connector("duckdb", {"allowed_directories": [str(folder)]})
    else:
        store = PostgresRollups(PostgresRollupOptions(oracle.dsn, SCHEMA))
        connector = open_connector("postgres", {"dsn": oracle.dsn})
    await store.start()
    await connector.start()
    try:
        yield Place(kind, store, connector)
    finally:
        await connector.close()
        await store.close()


def forget(oracle: OraclePostgres, schema: str = SCHEMA) -> None:
    """Drop the schema that a test left."""
    with psycopg.connect(oracle.dsn, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
