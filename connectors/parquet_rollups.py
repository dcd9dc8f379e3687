"""Pre-aggregations as Parquet files in a folder, which DuckDB reads in place.

A DuckDB database file has one writer and then no readers, and the warehouse's own is open in every
worker. Files that never change once they have their name suit many readers instead: a table is
written beside the others, renamed, and named in the manifest, which is replaced whole. Rows come
from any Connector as Arrow batches, so the tables need not be of a DuckDB warehouse.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from connectors.base import Connector
from connectors.errors import WarehouseError
from connectors.parquet_files import (
    SUFFIX,
    TEMPORARY,
    Written,
    is_being_written,
    rows_written,
    translated,
)
from connectors.rollup_manifest import (
    MANIFEST,
    Entry,
    Manifest,
    changing,
    load,
    locked,
    save,
    sync_folder,
)
from connectors.rollup_store import (
    BuildTakenError,
    StoredTable,
    TableBuild,
)
from connectors.threads import finished_in_thread

_LEADER = "leader"
_GLOB = frozenset("*?[")


class ParquetRollups:
    """A folder as a RollupStore. Raises ValueError for a path that DuckDB reads as a pattern."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        if not _GLOB.isdisjoint(str(self.folder)):
            raise ValueError(f"{self.folder} has one of *?[ in its name, which stand for patterns")
        self._seen: tuple[object, tuple[StoredTable, ...]] | None = None

    async def start(self) -> None:
        """Make the folder."""
        with translated():
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
        with translated(), locked(self.folder / "locks" / digest, wait=False) as free:
            if not free:
                raise BuildTakenError
            there = await asyncio.to_thread(self._find, build)
            if there is not None and (seen is None or there.table != seen.table):
                return there
            return await self._build(build, source)

    async def confirm(self, tables: Sequence[StoredTable], at: float) -> None:
        """Note that refresh keys were unchanged."""
        await asyncio.to_thread(self._change, lambda manifest: manifest.confirmed(tables, at))

    async def retire(self, tables: Sequence[StoredTable]) -> None:
        """Take tables out of the state."""
        at = time.time()
        await asyncio.to_thread(self._change, lambda manifest: manifest.retired(tables, at))

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
        async with rows_written(self.folder, build, source) as written:
            return await finished_in_thread(self._publish, build, written, started, clock)

    def _publish(
        self, build: TableBuild, written: Written, started: float, clock: float
    ) -> StoredTable:
        written.finish()
        final = written.final
        stored = written.stored(build, started, time.monotonic() - clock)
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
        with translated():
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
                    each.name: each.stat().st_size for each in found if each.name.endswith(SUFFIX)
                }
        except FileNotFoundError:
            return {}

    def _change(self, changed: Callable[[Manifest], Manifest]) -> None:
        with translated(), changing(self.folder) as manifest:
            made = changed(manifest)
            if made != manifest:
                save(self.folder, made)

    def _collect(self, before: float) -> int:
        with translated(), changing(self.folder) as manifest:
            kept, gone = manifest.without_retired(before)
            for entry in gone:
                (self.folder / entry.file).unlink(missing_ok=True)
            if gone:
                save(self.folder, kept)
            return len(gone) + self._collect_strays({entry.file for entry in kept.entries}, before)

    def _collect_strays(self, known: set[str], before: float) -> int:
        """Remove files of builds that were killed before their table was named."""
        removed = 0
        for path in self.folder.iterdir():
            if path.suffix not in (SUFFIX, TEMPORARY) or path.name in known:
                continue
            if path.stat().st_mtime <= before and not is_being_written(path):
                path.unlink(missing_ok=True)
                removed += 1
        return removed
