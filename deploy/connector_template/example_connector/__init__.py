"""A connector for Cubewire, to start from: any DB-API driver, here that of SQLite.

In ``cubewire.yml``::

    data_sources:
      default: {type: plugin, plugin: example, connector_options: {path: shop.db}}

``Session`` is all there is to write where a driver blocks: ``ThreadedConnector`` gives each
statement a connection and a thread, and sees to cancelling, time-outs, back-pressure and the queue.
What every connector owes is said in ``connectors.base``; run Cubewire's ``tests/connectors`` on it.

The dialect is one that Cubewire knows. For another, give the plug-in ``tables=``: a
``semantic.compiler.expressions.portable.tables.Tables``, as the modules beside it are.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

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
from connectors.threaded import Chunk, StoppedError
from connectors.threaded_connector import ThreadedConnector, Threads
from proxy.plugins import ConnectorPlugin


@dataclass(frozen=True, slots=True)
class Options:
    """What stands under ``connector_options``."""

    path: str
    batch_rows: int = 8192


class Session:
    """A connection with at most one open result. Everything but ``interrupt`` runs in a thread."""

    def __init__(self, options: Options) -> None:
        self.stopping = False
        self._cursor: sqlite3.Cursor | None = None
        self._kinds: tuple[str, ...] = ()
        self._schema = pa.schema([])
        self._connection = sqlite3.connect(options.path, check_same_thread=False)
        self._connection.execute("PRAGMA query_only = ON")

    def open(self, sql: str, parameters: Sequence[Parameter], time_zone: str) -> Chunk:
        """Start a statement; placeholders are ``$1``, ``$2`` and may come more than once."""
        self._cursor = self._connection.execute(sql, bound_values(parameters))
        if self._cursor.description is None:
            raise WarehouseError("42501", "only a SELECT may be run")
        names = [column[0] for column in self._cursor.description]
        rows = self._cursor.fetchmany(256)
        self._kinds = announced(sql) or inferred(rows, len(names))
        self._schema = arrow_schema(names, self._kinds)
        return self._chunk(rows, finished=len(rows) < 256)

    def next(self, rows: int) -> Chunk:
        """Read on, in Arrow batches of the types that PostgreSQL's stand for."""
        if self.stopping or self._cursor is None:
            raise StoppedError
        found = self._cursor.fetchmany(rows)
        return self._chunk(found, finished=len(found) < rows)

    def _chunk(self, rows: list[tuple[object, ...]], *, finished: bool) -> Chunk:
        batch = record_batch(rows, self._kinds, self._schema) if rows else None
        return Chunk(self._schema, batch, finished)

    def probe(self, sql: str) -> tuple[ProbedColumn, ...]:
        """Types of a SELECT's columns without its rows; refuse (0A000) what has no counterpart."""
        cursor = self._connection.execute(f"SELECT * FROM ({sql}) LIMIT 0")
        return tuple(
            ProbedColumn(item[0], declared_type(item[0], "")) for item in cursor.description
        )

    def ping(self) -> None:
        """One cheap round trip."""
        self._connection.execute("SELECT 1").fetchone()

    def begin_snapshot(self) -> None:
        """Have what follows see one state of the data, where the warehouse has such a thing."""
        self._connection.execute("BEGIN")

    def end_snapshot(self) -> None:
        """Leave no transaction behind. Without these two, say nothing of ``snapshots`` below."""
        self._connection.execute("ROLLBACK")

    def interrupt(self) -> None:
        """Called from another thread, where a statement is cancelled or has no time left."""
        self._connection.interrupt()

    def close(self) -> None:
        """Never raises."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()


def translate(error: Exception) -> WarehouseError:
    """The driver's errors with PostgreSQL's SQLSTATEs: clients act on them."""
    return WarehouseError("42000" if isinstance(error, sqlite3.Error) else "XX000", str(error))


def connector(options: Options) -> ThreadedConnector:
    """The connector, not started yet."""
    threads = Threads(batch_rows=options.batch_rows, local=True)
    return ThreadedConnector(
        "sqlite", lambda: Session(options), translate, threads, snapshots=True
    )


PLUGIN = ConnectorPlugin(Options, connector)
