"""DuckDB in this process: the default warehouse.

Every statement has a connection of its own to one shared database and runs in worker threads
(DuckDB's driver blocks and releases the interpreter lock). The database is opened hardened: no
files but its own, no network, no extensions, configuration locked; only single SELECT statements
run, in read-only transactions.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from connectors import duckdb_resident, lake
from connectors.base import (
    BatchesOnly,
    BatchStream,
    Capabilities,
    Parameter,
    ProbedColumn,
    SnapshotReader,
)
from connectors.duckdb_errors import warehouse_error
from connectors.duckdb_functions import add_functions
from connectors.duckdb_prepared import OPTIMIZER
from connectors.duckdb_reader import DuckDBReader
from connectors.duckdb_resident import ResidentFiles
from connectors.duckdb_small import SmallStatements
from connectors.duckdb_types import bound_values, duckdb_time_zone, postgres_type
from connectors.errors import WarehouseError, checked_text, opened, stop_error
from connectors.options import ConnectorOptionsError
from connectors.rollup_store import quoted
from connectors.snapshots import Snapshot
from connectors.threaded import IDLE_READERS, Chunk, Readers, ThreadedBatches, ThreadedStatement
from connectors.threaded_snapshot import Start, reader_snapshot
from connectors.threads import begun_in_own_thread
from connectors.workers import Lanes, Workers, WorkersClosedError, be_nice

MEMORY = ":memory:"
SERVER_SETS = {"set_by": "server"}
"""Metadata of options that follow from other keys of the configuration."""
HALF = "50%"
LOOK_SECONDS = 2.0
"""What the end waits for a look at the lake's tables, which may hang at a store that is silent."""
OWN_SETTINGS = ("TimeZone", "streaming_buffer_size", "search_path", OPTIMIZER)
"""What the connector sets on each of its connections, locked or not."""


@dataclass(frozen=True, slots=True)
class DuckDBOptions:
    """Options of a ``duckdb`` data source.

    Attributes:
        path: the database file, or ``:memory:``.
        read_only: open the file read-only, so that several processes can.
        threads: threads of the engine, 0 for one per processor.
        memory_limit: such as ``4GB`` or ``20%``; empty for half of the machine.
        temp_directory: where results too big for memory spill; a private directory is made in it
            and removed at the end. Empty for the system's directory, ``none`` for no spilling.
        max_temp_size: what may be spilled at most.
        allowed_directories: directories that views of the database may read.
        setup: statements run once at start, before the database is locked.
        quick_threads: statements that run at once in their first moment.
        slow_threads: statements that run at once after it.
        queue_seconds: how long a statement may wait for a thread before 53300.
        batch_rows: rows of a batch, after the first one.
        nice: nice value (0 to 19) of the threads of statements that take longer, and of the engine.
        tables: tables of a data lake, by name: ``format``, ``url``, and what the format needs.
        storage: options of the fsspec drivers that read them.
        metadata: options of the libraries that read the metadata of Delta and Iceberg tables.
        table_seconds: how often is looked whether they have changed.
        resident_folder: where Parquet files are whose often read ones are held in memory.
        resident_bytes: how much of them, at a guess; 0 is none.
    """

    path: str = MEMORY
    read_only: bool = True
    threads: int = 0
    memory_limit: str = ""
    temp_directory: str = ""
    max_temp_size: str = "20GB"
    allowed_directories: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()
    quick_threads: int = 8
    slow_threads: int = 16
    queue_seconds: float = 30.0
    batch_rows: int = 8192
    nice: int = 10
    tables: Mapping[str, Any] = field(default_factory=dict)
    storage: Mapping[str, Any] = field(default_factory=dict, repr=False)
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False)
    table_seconds: float = 30.0
    resident_folder: str = field(default="", metadata=SERVER_SETS)
    resident_bytes: int = field(default=0, metadata=SERVER_SETS)

    def __post_init__(self) -> None:
        if self.table_seconds <= 0:
            raise ValueError("table_seconds must be more than 0")
        if min(self.quick_threads, self.slow_threads, self.batch_rows) < 1:
            raise ValueError("quick_threads, slow_threads and batch_rows must be at least 1")
        if self.threads < 0 or self.queue_seconds < 0 or not 0 <= self.nice <= 19:
            raise ValueError("threads, queue_seconds and nice (0 to 19) cannot be negative")


