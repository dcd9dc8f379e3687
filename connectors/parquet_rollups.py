"""Pre-aggregations as Parquet files in a folder, which DuckDB reads in place.

A DuckDB database file has one writer and then no readers, and the warehouse's own is open in every
worker. Files that never change once they have their name suit many readers instead: a table is
written beside the others, renamed, and named in the manifest, which is replaced whole. Rows come
from any Connector as Arrow batches, so the tables need not be of a DuckDB warehouse.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import hashlib
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from connectors.base import Connector
from connectors.errors import WarehouseError
from connectors.rollup_manifest import (
    MANIFEST,
    Entry,
    Manifest,
    changing,
    load,
    locked,
    save,
    sync_folder,
    table_name,
)
from connectors.rollup_parquet_types import StoredField, convert, stored_fields
from connectors.rollup_store import (
    BuildTakenError,
    StoredTable,
    TableBuild,
    new_table_name,
    quoted,
)
from connectors.threads import finished_in_thread

ROW_GROUP_ROWS = 122_880
"""DuckDB's own choice: what one of its threads reads at a time."""

_SUFFIX = ".parquet"
_TEMPORARY = ".building"
_LEADER = "leader"
_FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
_GLOB = frozenset("*?[")


@dataclass(slots=True)
class _Written:
    """A file that is being written."""

    path: Path
    file: BinaryIO
    writer: pq.ParquetWriter
    rows: int = 0


