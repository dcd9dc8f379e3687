"""A table of events, and rollups of it by month, built by the real builder into a real store.

The compiler's part stands here as SQL written by hand, so that these tests are about storing alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import psycopg

from connectors.base import Connector
from connectors.bucket import Bucket
from connectors.bucket_rollups import BucketRollups
from connectors.parquet_rollups import ParquetRollups
from connectors.postgres_rollups import PostgresRollupOptions, PostgresRollups
from connectors.registry import open_connector
from connectors.rollup_store import RollupStore, StoredTable
from proxy.rollups.builder import Builder, PartOutcome
from proxy.rollups.stores import Place, RollupStores
from semantic.compiler.api import (
    CompiledStatement,
    ParameterUse,
    PlanStep,
    ResultColumn,
    SessionSettings,
)
from semantic.compiler.rollups.api import RollupDefinition
from semantic.model.types import PostgresType
from semantic.model.values import RefreshKey
from tests.rollups_store.support import BUCKET, POSTGRES, SCHEMA, forget
from tests.support.oracle import OraclePostgres

NAME = "events.by_month"
COLUMNS = (
    ResultColumn("month", PostgresType("timestamptz")),
    ResultColumn("n", PostgresType("int8")),
)
EVENTS = (
    "CREATE TABLE events AS SELECT moment, CAST(1 AS BIGINT) AS n FROM generate_series("
    "CAST('2013-01-01 00:00:00+00' AS TIMESTAMPTZ), CAST('2013-04-30 23:00:00+00' AS TIMESTAMPTZ),"
    " INTERVAL '1 hour') AS t(moment)"
)
DEFINITION = RollupDefinition(
    NAME,
    "events",
    "default",
    "rollup",
    (),
    "v1",
    time="month",
    partition="month",
    refresh_key=RefreshKey("1 hour"),
)


def compiled(sql: str, parameters: int = 0) -> CompiledStatement:
    kind = PostgresType("timestamptz")
    uses = tuple(ParameterUse(index, kind) for index in range(parameters))
    return CompiledStatement(
        sql, uses, "default", COLUMNS, PlanStep("Select", "select"), ("events",)
    )


@dataclass
class HandWritten:
    """SQL of the rollups, as the compiler would give it."""

    definitions: Sequence[RollupDefinition] = (DEFINITION,)
    factor: str = "1"

    def rollups(self) -> Mapping[str, RollupDefinition]:
        return {each.name: each for each in self.definitions}

    def build_rollup(
        self, name: str, start: datetime | None, end: datetime | None, settings: SessionSettings
    ) -> CompiledStatement:
        assert settings.time_zone == "UTC"
        conditions = [
            text
            for bound, text in ((start, "moment >= CAST($1 AS TIMESTAMPTZ)"), (end, "moment < {}"))
            if bound is not None
        ]
        place = f"CAST(${2 if start is not None else 1} AS TIMESTAMPTZ)"
        where = " AND ".join(conditions).format(place) or "TRUE"
        statement = compiled(
            "SELECT date_trunc('month', moment) AS month,"
            f" CAST(SUM(n) * {self.factor} AS BIGINT) AS n"
            f" FROM events WHERE {where} GROUP BY 1"
        )
        bounds = [index for index, bound in enumerate((start, end)) if bound is not None]
        uses = tuple(ParameterUse(index, PostgresType("timestamptz")) for index in bounds)
        return replace(statement, parameters=uses)

    def rollup_range(self, name: str, settings: SessionSettings) -> CompiledStatement:
        return compiled("SELECT MIN(moment) AS a, MAX(moment) AS b FROM events")

    def rollup_refresh_key(self, name: str, settings: SessionSettings) -> CompiledStatement | None:
        key = self.rollups()[name].refresh_key
        return compiled(key.sql) if key is not None and key.sql is not None else None


@dataclass(frozen=True, slots=True)
class World:
    """A warehouse with events, a store, and what builds."""

    kind: str
    compiler: HandWritten
    connector: Connector
    place: Place

    @property
    def store(self) -> RollupStore:
        return self.place.store

    def builder(self, *definitions: RollupDefinition, timeout: float | None = None) -> Builder:
        """A builder of these rollups."""
        self.compiler.definitions = definitions or (DEFINITION,)
        stores = RollupStores(
            {each.name: self.place for each in self.compiler.definitions}, self.compiler.rollups()
        )
        settings = SessionSettings("cubewire", "cubewire")
        return Builder(self.compiler, {"default": self.connector}, stores, settings, 2, timeout)

    async def build(self, *definitions: RollupDefinition, force: bool = False) -> list[PartOutcome]:
        """Build what is due."""
        builder = self.builder(*definitions)
        outcomes: list[PartOutcome] = []
        for definition in builder.definitions.values():
            outcomes += await builder.run(await builder.plan(definition, force=force))
        return outcomes

    async def total(self, tables: Sequence[StoredTable] | None = None) -> int:
        """All events, by the stored tables."""
        found = await self.store.read() if tables is None else tables
        total = 0
        for table in found:
            stream = await self.connector.execute(
                f"SELECT CAST(SUM(n) AS BIGINT) AS n FROM {table.table}"
            )
            async for batch in stream:
                total += batch.column(0)[0].as_py() or 0
        return total


@contextlib.asynccontextmanager
async def open_world(
    kind: str, folder: Path, oracle: OraclePostgres, *, fresh: bool = True
) -> AsyncIterator[World]:
    """A warehouse and an empty store of one kind."""
    folder.mkdir(parents=True, exist_ok=True)
    store: RollupStore
    if kind != POSTGRES:
        file = folder / "events.duckdb"
        if not file.exists():
            with duckdb.connect(file) as database:
                database.execute("SET TimeZone = 'UTC'")
                database.execute(EVENTS)
        store = ParquetRollups(folder / "rollups")
        if kind == BUCKET:
            # Shared by processes, as those of several hosts would share one.
            bucket = Bucket(f"file://{folder}/bucket", {})
            store = BucketRollups(bucket, folder / "rollups")
        options: dict[str, object] = {
            "path": str(file),
            "allowed_directories": [str(folder / "rollups")],
        }
        connector = open_connector("duckdb", options)
    else:
        if fresh:
            with psycopg.connect(oracle.dsn, autocommit=True) as connection:
                connection.execute("DROP TABLE IF EXISTS events")
                connection.execute(EVENTS)
            forget(oracle)
        store = PostgresRollups(PostgresRollupOptions(oracle.dsn, SCHEMA))
        connector = open_connector("postgres", {"dsn": oracle.dsn})
    await store.start()
    await connector.start()
    try:
        yield World(kind, HandWritten(), connector, Place(kind, store))
    finally:
        await connector.close()
        await store.close()
        if kind == POSTGRES and fresh:
            forget(oracle)


HOURS = 24 * (31 + 28 + 31 + 30)
FEBRUARY = datetime(2013, 2, 1, tzinfo=UTC)
MARCH = datetime(2013, 3, 1, tzinfo=UTC)