class DuckDBConnector(BatchesOnly):
    """A DuckDB database as a Connector."""

    dialect = "duckdb"
    capabilities = Capabilities(exclusive_streams=False, snapshots=True)
    _idle = IDLE_READERS

    def __init__(self, options: DuckDBOptions) -> None:
        self._options = options
        self._database: duckdb.DuckDBPyConnection | None = None
        self._readers: Readers[DuckDBReader] | None = None
        self._spill: Path | None = None
        self._small = SmallStatements()
        self._resident = (
            ResidentFiles(options.resident_folder, options.resident_bytes)
            if options.resident_folder and options.resident_bytes
            else None
        )
        self._lake = (
            lake.Lake(options.tables, options.storage, options.metadata) if options.tables else None
        )
        self._following: asyncio.Task[None] | None = None
        self._looking: asyncio.Future[None] | None = None
        self._search_path = ""
        self._closed = False

    async def start(self) -> None:
        """Open the database. A second call does nothing."""
        if self._database is not None:
            return
        options = self._options
        lanes = Lanes(
            options.quick_threads, options.slow_threads, options.queue_seconds, options.nice
        )
        self._readers = Readers(
            Workers("duckdb", lanes), self._new_reader, warehouse_error, self._idle
        )
        try:
            self._database = await begun_in_own_thread(self._open, "duckdb-open")
        except ConnectorOptionsError as error:
            self._remove_spill()
            raise WarehouseError("08001", str(error), reached=False) from error
        except (duckdb.Error, OSError) as error:
            self._remove_spill()
            fault = warehouse_error(error, reached=False)
            raise WarehouseError(
                "08001",
                f"cannot open the DuckDB database: {fault.message}",
                detail=fault.detail,
                reached=False,
            ) from error
        if self._lake is not None:
            self._following = asyncio.create_task(self._follow(self._lake), name="data lake")

    async def close(self) -> None:
        """Stop running statements and close the database."""
        self._closed = True
        if self._lake is not None and self._following is not None:
            self._lake.leave()
            self._following.cancel()
            await asyncio.wait([self._following])
            if self._looking is not None:
                await asyncio.wait([self._looking], timeout=LOOK_SECONDS)
        if self._readers is not None:
            await self._readers.close()
        database, self._database = self._database, None
        if database is not None:
            # It refuses where a reader waits for a store that is silent, and then goes with that.
            with contextlib.suppress(duckdb.Error):
                await begun_in_own_thread(database.close, "duckdb-close")
        self._remove_spill()

    async def execute(
        self,
        sql: str,
        parameters: Sequence[Parameter] = (),
        *,
        time_zone: str = "UTC",
        timeout: float | None = None,
    ) -> BatchStream:
        """Start one statement; return when its schema is known."""
        return await self._batches(self._statement, sql, parameters, time_zone, timeout)

    @contextlib.asynccontextmanager
    async def snapshot(self, *, timeout: float | None = None) -> AsyncIterator[SnapshotReader]:
        """See ``connectors.base.Snapshotter``.

        It is one of tables and of what views are; files that views read are not part of it.
        """
        transaction = reader_snapshot(
            opened(self._readers, closed=self._closed),
            DuckDBReader.begin_snapshot,
            DuckDBReader.end_snapshot,
            timeout,
        )
        async with transaction as start:
            yield Snapshot(partial(self._batches, start))

    async def _batches(
        self,
        start: Start[DuckDBReader],
        sql: str,
        parameters: Sequence[Parameter],
        time_zone: str,
        timeout: float | None,
    ) -> BatchStream:
        checked_text(sql)
        zone = duckdb_time_zone(time_zone)
        values = bound_values(parameters)
        statement = start(timeout)
        first = await statement.step(lambda reader: reader.open(sql, values, zone))
        self._keep_resident(sql)
        return ThreadedBatches(statement, first, self._options.batch_rows)

    async def probe(self, sql: str) -> tuple[ProbedColumn, ...]:
        """Column names and types of a SELECT, by binding it."""
        checked_text(sql)
        columns: list[ProbedColumn] = []

        def bind(reader: DuckDBReader) -> Chunk:
            relation = reader.prepare(sql, (), "UTC")
            for name, kind in zip(relation.columns, relation.types, strict=True):
                columns.append(ProbedColumn(name, *postgres_type(str(kind))))
            reader.end()
            return Chunk(None, None, finished=True)

        await self._statement().step(bind)
        return tuple(columns)

    async def health(self) -> None:
        """Run a constant query, past any queue."""
        workers = opened(self._readers, closed=self._closed).workers
        try:
            await workers.submit(
                lambda: self._cursor().execute("SELECT 1").fetchall(), urgent=True
            ).future
        except WorkersClosedError:
            raise stop_error("shutdown") from None
        except duckdb.Error as error:
            raise warehouse_error(error) from error

    def _open(self) -> duckdb.DuckDBPyConnection:
        # The engine's own threads inherit how nice the thread is that opens the database.
        be_nice(self._options.nice)
        options = self._options
        memory = options.path == MEMORY
        database = duckdb.connect(
            options.path,
            read_only=options.read_only and not memory,
            config={
                "threads": str(options.threads or len(os.sched_getaffinity(0))),
                "python_enable_replacements": "false",
                "allow_community_extensions": "false",
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
            },
        )
        try:
            add_functions(database)
            for statement in options.setup:
                database.execute(statement)
            self._attach(database)
            self._harden(database)
        except BaseException:
            database.close()
            raise
        return database

    def _attach(self, database: duckdb.DuckDBPyConnection) -> None:
        """Make the search path of statements: the database's schema, and what stands behind it."""
        behind = []
        if self._lake is not None:
            self._lake.attach(database)
            behind.append(f"{lake.CATALOG}.main")
        if self._resident is not None:
            self._resident.attach(database)
            behind.append(f"{duckdb_resident.CATALOG}.main")
        # What ``setup`` chose by USE holds for its own connection only.
        own = _current_schema(database)
        if behind or own != _current_schema(database.cursor()):
            self._search_path = ",".join((own, *behind))

    async def _follow(self, tables: lake.Lake) -> None:
        """Look for new versions of the lake's tables, again and again."""
        while True:
            await asyncio.sleep(self._options.table_seconds)
            look = partial(_look, tables, self._cursor())
            self._looking = begun_in_own_thread(look, "duckdb-lake")
            await asyncio.shield(self._looking)

    def _harden(self, database: duckdb.DuckDBPyConnection) -> None:
        options = self._options
        folders = [*options.allowed_directories, *(self._lake.folders if self._lake else ())]
        database.execute("SET memory_limit = ?", [options.memory_limit or HALF])
        if options.temp_directory != "none":
            parent = options.temp_directory or None
            self._spill = Path(tempfile.mkdtemp(prefix="cubewire-duckdb-", dir=parent))
        database.execute("SET temp_directory = ?", [str(self._spill or "")])
        if self._spill is not None:
            database.execute("SET max_temp_directory_size = ?", [options.max_temp_size])
        if folders:
            database.execute("SET allowed_directories = ?", [folders])
        for setting in (
            "allow_persistent_secrets = false",
            "allow_extension_repositories = 'forbidden'",
            "enable_external_access = false",
            f"allowed_configs = {list(OWN_SETTINGS)}",
            "lock_configuration = true",
        ):
            database.execute(f"SET {setting}")

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        """A new connection to the database."""
        return opened(self._database, closed=self._closed).cursor()

    def _statement(self, timeout: float | None = None) -> ThreadedStatement[DuckDBReader]:
        return opened(self._readers, closed=self._closed).statement(timeout)

    def _keep_resident(self, sql: str) -> None:
        """Copy the files that a statement has read, if it is time, behind its back."""
        resident = self._resident
        if resident is None:
            return
        for name in resident.due(sql):
            workers = opened(self._readers, closed=self._closed).workers
            load = partial(resident.load, self._cursor(), name)
            # In a context of its own: the wait for a thread is not the statement's.
            call = Context().run(workers.submit, load)
            call.future.add_done_callback(asyncio.Future.exception)

    def _new_reader(self) -> DuckDBReader:
        options = self._options
        return DuckDBReader(
            self._cursor(),
            read_only_file=options.path != MEMORY and options.read_only,
            small=self._small,
            search_path=self._search_path,
        )

    def _remove_spill(self) -> None:
        spill, self._spill = self._spill, None
        if spill is not None:
            shutil.rmtree(spill, ignore_errors=True)


def _look(tables: lake.Lake, connection: duckdb.DuckDBPyConnection) -> None:
    # The connection is closed by the thread that uses it, whenever that ends.
    with connection:
        tables.follow(connection)


def _current_schema(connection: duckdb.DuckDBPyConnection) -> str:
    found = connection.execute("SELECT current_database(), current_schema()").fetchall()
    return ".".join(quoted(str(name)) for name in found[0])
