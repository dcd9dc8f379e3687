"""Pre-aggregations in the PostgreSQL warehouse itself: tables in a schema of their own.

A table and its row in the state are made in one transaction, so a build that dies leaves nothing.
Locks are advisory ones of that transaction: they end with it, whoever ends it, and cannot outlive
what they protect.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import asyncpg

from connectors.base import Connector
from connectors.errors import WarehouseError
from connectors.postgres_faults import BROKEN
from connectors.rollup_store import (
    BuildTakenError,
    PartKey,
    StoredTable,
    TableBuild,
    new_table_name,
    quoted,
)

_CREATE_STATE = """
CREATE TABLE IF NOT EXISTS {schema}.stored (
    table_name name PRIMARY KEY,
    rollup text NOT NULL,
    version text NOT NULL,
    starts timestamptz,
    ends timestamptz,
    rows bigint NOT NULL,
    bytes bigint NOT NULL,
    built_at double precision NOT NULL,
    checked_at double precision NOT NULL,
    seconds double precision NOT NULL,
    refresh_key text,
    retired_at double precision
)"""
# A table that somebody has dropped by hand is there no longer, whatever the state says.
_LIVE = """
SELECT stored.* FROM {schema}.stored AS stored
    JOIN pg_catalog.pg_class AS class ON class.relname = stored.table_name
        AND class.relnamespace = {literal}::regnamespace
