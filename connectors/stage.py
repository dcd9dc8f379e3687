"""The stage: a DuckDB in memory that computes over rows fetched from other warehouses.

Each statement has a connection of its own, whose temporary tables no other connection sees and
which are gone with it. All statements share one memory limit, beyond which the rows spill to a
folder that is removed at the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field

import pyarrow as pa

from connectors.base import BatchStream, Parameter
from connectors.duckdb_connector import MEMORY, DuckDBConnector, DuckDBOptions
from connectors.duckdb_reader import DuckDBReader
from connectors.duckdb_types import bound_values, duckdb_time_zone
from connectors.errors import WarehouseError, checked_text
from connectors.rollup_store import quoted
from connectors.stage_tables import StageColumn, StoredColumn, converted, stored_columns
from connectors.threaded import Chunk, ThreadedBatches, ThreadedStatement

INSERT_BYTES = 8 * 1024 * 1024
"""How much of a fetch is collected before it is inserted: many small inserts are slow."""

StageStatement = ThreadedStatement[DuckDBReader]
_DONE = Chunk(None, None, finished=False)


class StageLimitError(WarehouseError):
    """54000: more was fetched than the configuration lets one statement fetch."""


@dataclass(frozen=True, slots=True)
class StageOptions:
    """What the stage may take of the machine.

    Attributes:
        max_rows: that one statement may fetch.
        max_bytes: the same of memory, as Arrow counts it.
        memory_limit: of all statements together, such as ``4GB`` or ``20%``.
        temp_directory: where what is beyond it spills; empty is the system's, ``none`` is nowhere.
        max_temp_size: what may be spilled at most.
    """

    max_rows: int = 5_000_000
    max_bytes: int = 1 << 30
    memory_limit: str = "25%"
    temp_directory: str = ""
    max_temp_size: str = "20GB"


@dataclass(frozen=True, slots=True)
class StageTable:
    """A table of a statement, and what fills it.

    Attributes:
        name: unique in the statement.
        columns: in the order in which the rows come.
        open: starts the fetch.
        label: what the fetch is, for the error of one that is too large.
        reason: why its warehouse does not return less.
    """

    name: str
    columns: tuple[StageColumn, ...]
    open: Callable[[], Awaitable[BatchStream]]
    label: str
    reason: str


Fetching = AbstractAsyncContextManager[Sequence[StageTable]]
"""Tables that are filled one after the other while something is held, such as a snapshot."""


def apart(tables: Iterable[StageTable]) -> list[Fetching]:
    """Tables that are filled at once, nothing being held for them together."""
    return [nullcontext((table,)) for table in tables]


class Stage:
    """Runs statements over tables that are filled first."""

    def __init__(self, options: StageOptions) -> None:
        self._options = options
        self._database = _Database(
            DuckDBOptions(
                path=MEMORY,
                memory_limit=options.memory_limit,
                temp_directory=options.temp_directory,
                max_temp_size=options.max_temp_size,
            )
        )
        self._starting = asyncio.Lock()

    async def close(self) -> None:
        """Stop running statements and forget their tables."""
        await self._database.close()

    async def execute(
        self,
        fetching: Sequence[Fetching],
        sql: str,
        parameters: Sequence[Parameter],
        *,
        time_zone: str = "UTC",
        timeout: float | None = None,
    ) -> BatchStream:
        """Fill all tables, those of each part in turn, then start the statement over them.

        Cancelling the awaiting task stops all of it. ``timeout`` (seconds) spans the whole.

        Raises:
            WarehouseError: of a fetch or of the statement; 57014 past the timeout.
            StageLimitError: 54000.
        """
        checked_text(sql)
        zone, values = duckdb_time_zone(time_zone), bound_values(parameters)
        async with self._starting:
            await self._database.start()
        statement = self._database.statement(timeout)
        loading = _Loading(statement, self._options)
        try:
            async with asyncio.TaskGroup() as group:
                for part in fetching:
                    group.create_task(loading.fill(part), name="fetch")
            first = await statement.step(lambda reader: reader.open(sql, values, zone))
        except BaseExceptionGroup as failed:
            await _abandoned(statement)
            raise failed.exceptions[0] from failed
        except BaseException:
            await _abandoned(statement)
            raise
        return ThreadedBatches(statement, first, self._database.batch_rows)


async def _abandoned(statement: StageStatement) -> None:
    statement.stop("user")
    await statement.closed()


class _Database(DuckDBConnector):
    """A database whose connections end with their statements, and their tables with them."""

    _idle = 0

    @property
    def batch_rows(self) -> int:
        """Rows of a batch."""
        return self._options.batch_rows

    def statement(self, timeout: float | None) -> StageStatement:
        """A new statement in a connection of its own."""
        return self._statement(timeout)

    def _new_reader(self) -> DuckDBReader:
        # Tables of one name are not the same from one statement to the next.
        return DuckDBReader(self._cursor(), read_only_file=False)


@dataclass(slots=True)
class _Loading:
    """The fetches of one statement."""

    statement: StageStatement
    options: StageOptions
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)
    _rows: dict[str, int] = field(default_factory=dict)
    _tables: dict[str, StageTable] = field(default_factory=dict)
    _bytes: int = 0

    async def fill(self, fetching: Fetching) -> None:
        """Fill tables one after the other."""
        async with fetching as tables:
            for table in tables:
                await self._load(table)

    async def _load(self, table: StageTable) -> None:
        stream = await table.open()
        try:
            columns = stored_columns(stream.schema, table.columns)
            empty = pa.Table.from_batches([], stream.schema)
            await self._step(lambda reader: _create(reader, table.name, empty, columns))
            waiting: list[pa.RecordBatch] = []
            size = 0
            async for batch in stream:
                self._count(table, batch)
                waiting.append(batch)
                size += batch.nbytes
                if size >= INSERT_BYTES:
                    await self._insert(table, waiting, columns)
                    waiting, size = [], 0
            await self._insert(table, waiting, columns)
        finally:
            await stream.close()

    async def _insert(
        self, table: StageTable, batches: list[pa.RecordBatch], columns: Sequence[StoredColumn]
    ) -> None:
        if batches:
            await self._step(lambda reader: _insert(reader, table.name, batches, columns))

    async def _step(self, work: Callable[[DuckDBReader], None]) -> None:
        def step(reader: DuckDBReader) -> Chunk:
            work(reader)
            return _DONE

        async with self._one_at_a_time:
            await self.statement.step(step)

    def _count(self, table: StageTable, batch: pa.RecordBatch) -> None:
        self._tables[table.name] = table
        self._rows[table.name] = self._rows.get(table.name, 0) + batch.num_rows
        self._bytes += batch.nbytes
        limits = self.options
        if sum(self._rows.values()) > limits.max_rows:
            raise self._too_much(f"{limits.max_rows} rows", "staging.max_rows")
        if self._bytes > limits.max_bytes:
            raise self._too_much(f"{limits.max_bytes} bytes", "staging.max_bytes")

    def _too_much(self, limit: str, setting: str) -> StageLimitError:
        largest = self._tables[max(self._rows, key=lambda name: self._rows[name])]
        return StageLimitError(
            "54000",
            f"the statement needs more than {limit} of its data sources",
            hint=f"Most of them are {largest.label}, since {largest.reason}. Narrow it by a "
            f"condition, group it, keep it in a pre-aggregation, or raise {setting}.",
        )


def _create(
    reader: DuckDBReader, name: str, empty: pa.Table, columns: Sequence[StoredColumn]
) -> None:
    natural = reader.connection.from_arrow(empty).types if len(empty.schema) else []
    spelled = ", ".join(
        f"{quoted(column.name)} {column.stored or kind}"
        for column, kind in zip(columns, natural, strict=True)
    )
    reader.connection.execute(f"CREATE TEMPORARY TABLE {quoted(name)} ({spelled})")


def _insert(
    reader: DuckDBReader,
    name: str,
    batches: Sequence[pa.RecordBatch],
    columns: Sequence[StoredColumn],
) -> None:
    rows = pa.Table.from_batches([converted(batch, columns) for batch in batches])
    casts = ", ".join(
        quoted(column.name)
        if column.stored is None
        else f"CAST({quoted(column.name)} AS {column.stored})"
        for column in columns
    )
    reader.connection.from_arrow(rows).project(casts).insert_into(name)
