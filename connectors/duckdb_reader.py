"""One DuckDB statement as seen from a worker thread: open, next chunk, close.

Nothing here awaits. One thread at a time uses a reader; ``stopping`` may be set from another.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence

import duckdb
import pyarrow as pa

from connectors.duckdb_prepared import PreparedStatements, arguments_of
from connectors.duckdb_small import (
    MOST_ROWS,
    MOST_SECONDS,
    SmallStatement,
    SmallStatements,
    small_batch,
)
from connectors.errors import WarehouseError
from connectors.threaded import Chunk, StoppedError

# DuckDB's vector size: the smallest piece it hands out without cutting.
VECTOR_ROWS = 2048

# What DuckDB computes ahead of the reader. It hands out nothing before this is full, so a small one
# brings the first rows early (1 ms instead of 7 ms with its 10 MB); the rate is the same.
STREAM_BUFFER = "1MB"

_BEGIN = "BEGIN TRANSACTION READ ONLY"

# A chunk is handed over when it is full, big, or when making it has taken this long: rows that come
# slowly are not held back, and rows that come quickly are few hops between threads.
CHUNK_BYTES = 2 * 1024 * 1024
CHUNK_SECONDS = 0.005

# A statement that is kept planned without DuckDB's optimizer has grown when it takes this long.
PLANNED_SECONDS = 0.01


class DuckDBReader:
    """A connection to the database with at most one open result."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        *,
        read_only_file: bool,
        small: SmallStatements | None = None,
        search_path: str = "",
    ) -> None:
        self.connection = connection
        self._small = SmallStatements() if small is None else small
        self._prepared = PreparedStatements(connection)
        self.stopping = False
        self._in_transaction = False
        self._in_snapshot = False
        self._needs_transaction = not read_only_file
        self._time_zone = ""
        self._search_path = search_path
        self._reader: pa.RecordBatchReader | None = None
        self._schema: pa.Schema | None = None

    def prepare(
        self, sql: str, values: Sequence[object], time_zone: str
    ) -> duckdb.DuckDBPyRelation:
        """Bind one SELECT; anything else is refused, a second lock behind the allow-list."""
        self._set_up(time_zone)
        return self._bind(self._parse(sql), values)

    def _set_up(self, time_zone: str) -> None:
        if not self._time_zone:
            self.connection.execute(f"SET streaming_buffer_size = '{STREAM_BUFFER}'")
            if self._search_path:
                self.connection.execute(f"SET search_path = {_literal(self._search_path)}")
        if time_zone != self._time_zone:
            self.connection.execute(f"SET TimeZone = {_literal(time_zone)}")
            self._time_zone = time_zone

    def _parse(self, sql: str) -> duckdb.Statement:
        statements = self.connection.extract_statements(sql)
        if len(statements) != 1 or statements[0].type is not duckdb.StatementType.SELECT:
            raise WarehouseError(
                "42501", "only a single SELECT statement may be run", reached=False
            )
        return statements[0]

    def begin_snapshot(self) -> None:
        """Have the statements until ``end_snapshot`` run in one transaction."""
        self.connection.execute(_BEGIN)
        self._in_snapshot = True

    def end_snapshot(self) -> None:
        """End that transaction."""
        self._in_snapshot = False
        self.connection.execute("ROLLBACK")

    def _begin(self) -> None:
        if self._needs_transaction and not self._in_snapshot:
            self.connection.execute(_BEGIN)
            self._in_transaction = True
        self._check()

    def _bind(
        self, statement: duckdb.Statement, values: Sequence[object]
    ) -> duckdb.DuckDBPyRelation:
        self._begin()
        return self.connection.sql(statement, params=list(values) or None)

    def open(self, sql: str, values: Sequence[object], time_zone: str) -> Chunk:
        """Start the statement and read its first rows, so that a small result needs one step."""
        self._set_up(time_zone)
        known = self._small.find(sql)
        if known is not None:
            chunk = self._open_small(known, sql, values)
            if chunk is not None:
                return chunk
            self._small.forget(sql)
        started = time.perf_counter()
        statement = self._parse(sql)
        relation = self._bind(statement, values)
        self._check()
        chunk = self._open_relation(relation)
        rows = 0 if chunk.batch is None else chunk.batch.num_rows
        quick = time.perf_counter() - started < MOST_SECONDS
        if chunk.finished and rows <= MOST_ROWS and quick:
            self._small.add(sql, statement, chunk.schema, relation.types)
        return chunk

    def _open_small(
        self, known: SmallStatement, sql: str, values: Sequence[object]
    ) -> Chunk | None:
        """Read the whole result; None where it has become another than it was."""
        prepared = self._find_prepared(known, sql, values)
        self._begin()
        connection = self.connection
        started = time.perf_counter()
        if prepared is None:
            connection.execute(known.statement, list(values) or None)
        else:
            connection.execute(prepared)
        rows = connection.fetchmany(MOST_ROWS + 1)
        self._check()
        types = [column[1] for column in connection.description or ()]
        batch = small_batch(known, rows, types) if len(rows) <= MOST_ROWS else None
        if len(rows) > MOST_ROWS:
            # Nothing else runs on the connection before what is left has been dropped.
            connection.abort()
        self.end()
        if prepared is not None and time.perf_counter() - started > PLANNED_SECONDS:
            known.prepared = False
        return None if batch is None else Chunk(known.schema, batch if rows else None, True)

    def _find_prepared(
        self, known: SmallStatement, sql: str, values: Sequence[object]
    ) -> duckdb.Statement | str | None:
        """What executes the statement as it is planned, where this connection keeps it so."""
        arguments = arguments_of(values)
        if arguments is None or not (known.ran() or known.prepared):
            return None
        zone, prepared = self._time_zone, self._prepared
        found = prepared.execution(sql, arguments, zone)
        if found is None:
            if self._in_snapshot:
                return None
            if prepared.add(sql, arguments, zone):
                found = prepared.execution(sql, arguments, zone)
        known.prepared = found is not None
        return found

    def _open_relation(self, relation: duckdb.DuckDBPyRelation) -> Chunk:
        self._reader = relation.to_arrow_reader(VECTOR_ROWS)
        self._schema = self._reader.schema
        chunk = self.next(1)
        if chunk.batch is not None and chunk.batch.num_rows < VECTOR_ROWS:
            # A batch that is not full is the last one; asking again is quick and makes it sure.
            rest = self.next(1)
            if rest.finished and rest.batch is None:
                return Chunk(chunk.schema, chunk.batch, finished=True)
            return Chunk(chunk.schema, _joined([chunk.batch, rest.batch]), rest.finished)
        return chunk

    def next(self, rows: int) -> Chunk:
        """Read about ``rows`` more rows."""
        if self._reader is None or self._schema is None:
            raise WarehouseError("XX000", "the result is not open")
        parts: list[pa.RecordBatch] = []
        got = size = 0
        deadline = time.perf_counter() + CHUNK_SECONDS
        finished = False
        while got < rows and size < CHUNK_BYTES:
            self._check()
            try:
                part = self._reader.read_next_batch()
            except StopIteration:
                finished = True
                break
            if part.num_rows:
                parts.append(part)
                got += part.num_rows
                size += part.nbytes
            if parts and time.perf_counter() > deadline:
                break
        if finished:
            self.end()
        return Chunk(self._schema, _joined(parts), finished)

    def end(self) -> None:
        """Close the open result and leave the connection as it was before it."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()
        if self._in_transaction:
            self._in_transaction = False
            self.connection.execute("ROLLBACK")

    def interrupt(self) -> None:
        """End the running step soon."""
        self.connection.interrupt()

    def close(self) -> None:
        """Close the result and the connection. Never raises."""
        with contextlib.suppress(Exception):
            self.end()
        with contextlib.suppress(Exception):
            self.connection.close()

    def _check(self) -> None:
        if self.stopping:
            raise StoppedError


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _joined(parts: Sequence[pa.RecordBatch | None]) -> pa.RecordBatch | None:
    batches = [part for part in parts if part is not None]
    if not batches:
        return None
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches)