WHERE retired_at IS NULL"""
_IN_ORDER = " ORDER BY rollup, version, starts NULLS FIRST"
_SAME_KEY = (
    "rollup = $1 AND version = $2 AND starts IS NOT DISTINCT FROM $3"
    " AND ends IS NOT DISTINCT FROM $4 AND retired_at IS NULL"
)
_OVERLAPPING = (
    "rollup = $1 AND version = $2 AND retired_at IS NULL"
    " AND tstzrange(starts, ends) && tstzrange($3, $4)"
)
_INSERT = """
INSERT INTO {schema}.stored (table_name, rollup, version, starts, ends, rows, bytes, built_at,
    checked_at, seconds, refresh_key) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9, $10)"""

_UNDEFINED = ("3F000", "42P01")
_LOCK_NOT_AVAILABLE = "55P03"
_LEADER = "leader"


@dataclass(frozen=True, slots=True)
class PostgresRollupOptions:
    """Where the tables are kept.

    Attributes:
        dsn: ``postgresql://`` URL of a role that may create the schema, or owns it.
        schema: its name.
        reader: the role that queries run as, which is given SELECT; empty where it is the same.
        connections: statements that run at once.
        connect_seconds: how long one try to connect may take.
        search_path: schemas of unqualified tables in what is built; empty for the role's own.
    """

    dsn: str
    schema: str = "cubewire_rollups"
    reader: str = ""
    connections: int = 4
    connect_seconds: float = 10.0
    search_path: str = ""


class PostgresRollups:
    """A schema of a PostgreSQL as a RollupStore."""

    def __init__(self, options: PostgresRollupOptions) -> None:
        self._options = options
        self._schema = quoted(options.schema)
        self._pool: asyncpg.Pool | None = None

    async def start(self) -> None:
        """Open the pool. The schema is made by the first build."""
        if self._pool is not None:
            return
        options = self._options
        settings = {"application_name": "cubewire rollups", "TimeZone": "UTC"}
        if options.search_path:
            settings["search_path"] = options.search_path
        with _translated():
            self._pool = await asyncpg.create_pool(
                options.dsn,
                min_size=0,
                max_size=options.connections,
                timeout=options.connect_seconds,
                # Tables come and go: a plan of another table's statement is of no use.
                statement_cache_size=0,
                server_settings=settings,
            )

    async def close(self) -> None:
        """Close every connection, which ends what runs on it."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.terminate()

    async def read(self) -> tuple[StoredTable, ...]:
        """The tables that queries may read now; none where nothing was ever built."""
        statement = self._sql(_LIVE + _IN_ORDER)
        try:
            async with self._connection() as connection:
                rows = await connection.fetch(statement)
        except WarehouseError as error:
            if error.sqlstate in _UNDEFINED:
                return ()
            raise
        return tuple(self._stored(row) for row in rows)

    async def build(
        self, build: TableBuild, source: Connector, seen: StoredTable | None
    ) -> StoredTable:
        """Build a table in one transaction. See RollupStore."""
        async with self._connection() as connection:
            await self._make_schema(connection)
            async with connection.transaction():
                await self._lock(connection, build.key)
                there = await self._find(connection, build.key)
                if there is not None and (seen is None or there.table != seen.table):
                    return there
                return await self._build(connection, build)

    async def confirm(self, tables: Sequence[StoredTable], at: float) -> None:
        """Note that refresh keys were unchanged."""
        await self._update("checked_at", tables, at)

    async def retire(self, tables: Sequence[StoredTable]) -> None:
        """Take tables out of the state."""
        await self._update("retired_at", tables, time.time())

    async def collect(self, grace: float) -> int:
        """Drop what was retired, one table at a time, none of them while it is read."""
        before = time.time() - grace
        names = self._sql("SELECT table_name FROM {schema}.stored WHERE retired_at < $1")
        dropped = 0
        try:
            async with self._connection() as connection:
                for row in await connection.fetch(names, before):
                    dropped += await self._drop(connection, row["table_name"])
        except WarehouseError as error:
            if error.sqlstate not in _UNDEFINED:
                raise
        return dropped

    @asynccontextmanager
    async def lead(self) -> AsyncIterator[bool]:
        """Hold a lock of a connection of its own: the server lets go of it when that ends."""
        with _translated():
            connection = await asyncpg.connect(
                self._options.dsn,
                timeout=self._options.connect_seconds,
                server_settings={"application_name": "cubewire rollups leader"},
            )
        try:
            with _translated():
                number = self._lock_number(_LEADER)
                leads = await connection.fetchval("SELECT pg_try_advisory_lock($1)", number)
            yield bool(leads)
        finally:
            connection.terminate()

    # ------------------------------------------------------------------------- one build

    async def _make_schema(self, connection: asyncpg.Connection) -> None:
        if await connection.fetchval("SELECT to_regclass($1)", f"{self._schema}.stored"):
            return
        async with connection.transaction():
            # CREATE ... IF NOT EXISTS of two sessions at once fails in one of them.
            number = self._lock_number("schema")
            await connection.execute("SELECT pg_advisory_xact_lock($1)", number)
            await connection.execute(self._sql("CREATE SCHEMA IF NOT EXISTS {schema}"))
            await connection.execute(self._sql(_CREATE_STATE))
            if self._options.reader:
                reader = quoted(self._options.reader)
                await connection.execute(self._sql("GRANT USAGE ON SCHEMA {schema} TO ") + reader)

    async def _lock(self, connection: asyncpg.Connection, key: PartKey) -> None:
        number = self._lock_number(key.text())
        if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", number):
            raise BuildTakenError

    async def _find(self, connection: asyncpg.Connection, key: PartKey) -> StoredTable | None:
        statement = self._sql(f"{_LIVE} AND {_SAME_KEY}")
        row = await connection.fetchrow(statement, key.rollup, key.version, *key.bounds)
        return None if row is None else self._stored(row)

    async def _build(self, connection: asyncpg.Connection, build: TableBuild) -> StoredTable:
        started, clock = time.time(), time.monotonic()
        name = new_table_name(build.key)
        table = f"{self._schema}.{quoted(name)}"
        values = [parameter.value for parameter in build.parameters]
        tag = await connection.execute(f"CREATE TABLE {table} AS {build.sql}", *values)
        await self._check_columns(connection, table, build)
        for number, index in enumerate(build.indexes):
            columns = ", ".join(quoted(column) for column in index.columns)
            label = quoted(f"{name}_{number}"[-63:])
            await connection.execute(f"CREATE INDEX {label} ON {table} ({columns})")
        await connection.execute(f"ANALYZE {table}")
        if self._options.reader:
            reader = quoted(self._options.reader)
            await connection.execute(f"GRANT SELECT ON {table} TO {reader}")
        size = await connection.fetchval("SELECT pg_total_relation_size($1::regclass)", table)
        stored = StoredTable(
            build.key,
            table,
            int(tag.rsplit(" ", 1)[-1]),
            size,
            started,
            started,
            time.monotonic() - clock,
            build.refresh_key,
        )
        await self._publish(connection, name, stored)
        return stored

    async def _publish(
        self, connection: asyncpg.Connection, name: str, stored: StoredTable
    ) -> None:
        """Name a table in the state in the place of all that it overlaps."""
        key = stored.key
        # Two parts that are published at once would not see each other.
        number = self._lock_number(f"publish|{key.rollup}|{key.version}")
        await connection.execute("SELECT pg_advisory_xact_lock($1)", number)
        retire = self._sql("UPDATE {schema}.stored SET retired_at = $5 WHERE ") + _OVERLAPPING
        await connection.execute(retire, key.rollup, key.version, *key.bounds, time.time())
        await connection.execute(
            self._sql(_INSERT),
            name,
            key.rollup,
            key.version,
            *key.bounds,
            stored.rows,
            stored.bytes,
            stored.built_at,
            stored.seconds,
            stored.refresh_key,
        )

    async def _check_columns(
        self, connection: asyncpg.Connection, table: str, build: TableBuild
    ) -> None:
        """A table whose columns are not those that queries will name must not be published."""
        rows = await connection.fetch(
            "SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0"
            " ORDER BY attnum",
            table,
        )
        found = [row["attname"] for row in rows]
        wanted = [column.name for column in build.columns]
        if found != wanted:
            raise WarehouseError(
                "XX000",
                f"the table of {build.key.rollup} has other columns than its definition",
                detail=f"The definition says {wanted}, the table {found}.",
            )

    # ------------------------------------------------------------------------- the state

    async def _update(self, column: str, tables: Sequence[StoredTable], at: float) -> None:
        if not tables:
            return
        prefix = f"{self._schema}."
        names = [table.table.removeprefix(prefix)[1:-1].replace('""', '"') for table in tables]
        statement = f"UPDATE {self._schema}.stored SET {column} = $1"
        async with self._connection() as connection:
            await connection.execute(
                f"{statement} WHERE table_name = ANY($2::name[]) AND retired_at IS NULL", at, names
            )

    async def _drop(self, connection: asyncpg.Connection, name: str) -> int:
        try:
            async with connection.transaction():
                # DROP waits for who reads the table, and whoever comes after waits for DROP.
                await connection.execute("SET LOCAL lock_timeout = '500ms'")
                await connection.execute(f"DROP TABLE IF EXISTS {self._schema}.{quoted(name)}")
                forget = self._sql("DELETE FROM {schema}.stored WHERE table_name = $1")
                await connection.execute(forget, name)
        except asyncpg.PostgresError as error:
            if error.sqlstate != _LOCK_NOT_AVAILABLE:
                raise
            return 0
        return 1

    def _stored(self, row: asyncpg.Record) -> StoredTable:
        return StoredTable(
            PartKey(row["rollup"], row["version"], row["starts"], row["ends"]),
            f"{self._schema}.{quoted(row['table_name'])}",
            row["rows"],
            row["bytes"],
            row["built_at"],
            row["checked_at"],
            row["seconds"],
            row["refresh_key"],
        )

    def _sql(self, text: str) -> str:
        literal = "'" + self._schema.replace("'", "''") + "'"
        return text.replace("{schema}", self._schema).replace("{literal}", literal)

    def _lock_number(self, text: str) -> int:
        digest = hashlib.sha256(f"cubewire|{self._options.schema}|{text}".encode()).digest()
        return int.from_bytes(digest[:8], "big", signed=True)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.Connection]:
        if self._pool is None:
            raise WarehouseError("08003", "the store of pre-aggregations is not open")
        with _translated():
            async with self._pool.acquire() as connection:
                yield connection


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except BROKEN as error:
        raise WarehouseError(
            "08006", "the store of pre-aggregations cannot be reached", detail=str(error)
        ) from error
    except asyncpg.PostgresError as error:
        raise WarehouseError(
            error.sqlstate or "XX000", str(error), detail=error.detail, hint=error.hint
        ) from error