class ParquetRollups:
    """A folder as a RollupStore. Raises ValueError for a path that DuckDB reads as a pattern."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        if not _GLOB.isdisjoint(str(self.folder)):
            raise ValueError(f"{self.folder} has one of *?[ in its name, which stand for patterns")
        self._seen: tuple[object, tuple[StoredTable, ...]] | None = None

    async def start(self) -> None:
        """Make the folder."""
        with _translated():
            (self.folder / "locks").mkdir(mode=0o700, parents=True, exist_ok=True)

    async def close(self) -> None:
        """Nothing is held open."""

    async def read(self) -> tuple[StoredTable, ...]:
        """The tables that queries may read now. Raises XX001 where the state is damaged."""
        return await asyncio.to_thread(self._read)

    async def build(
        self, build: TableBuild, source: Connector, seen: StoredTable | None
    ) -> StoredTable:
        """Write a file and name it in the manifest. See RollupStore."""
        digest = hashlib.sha256(build.key.text().encode()).hexdigest()[:32]
        with _translated(), locked(self.folder / "locks" / digest, wait=False) as free:
            if not free:
                raise BuildTakenError
            there = await asyncio.to_thread(self._find, build)
            if there is not None and (seen is None or there.table != seen.table):
                return there
            return await self._build(build, source)

    async def confirm(self, tables: Sequence[StoredTable], at: float) -> None:
        """Note that refresh keys were unchanged."""
        names = {table.table for table in tables}

        def confirmed(entry: Entry) -> Entry:
            if entry.stored.table not in names:
                return entry
            return replace(entry, stored=replace(entry.stored, checked_at=at))

        await asyncio.to_thread(self._change, confirmed)

    async def retire(self, tables: Sequence[StoredTable]) -> None:
        """Take tables out of the state."""
        names, at = {table.table for table in tables}, time.time()

        def retired(entry: Entry) -> Entry:
            return replace(entry, retired_at=at) if entry.stored.table in names else entry

        if names:
            await asyncio.to_thread(self._change, retired)

    async def collect(self, grace: float) -> int:
        """Unlink what was retired. A file that is open stays readable until it is closed."""
        return await asyncio.to_thread(self._collect, time.time() - grace)

    @asynccontextmanager
    async def lead(self) -> AsyncIterator[bool]:
        """Hold a lock on a file of the folder."""
        with locked(self.folder / "locks" / _LEADER, wait=False) as leads:
            yield leads

    # ------------------------------------------------------------------------- one build

    async def _build(self, build: TableBuild, source: Connector) -> StoredTable:
        started, clock = time.time(), time.monotonic()
        stream = await source.execute(_sorted(build), build.parameters)
        try:
            fields = stored_fields(stream.schema, build.columns)
            with self._new_file(build, fields) as written:
                waiting: list[pa.RecordBatch] = []
                async for batch in stream:
                    waiting.append(batch)
                    if sum(each.num_rows for each in waiting) >= ROW_GROUP_ROWS:
                        await finished_in_thread(_write, written, waiting, fields)
                        waiting = []
                await finished_in_thread(_write, written, waiting, fields)
                return await finished_in_thread(self._publish, build, written, started, clock)
        finally:
            await stream.close()

    @contextmanager
    def _new_file(self, build: TableBuild, fields: Sequence[StoredField]) -> Iterator[_Written]:
        """A file under a name that no query reads; gone afterwards unless it has been renamed."""
        path = self.folder / f"{new_table_name(build.key)}{_TEMPORARY}"
        with path.open("xb") as file:
            # Who collects what killed builds left knows by this lock that we live.
            fcntl.flock(file, fcntl.LOCK_EX)
            writer = pq.ParquetWriter(
                file, pa.schema([each.field for each in fields]), compression="zstd"
            )
            try:
                yield _Written(path, file, writer)
            finally:
                path.unlink(missing_ok=True)
                with contextlib.suppress(OSError):  # it was of a build that failed
                    writer.close()

    def _publish(
        self, build: TableBuild, written: _Written, started: float, clock: float
    ) -> StoredTable:
        written.writer.close()
        written.file.flush()
        os.fsync(written.file.fileno())
        final = written.path.with_suffix(_SUFFIX)
        stored = StoredTable(
            build.key,
            table_name(final),
            written.rows,
            written.file.tell(),
            started,
            started,
            time.monotonic() - clock,
            build.refresh_key,
        )
        with changing(self.folder) as manifest:
            written.path.rename(final)
            sync_folder(self.folder)
            save(self.folder, manifest.put(Entry(final.name, stored), time.time()))
        return stored

    # ------------------------------------------------------------------------- the state

    def _find(self, build: TableBuild) -> StoredTable | None:
        try:
            return next((each for each in self._read() if each.key == build.key), None)
        except WarehouseError:
            return None

    def _read(self) -> tuple[StoredTable, ...]:
        with _translated():
            mark = self._mark()
            if self._seen is not None and self._seen[0] == mark:
                return self._seen[1]
            sizes = self._sizes()
            tables = [
                entry.stored
                for entry in load(self.folder).entries
                # What was removed or cut short by hand is there no longer, whatever the state says.
                if entry.live and sizes.get(entry.file) == entry.stored.bytes
            ]
        tables.sort(key=lambda table: table.key.text())
        self._seen = mark, tuple(tables)
        return self._seen[1]

    def _mark(self) -> object:
        """What changes whenever the state or the files' names do."""
        marks: list[tuple[int, ...]] = []
        for path in (self.folder / MANIFEST, self.folder):
            with contextlib.suppress(FileNotFoundError):
                found = path.stat()
                marks.append((found.st_ino, found.st_mtime_ns, found.st_size))
        return marks

    def _sizes(self) -> dict[str, int]:
        try:
            with os.scandir(self.folder) as found:
                return {
                    each.name: each.stat().st_size for each in found if each.name.endswith(_SUFFIX)
                }
        except FileNotFoundError:
            return {}

    def _change(self, changed: Callable[[Entry], Entry]) -> None:
        with _translated(), changing(self.folder) as manifest:
            save(self.folder, Manifest(tuple(changed(entry) for entry in manifest.entries)))

    def _collect(self, before: float) -> int:
        with _translated(), changing(self.folder) as manifest:
            gone = [
                entry
                for entry in manifest.entries
                if entry.retired_at is not None and entry.retired_at <= before
            ]
            for entry in gone:
                (self.folder / entry.file).unlink(missing_ok=True)
            kept = tuple(entry for entry in manifest.entries if entry not in gone)
            if gone:
                save(self.folder, Manifest(kept))
            return len(gone) + self._collect_strays({entry.file for entry in kept}, before)

    def _collect_strays(self, known: set[str], before: float) -> int:
        """Remove files of builds that were killed before their table was named."""
        removed = 0
        for path in self.folder.iterdir():
            if path.suffix not in (_SUFFIX, _TEMPORARY) or path.name in known:
                continue
            if path.stat().st_mtime <= before and not _is_being_written(path):
                path.unlink(missing_ok=True)
                removed += 1
        return removed


def _sorted(build: TableBuild) -> str:
    """The SELECT, in the order of the first index: the ranges of row groups then do its work."""
    if not build.indexes:
        return build.sql
    columns = ", ".join(quoted(column) for column in build.indexes[0].columns)
    return f"SELECT * FROM ({build.sql}) AS built ORDER BY {columns}"


def _write(
    written: _Written, batches: Sequence[pa.RecordBatch], fields: Sequence[StoredField]
) -> None:
    stored = [convert(batch, fields) for batch in batches]
    if stored:
        table = pa.Table.from_batches(stored)
        written.writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
        written.rows += table.num_rows


def _is_being_written(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except BlockingIOError:
        return True
    return False


@contextmanager
def _translated() -> Iterator[None]:
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
