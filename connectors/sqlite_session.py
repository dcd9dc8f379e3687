"""A connection to an SQLite file: one SELECT at a time, in worker threads."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator, Sequence
from urllib.parse import quote

import pyarrow as pa

from connectors.announcements import announced
from connectors.base import Parameter, ProbedColumn
from connectors.errors import WarehouseError
from connectors.sqlite_types import (
    arrow_schema,
    bound_values,
    declared_type,
    inferred,
    record_batch,
)
from connectors.threaded import FIRST_ROWS, Chunk, StoppedError

_PIECE_ROWS = 256
_CHUNK_SECONDS = 0.005
# How often a running statement is asked whether it is to stop: instructions of SQLite's machine.
_STEPS = 20_000
_PROBE = "cubewire_probe"
_READING = frozenset(
    (
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_READ,
        sqlite3.SQLITE_FUNCTION,
        sqlite3.SQLITE_RECURSIVE,
    )
)
_FORBIDDEN = frozenset(("load_extension", "readfile", "writefile", "edit", "fts3_tokenizer"))


class SQLiteSession:
    """A read-only connection, which runs nothing but a SELECT."""

    def __init__(self, path: str, busy_seconds: float) -> None:
        self.stopping = False
        self._failure: WarehouseError | None = None
        self._unguarded = False
        self._cursor: sqlite3.Cursor | None = None
        self._kinds: tuple[str, ...] = ()
        self._schema = pa.schema([])
        self._connection = sqlite3.connect(
            f"file:{quote(path)}?mode=ro",
            uri=True,
            timeout=busy_seconds,
            check_same_thread=False,
            isolation_level=None,
        )
        self._connection.create_function("cubewire_fail", 2, self._fail)
        self._connection.create_function("cubewire_invalid", 1, self._invalid)
        self._connection.set_authorizer(self._authorize)
        self._connection.set_progress_handler(lambda: self.stopping, _STEPS)

    def open(self, sql: str, parameters: Sequence[Parameter], time_zone: str) -> Chunk:
        """Start a statement. The session's time zone is the compiler's affair: SQLite has none."""
        values = bound_values(parameters)
        rows: list[tuple[object, ...]]
        with self._own_failures():
            self._cursor = self._connection.execute(sql, values)
            if self._cursor.description is None:
                raise WarehouseError("42501", "only a single SELECT statement may be run")
            rows = self._cursor.fetchmany(_PIECE_ROWS)
        names = [column[0] for column in self._cursor.description]
        kinds = announced(sql) or inferred(rows, len(names))
        if len(kinds) != len(names):
            raise WarehouseError("XX000", "the statement has other columns than it announces")
        self._kinds, self._schema = kinds, arrow_schema(names, kinds)
        if len(rows) == _PIECE_ROWS:
            return self._chunk(rows, FIRST_ROWS)
        self._end()
        return self._made(rows, finished=True)

    def next(self, rows: int) -> Chunk:
        """Read about ``rows`` more rows."""
        return self._chunk([], rows)

    def probe(self, sql: str) -> tuple[ProbedColumn, ...]:
        """Declared types of the columns of a SELECT, by a view that is never read."""
        with self._own_statements():
            try:
                self._connection.execute(f"CREATE TEMP VIEW {_PROBE} AS {sql}")
                found = self._connection.execute(f"PRAGMA temp.table_xinfo({_PROBE})").fetchall()
            finally:
                self._connection.execute(f"DROP VIEW IF EXISTS temp.{_PROBE}")
        return tuple(
            ProbedColumn(name, declared_type(name, declared)) for _, name, declared, *_ in found
        )

    def ping(self) -> None:
        """Read the file's schema. Raises where there is no database."""
        self._connection.execute("SELECT count(*) FROM sqlite_master").fetchall()

    def begin_snapshot(self) -> None:
        """Begin a transaction, whose first statement takes the snapshot.

        A file in WAL mode is written on meanwhile, in others a writer waits for the end.
        """
        with self._own_statements():
            self._connection.execute("BEGIN")

    def end_snapshot(self) -> None:
        """End the transaction."""
        with self._own_statements():
            self._connection.execute("ROLLBACK")

    def interrupt(self) -> None:
        """Stop what runs. Any thread."""
        with contextlib.suppress(sqlite3.ProgrammingError):  # closed meanwhile
            self._connection.interrupt()

    def close(self) -> None:
        """Close the result and the connection. Never raises."""
        with contextlib.suppress(Exception):
            self._end()
        with contextlib.suppress(Exception):
            self._connection.close()

    def _chunk(self, rows: list[tuple[object, ...]], wanted: int) -> Chunk:
        if self._cursor is None:
            raise WarehouseError("XX000", "the result is not open")
        deadline = time.perf_counter() + _CHUNK_SECONDS
        finished = False
        while len(rows) < wanted and not finished:
            if self.stopping:
                raise StoppedError
            with self._own_failures():
                piece = self._cursor.fetchmany(_PIECE_ROWS)
            rows += piece
            finished = len(piece) < _PIECE_ROWS
            if rows and time.perf_counter() > deadline:
                break
        if finished:
            self._end()
        return self._made(rows, finished=finished)

    def _made(self, rows: list[tuple[object, ...]], *, finished: bool) -> Chunk:
        batch = record_batch(rows, self._kinds, self._schema) if rows else None
        return Chunk(self._schema, batch, finished)

    def _end(self) -> None:
        cursor, self._cursor = self._cursor, None
        if cursor is not None:
            cursor.close()

    def _authorize(self, action: int, first: str | None, second: str | None, *_: str | None) -> int:
        if self._unguarded:
            return sqlite3.SQLITE_OK
        forbidden = action == sqlite3.SQLITE_FUNCTION and second in _FORBIDDEN
        if action in _READING and not forbidden:
            return sqlite3.SQLITE_OK
        return sqlite3.SQLITE_DENY

    @contextlib.contextmanager
    def _own_statements(self) -> Iterator[None]:
        """What is run inside is ours, and need not be a SELECT."""
        self._unguarded = True
        try:
            yield
        finally:
            self._unguarded = False

    @contextlib.contextmanager
    def _own_failures(self) -> Iterator[None]:
        """What a statement complains of by itself takes the place of SQLite's word for it."""
        self._failure = None
        try:
            yield
        except sqlite3.OperationalError:
            if self._failure is not None:
                raise self._failure from None
            raise

    def _fail(self, sqlstate: str, message: str) -> None:
        self._failure = WarehouseError(sqlstate, message)
        raise self._failure

    def _invalid(self, kind: str) -> None:
        self._failure = WarehouseError(
            "22P02",
            f"a column holds a value that is not of type {kind}",
            hint="Say by data_type in the model what it holds, or CAST it there.",
        )
        raise self._failure
