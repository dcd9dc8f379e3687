"""An SQLite file, read by the driver of the standard library in bounded threads."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from connectors.errors import WarehouseError
from connectors.sqlite_errors import warehouse_error
from connectors.sqlite_session import SQLiteSession
from connectors.threaded_connector import ThreadedConnector, Threads

_OLDEST = (3, 39, 0)
"""The first version with FULL JOIN."""


@dataclass(frozen=True, slots=True)
class SQLiteOptions:
    """Options of an ``sqlite`` data source.

    Attributes:
        path: the database file, which is opened read-only.
        busy_seconds: how long to wait for a writer.
        quick_threads: statements that run at once in their first moment.
        slow_threads: statements that run at once after it.
        queue_seconds: how long a statement may wait for a thread before 53300.
        batch_rows: rows of a batch, after the first one.
    """

    path: str
    busy_seconds: float = 5.0
    quick_threads: int = 8
    slow_threads: int = 16
    queue_seconds: float = 30.0
    batch_rows: int = 8192

    def __post_init__(self) -> None:
        if self.busy_seconds < 0:
            raise ValueError("busy_seconds cannot be negative")


class SQLiteConnector(ThreadedConnector):
    """An SQLite file as a Connector."""

    def __init__(self, options: SQLiteOptions) -> None:
        threads = Threads.of(options, local=True)
        super().__init__("sqlite", self._open, warehouse_error, threads, snapshots=True)
        self._options = options

    def _open(self) -> SQLiteSession:
        if sqlite3.sqlite_version_info < _OLDEST:
            raise WarehouseError(
                "0A000",
                f"SQLite {sqlite3.sqlite_version} is too old: 3.39 is needed",
                reached=False,
            )
        return SQLiteSession(self._options.path, self._options.busy_seconds)
