"""Pre-aggregations as Parquet files in a bucket, shared by any number of hosts.

A bucket has no rename, so its state is a sequence of numbered objects, each the whole manifest: who
changes it creates the next number, and of two who try the same the later one reads again. A table's
file is complete before a manifest names it. Servers fetch the files that the newest manifest names
into a folder of their own, where DuckDB reads them in place: they never change, so each is fetched
once, and statements neither wait for the bucket nor need its credentials.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from connectors.base import Connector
from connectors.bucket import Bucket
from connectors.bucket_lease import lease
from connectors.errors import WarehouseError
from connectors.parquet_files import (
    SUFFIX,
    TEMPORARY,
    Written,
    is_being_written,
    rows_written,
    translated,
)
from connectors.rollup_manifest import Entry, Manifest, decode, encode
from connectors.rollup_store import BuildTakenError, StoredTable, TableBuild
from connectors.threads import finished_in_thread

STATE_SECONDS = 3600.0
"""How long old manifests stay: longer than anybody takes from reading one to creating the next."""

_DIGITS = 20
_FETCHED = ".fetched"
_MOST_TRIES = 50


class BucketRollups:
    """A bucket as a RollupStore.

    Args:
        bucket: where tables and state are.
        folder: of this host, for the files that DuckDB reads; nothing else may be in it.
    """

    def __init__(self, bucket: Bucket, folder: Path) -> None:
        self.bucket = bucket
        self.folder = folder.absolute()
        self._seen: tuple[str, Manifest] | None = None
        self._reading = asyncio.Lock()

    async def start(self) -> None:
        """Make the folder, and see that the bucket can be shared. Raises WarehouseError 0A000."""
        with translated():
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        await asyncio.to_thread(self.bucket.check)

    async def close(self) -> None:
        """Nothing is held open."""

    async def read(self) -> tuple[StoredTable, ...]:
        """The tables that queries may read now, fetched. Raises XX001 where the state is bad."""
        async with self._reading:
            return await finished_in_thread(self._read)

    async def build(
        self, build: TableBuild, source: Connector, seen: StoredTable | None
    ) -> StoredTable:
        """Write a file, put it in the bucket and name it in the next manifest. See RollupStore."""
        digest = hashlib.sha256(build.key.text().encode()).hexdigest()[:32]
        async with lease(self.bucket, digest) as free:
            if not free:
                raise BuildTakenError
            there = await asyncio.to_thread(self._find, build)
            if there is not None and (seen is None or there.table != seen.table):
                return there
            started, clock = time.time(), time.monotonic()
            with translated():
                async with rows_written(self.folder, build, source) as written:
                    return await finished_in_thread(self._publish, build, written, started, clock)

    async def confirm(self, tables: Sequence[StoredTable], at: float) -> None:
        """Note that refresh keys were unchanged."""
        await asyncio.to_thread(self._change, lambda manifest: manifest.confirmed(tables, at))

    async def retire(self, tables: Sequence[StoredTable]) -> None:
        """Take tables out of the state."""
        at = time.time()
        await asyncio.to_thread(self._change, lambda manifest: manifest.retired(tables, at))

    async def collect(self, grace: float) -> int:
        """Remove what was retired, and what killed builds left."""
        return await finished_in_thread(self._collect, time.time() - grace)

    def lead(self) -> AbstractAsyncContextManager[bool]:
        """Hold a lease."""
        return lease(self.bucket, "leader")

    # ------------------------------------------------------------------------- one build

    def _publish(
        self, build: TableBuild, written: Written, started: float, clock: float
    ) -> StoredTable:
        written.finish()
        final = written.final
        stored = written.stored(build, started, time.monotonic() - clock)
        self.bucket.upload(written.path, _data_name(final.name))
        written.path.rename(final)
        entry = Entry(final.name, stored)
        self._change(lambda manifest: manifest.put(entry, time.time()))
        return stored

    # ------------------------------------------------------------------------- the state

    def _find(self, build: TableBuild) -> StoredTable | None:
        try:
            return next((each for each in self._read() if each.key == build.key), None)
        except WarehouseError as error:
            if error.sqlstate != "XX001":
                raise
            return None

    def _newest(self) -> tuple[int, Manifest]:
        """The number and content of the newest manifest. Raises WarehouseError XX001."""
        number = self._newest_number()
        name = _state_name(number)
        if self._seen is not None and self._seen[0] == name:
            return number, self._seen[1]
        if number == 0:
            return 0, Manifest()
        manifest = decode(self.bucket.read(name) or b"", self.folder)
        self._seen = name, manifest
        return number, manifest

    def _newest_number(self) -> int:
        names = [each.name for each in self.bucket.list("state")]
        numbers = [name.removeprefix("state/").removesuffix(".json") for name in names]
        return max((int(each) for each in numbers if each.isdigit()), default=0)

    def _change(self, changed: Callable[[Manifest], Manifest]) -> Manifest:
        """Create the next manifest. A damaged one is passed over, and stays for who looks at it."""
        for _ in range(_MOST_TRIES):
            try:
                number, manifest = self._newest()
            except WarehouseError as error:
                if error.sqlstate != "XX001":
                    raise
                number, manifest = self._newest_number(), Manifest()
            made = changed(manifest)
            if made == manifest:
                return made
            name = _state_name(number + 1)
            if self.bucket.create(name, encode(made)):
                return made
            time.sleep(secrets.randbelow(50) / 1000)
        raise WarehouseError(
            "55P03", "the state of pre-aggregations is changed by too many at once", reached=False
        )

    # ------------------------------------------------------------------------- files of this host

    def _read(self) -> tuple[StoredTable, ...]:
        _, manifest = self._newest()
        with translated():
            tables = [
                entry.stored for entry in manifest.entries if entry.live and self._fetched(entry)
            ]
            self._forget_files({entry.file for entry in manifest.entries})
        return tuple(sorted(tables, key=lambda table: table.key.text()))

    def _fetched(self, entry: Entry) -> bool:
        """Whether a table's file is here, perhaps only now; what the bucket lacks is not there."""
        path = self.folder / entry.file
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_size == entry.stored.bytes:
                return True
        temporary = self.folder / f"{secrets.token_hex(8)}{_FETCHED}"
        try:
            if not self.bucket.download(_data_name(entry.file), temporary):
                return False
            if temporary.stat().st_size != entry.stored.bytes:
                return False
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        return True

    def _forget_files(self, known: set[str]) -> None:
        """Remove files that no manifest names, but for those of builds and fetches that go on."""
        with os.scandir(self.folder) as found:
            names = [each.name for each in found]
        for name in names:
            path = self.folder / name
            if name in known or path.suffix not in (SUFFIX, TEMPORARY, _FETCHED):
                continue
            with contextlib.suppress(FileNotFoundError):
                # Another process of this host may know a newer manifest, or begin to write.
                old = path.stat().st_mtime < time.time() - STATE_SECONDS
                if old and not is_being_written(path):
                    path.unlink()

    # ------------------------------------------------------------------------- garbage

    def _collect(self, before: float) -> int:
        gone: tuple[Entry, ...] = ()

        def without(manifest: Manifest) -> Manifest:
            nonlocal gone
            kept, gone = manifest.without_retired(before)
            return kept

        try:
            number, _ = self._newest()
        except WarehouseError as error:
            if error.sqlstate != "XX001":
                raise
            number = 0
        if number == 0:
            # What is named is not known, so nothing is known to be garbage.
            return 0
        # No manifest may name a file that is not there.
        kept = self._change(without)
        for entry in gone:
            self.bucket.delete(_data_name(entry.file))
            (self.folder / entry.file).unlink(missing_ok=True)
        strays = self._collect_strays({entry.file for entry in kept.entries}, before)
        self._collect_states()
        return len(gone) + strays

    def _collect_strays(self, known: set[str], before: float) -> int:
        """Remove files of builds that were killed before their table was named."""
        removed = 0
        # A build names its table soon after its file is there.
        before = min(before, time.time() - STATE_SECONDS)
        for each in self.bucket.list("data"):
            file = each.name.removeprefix("data/")
            if file not in known and each.modified is not None and each.modified <= before:
                self.bucket.delete(each.name)
                removed += 1
        return removed

    def _collect_states(self) -> None:
        before, newest = time.time() - STATE_SECONDS, _state_name(self._newest_number())
        for each in self.bucket.list("state"):
            if each.name < newest and each.modified is not None and each.modified < before:
                self.bucket.delete(each.name)


def _state_name(number: int) -> str:
    return f"state/{number:0{_DIGITS}}.json"


def _data_name(file: str) -> str:
    return f"data/{file}"
