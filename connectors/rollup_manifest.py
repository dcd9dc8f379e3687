"""The state of a folder of Parquet tables: one JSON file that is only ever replaced whole.

The file carries a checksum of its content. What does not agree with it is refused: a table that is
named by damaged state could be the wrong one.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from connectors.errors import WarehouseError
from connectors.rollup_store import PartKey, StoredTable

MANIFEST = "manifest.json"
_LOCK = "manifest.lock"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """A table of the folder, by the name of its file."""

    file: str
    stored: StoredTable
    retired_at: float | None = None

    @property
    def live(self) -> bool:
        """Whether queries may read it."""
        return self.retired_at is None


@dataclass(frozen=True, slots=True)
class Manifest:
    """All tables of a folder, those that wait for their removal too."""

    entries: tuple[Entry, ...] = ()

    def put(self, entry: Entry, at: float) -> Manifest:
        """With a table in the place of all that it overlaps."""
        key = entry.stored.key
        kept = (
            replace(each, retired_at=at) if each.live and each.stored.key.overlaps(key) else each
            for each in self.entries
        )
        return Manifest((*kept, entry))

    def confirmed(self, tables: Iterable[StoredTable], at: float) -> Manifest:
        """With the moment at which refresh keys of tables were found unchanged."""
        names = {table.table for table in tables}
        return Manifest(
            tuple(
                replace(each, stored=replace(each.stored, checked_at=at))
                if each.stored.table in names
                else each
                for each in self.entries
            )
        )

    def retired(self, tables: Iterable[StoredTable], at: float) -> Manifest:
        """With tables that wait for their removal."""
        names = {table.table for table in tables}
        return Manifest(
            tuple(
                replace(each, retired_at=at) if each.stored.table in names else each
                for each in self.entries
            )
        )

    def without_retired(self, before: float) -> tuple[Manifest, tuple[Entry, ...]]:
        """Without the tables that have waited since then, and these."""
        gone = tuple(
            each
            for each in self.entries
            if each.retired_at is not None and each.retired_at <= before
        )
        return Manifest(tuple(each for each in self.entries if each not in gone)), gone


def encode(manifest: Manifest) -> bytes:
    """The file's bytes."""
    content = {"format": _FORMAT, "entries": [_to_json(entry) for entry in manifest.entries]}
    text = json.dumps(content, sort_keys=True)
    checksum = hashlib.sha256(text.encode()).hexdigest()
    return json.dumps({"checksum": checksum, "content": text}).encode() + b"\n"


def decode(data: bytes, folder: Path) -> Manifest:
    """The manifest in a file. Raises WarehouseError XX001 where it is damaged."""
    try:
        return _decoded(data, folder)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WarehouseError(
            "XX001",
            f"the state of the pre-aggregations in {folder} is damaged",
            detail=str(error),
            hint="The next build sets it aside and starts anew.",
            reached=False,
        ) from None


def _decoded(data: bytes, folder: Path) -> Manifest:
    outer = json.loads(data)
    text = outer["content"]
    if hashlib.sha256(text.encode()).hexdigest() != outer["checksum"]:
        raise ValueError("its checksum is wrong")
    content = json.loads(text)
    if content["format"] != _FORMAT:
        raise ValueError(f"its format is {content['format']}")
    return Manifest(tuple(_of_json(each, folder) for each in content["entries"]))


def load(folder: Path) -> Manifest:
    """The folder's manifest, empty where it has none. Raises WarehouseError XX001."""
    try:
        data = (folder / MANIFEST).read_bytes()
    except FileNotFoundError:
        return Manifest()
    return decode(data, folder)


def save(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest; what is on the disk afterwards is the old one or the new one."""
    temporary = folder / f"{MANIFEST}.new"
    with temporary.open("wb") as file:
        file.write(encode(manifest))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / MANIFEST)
    sync_folder(folder)


@contextlib.contextmanager
def changing(folder: Path) -> Iterator[Manifest]:
    """The manifest, for the caller alone to read and ``save``; a damaged one is set aside."""
    with locked(folder / _LOCK, wait=True):
        try:
            manifest = load(folder)
        except WarehouseError:
            (folder / MANIFEST).replace(folder / f"{MANIFEST}.damaged")
            manifest = Manifest()
        yield manifest


@contextlib.contextmanager
def locked(path: Path, *, wait: bool) -> Iterator[bool]:
    """Hold a lock on a file; False where somebody has it and waiting was not asked for.

    The system lets go of it when the process ends, however it does. The file stays: removing it
    would let two processes each lock a file of the same name.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder survive a crash of the machine."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _to_json(entry: Entry) -> dict[str, object]:
    fields = asdict(entry.stored)
    del fields["table"]
    key = fields.pop("key")
    bounds = [bound.isoformat() if bound else None for bound in entry.stored.key.bounds]
    return {
        **fields,
        "file": entry.file,
        "rollup": key["rollup"],
        "version": key["version"],
        "start": bounds[0],
        "end": bounds[1],
        "retired_at": entry.retired_at,
    }


def _of_json(fields: dict[str, object], folder: Path) -> Entry:
    values = dict(fields)
    file, retired_at = str(values.pop("file")), values.pop("retired_at")
    if "/" in file or file.startswith("."):
        raise ValueError(f"{file!r} is no file of the folder")
    start, end = (_moment(values.pop(name)) for name in ("start", "end"))
    key = PartKey(str(values.pop("rollup")), str(values.pop("version")), start, end)
    stored = StoredTable(key=key, table=table_name(folder / file), **values)  # type: ignore[arg-type]
    return Entry(file, stored, None if retired_at is None else float(str(retired_at)))


def _moment(value: object) -> datetime | None:
    return None if value is None else datetime.fromisoformat(str(value))


def table_name(path: Path) -> str:
    """A Parquet file as DuckDB names it in FROM: its path as a quoted identifier."""
    return '"' + str(path).replace('"', '""') + '"'
