"""The rows of a pre-aggregation as a Parquet file that nobody reads until it is complete."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from connectors.base import Connector
from connectors.errors import WarehouseError
from connectors.rollup_manifest import table_name
from connectors.rollup_parquet_types import StoredField, convert, stored_fields
from connectors.rollup_store import StoredTable, TableBuild, new_table_name, quoted
from connectors.threads import finished_in_thread

ROW_GROUP_ROWS = 122_880
"""DuckDB's own choice: what one of its threads reads at a time."""

SUFFIX = ".parquet"
TEMPORARY = ".building"
_FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


@dataclass(slots=True)
class Written:
    """A file that is being written."""

    path: Path
    file: BinaryIO
    writer: pq.ParquetWriter
    rows: int = 0

    @property
    def final(self) -> Path:
        """Its name once it is complete."""
        return self.path.with_suffix(SUFFIX)

    @property
    def bytes(self) -> int:
        """Its size, complete."""
        return self.file.tell()

    def finish(self) -> None:
        """Write what is left of it to the disk."""
        self.writer.close()
        self.file.flush()
        os.fsync(self.file.fileno())

    def stored(self, build: TableBuild, started: float, seconds: float) -> StoredTable:
        """The table that it is once it is named.

        Args:
            build: what it was written for.
            started: when that began.
            seconds: how long it took.
        """
        return StoredTable(
            build.key,
            table_name(self.final),
            self.rows,
            self.bytes,
            started,
            started,
            seconds,
            build.refresh_key,
        )


@asynccontextmanager
async def rows_written(
    folder: Path, build: TableBuild, source: Connector
) -> AsyncIterator[Written]:
    """A file with a build's rows, to be finished and renamed; otherwise it is gone afterwards.

    Raises WarehouseError as the source does, and 0A000, 22003, XX000 for what cannot be kept.
    """
    stream = await source.execute(_sorted(build), build.parameters)
    try:
        fields = stored_fields(stream.schema, build.columns)
        with _new_file(folder, build, fields) as written:
            waiting: list[pa.RecordBatch] = []
            async for batch in stream:
                waiting.append(batch)
                if sum(each.num_rows for each in waiting) >= ROW_GROUP_ROWS:
                    await finished_in_thread(_write, written, waiting, fields)
                    waiting = []
            await finished_in_thread(_write, written, waiting, fields)
            yield written
    finally:
        await stream.close()


@contextmanager
def _new_file(folder: Path, build: TableBuild, fields: Sequence[StoredField]) -> Iterator[Written]:
    """A file under a name that no query reads; gone afterwards unless it has been renamed."""
    path = folder / f"{new_table_name(build.key)}{TEMPORARY}"
    with path.open("xb") as file:
        # Who collects what killed builds left knows by this lock that we live.
        fcntl.flock(file, fcntl.LOCK_EX)
        schema = pa.schema([each.field for each in fields])
        # The range of a column is without its NaN, and DuckDB would leave their rows out by it.
        ranged = [each.name for each in schema if not pa.types.is_floating(each.type)]
        writer = pq.ParquetWriter(file, schema, compression="zstd", write_statistics=ranged)
        try:
            yield Written(path, file, writer)
        finally:
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # it was of a build that failed
                writer.close()


def _sorted(build: TableBuild) -> str:
    """The SELECT, in the order of the first index: the ranges of row groups then do its work."""
    if not build.indexes:
        return build.sql
    columns = ", ".join(quoted(column) for column in build.indexes[0].columns)
    return f"SELECT * FROM ({build.sql}) AS built ORDER BY {columns}"


def _write(
    written: Written, batches: Sequence[pa.RecordBatch], fields: Sequence[StoredField]
) -> None:
    stored = [convert(batch, fields) for batch in batches]
    if stored:
        table = pa.Table.from_batches(stored)
        written.writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
        written.rows += table.num_rows


def is_being_written(path: Path) -> bool:
    """Whether a process that lives is writing a file, or it is gone."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except BlockingIOError:
        return True
    return False


@contextmanager
def translated() -> Iterator[None]:
    """Errors of the file system as WarehouseError: 53100 where no space is left, 58030."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise WarehouseError(
                "53100",
                "no space left for pre-aggregations",
                detail=str(error),
                hint="What was there before is untouched. Free space in the folder of the store.",
            ) from error
        raise WarehouseError(
            "58030", "the folder of pre-aggregations cannot be used", detail=str(error)
        ) from error
