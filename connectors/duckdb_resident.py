"""Parquet files that statements read again and again, held in memory by the DuckDB that reads them.

To open and decode a small file takes DuckDB as long as all else that it does for a statement. So
what is named often is copied into a table of the file's own name, in an in-memory database that
stands behind the real one in each connection's search path. Statements go on naming the file:
where there is no such table, DuckDB reads the file itself. A file is never changed under its name
(see parquet_files), so a copy cannot be out of date.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from connectors.rollup_store import quoted

logger = logging.getLogger("cubewire.duckdb")

CATALOG = "cubewire_resident"

_USES = 3
"""A file is copied when it has been named three times, and tried again as often later."""
_IDLE_SECONDS = 60.0
"""What was read within this time does not make room for another file: they would take turns."""
_COUNTED = 4096
_TEXT_BYTES = 32
"""What a text takes at a guess: 16 bytes, and its characters where there are more than 12."""


@dataclass(slots=True)
class _Copy:
    """A file's table: what it takes, and when a statement last named it."""

    size: int
    used: float


class ResidentFiles:
    """Which files below ``folder`` are held in at most about ``budget`` bytes. Any thread."""

    def __init__(self, folder: str, budget: int) -> None:
        within = re.escape(quoted(folder.rstrip("/") + "/")[:-1])
        self._named = re.compile(rf'({within}(?:[^"]|"")+\.parquet")')
        self._budget = budget
        self._lock = threading.Lock()
        self._copies: OrderedDict[str, _Copy] = OrderedDict()
        self._uses: dict[str, int] = {}

    def attach(self, database: duckdb.DuckDBPyConnection) -> None:
        """Give a database the place for copies, before its configuration is locked."""
        database.execute(f"ATTACH ':memory:' AS {CATALOG} (READ_WRITE)")

    def due(self, sql: str) -> list[str]:
        """The files that a statement names and that should be copied now."""
        if ".parquet" not in sql:
            return []
        names = {name[1:-1].replace('""', '"') for name in self._named.findall(sql)}
        due, now = [], time.monotonic()
        with self._lock:
            for name in names:
                copy = self._copies.get(name)
                if copy is not None:
                    copy.used = now
                    self._copies.move_to_end(name)
                    continue
                uses = self._uses[name] = self._uses.get(name, 0) + 1
                if uses % _USES == 0:
                    due.append(name)
            if len(self._uses) > _COUNTED:
                self._uses.clear()
        return due

    def load(self, connection: duckdb.DuckDBPyConnection, name: str) -> None:
        """Copy a file if there is room. Never raises: without a copy the file is read."""
        try:
            size = _size(name)
            if not self._make_room(connection, size):
                return
            connection.execute(
                f"CREATE TABLE IF NOT EXISTS {_table(name)} AS FROM read_parquet(?)", [name]
            )
            with self._lock:
                self._copies[name] = _Copy(size, time.monotonic())
                self._uses.pop(name, None)
        except (duckdb.Error, OSError, pa.ArrowException) as error:
            logger.debug(
                "a file of a pre-aggregation is not held in memory",
                extra={"fields": {"file": name, "detail": str(error)}},
            )
        finally:
            connection.close()

    def _make_room(self, connection: duckdb.DuckDBPyConnection, size: int) -> bool:
        """Drop what has no file any more, and what was not read lately, until ``size`` fits."""
        now = time.monotonic()
        with self._lock:
            gone = [name for name in self._copies if not Path(name).exists()]
            left = self._budget - size
            left -= sum(copy.size for name, copy in self._copies.items() if name not in gone)
            for name, copy in self._copies.items():
                if left >= 0 or now - copy.used < _IDLE_SECONDS:
                    break
                if name not in gone:
                    gone.append(name)
                    left += copy.size
            for name in gone:
                del self._copies[name]
        for name in gone:
            connection.execute(f"DROP TABLE IF EXISTS {_table(name)}")
        return left >= 0


def _size(name: str) -> int:
    """The bytes that a file's rows take in memory, at a guess."""
    metadata = pq.read_metadata(name)
    schema = metadata.schema.to_arrow_schema()
    return int(metadata.num_rows) * sum(_width(field.type) for field in schema)


def _width(kind: pa.DataType) -> int:
    try:
        return max(1, int(kind.bit_width) // 8)
    except ValueError:
        return _TEXT_BYTES


def _table(name: str) -> str:
    return f"{CATALOG}.main.{quoted(name)}"
