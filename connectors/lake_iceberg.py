"""Iceberg tables: metadata and manifests are read by pyiceberg, the data files by DuckDB.

Columns are found in the files by their numbers, so that renamed ones are read. Files with deletes
beside them are refused: without these, deleted rows would be counted.
Source: the Iceberg Table Spec, "Column Projection", "Row-level Deletes".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import duckdb
from pyiceberg.catalog import load_catalog
from pyiceberg.manifest import DataFile
from pyiceberg.table import StaticTable, Table
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
    IcebergType,
    IntegerType,
    LongType,
    StringType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

from connectors.lake_files import LakeFiles
from connectors.lake_tables import (
    Column,
    LakeSnapshot,
    by_schema,
    empty,
    literal_path,
    refuse,
    storage_options,
)
from connectors.rollup_store import quoted

_TYPES: dict[type[IcebergType], str] = {
    BinaryType: "BLOB",
    BooleanType: "BOOLEAN",
    DateType: "DATE",
    DoubleType: "DOUBLE",
    FixedType: "BLOB",
    FloatType: "FLOAT",
    IntegerType: "INTEGER",
    LongType: "BIGINT",
    StringType: "VARCHAR",
    TimeType: "TIME",
    TimestampType: "TIMESTAMP",
    TimestamptzType: "TIMESTAMP WITH TIME ZONE",
    UUIDType: "UUID",
}


class IcebergTable:
    """A table of a catalog, or as one file of metadata describes it.

    Args:
        url: of its metadata, or of its folder where that has a version hint; else empty.
        name: in the catalog, such as ``sales.orders``; else empty.
        storage: options of the fsspec driver that reads the data files.
        metadata: pyiceberg's properties: of the catalog, and of its own file access.
    """

    def __init__(
        self, url: str, name: str, storage: Mapping[str, Any], metadata: Mapping[str, Any]
    ) -> None:
        self.places: tuple[LakeFiles, ...] = ()
        self._called = name or url
        self._url = url
        self._name = name
        self._storage = storage
        self._properties = storage_options(metadata)
        self._checked: frozenset[str] = frozenset()

    def snapshot(
        self, connection: duckdb.DuckDBPyConnection, known: LakeSnapshot | None
    ) -> LakeSnapshot:
        """See LakeTable."""
        table = self._load()
        if not self.places:
            self.places = (LakeFiles(table.location(), self._storage, is_folder=True),)
            self.places[0].register(connection)
        current = table.current_snapshot()
        version = f"{current.snapshot_id if current else 0}.{table.schema().schema_id}"
        if known is not None and known.version == version:
            return known
        columns = self._columns(table)
        files = self._files(table)
        paths = sorted(files)
        if not paths:
            return LakeSnapshot(version, empty(list(columns.values())))
        self._check(connection, table, files)
        names = ", ".join(quoted(name) for name, _ in columns.values())
        return LakeSnapshot(version, f"SELECT {names} FROM {by_schema(paths, columns)}")

    def _load(self) -> Table:
        if self._name:
            return load_catalog("cubewire", **self._properties).load_table(self._name)
        return StaticTable.from_metadata(self._url, self._properties)

    def _columns(self, table: Table) -> dict[str | int, Column]:
        columns: dict[str | int, Column] = {}
        for field in table.schema().fields:
            kind = field.field_type
            if isinstance(kind, DecimalType):
                columns[field.field_id] = (field.name, f"DECIMAL({kind.precision}, {kind.scale})")
            elif type(kind) in _TYPES:
                columns[field.field_id] = (field.name, _TYPES[type(kind)])
            # Nested columns are left out: no dimension or measure can be of such a type.
            if field.initial_default is not None:
                raise refuse(self._called, f"column {field.name!r} has a default for older files")
        return columns

    def _files(self, table: Table) -> dict[str, DataFile]:
        files: dict[str, DataFile] = {}
        for task in table.scan().plan_files():
            if task.delete_files:
                raise refuse(
                    self._called,
                    "rows of this Iceberg table are deleted beside its files",
                    "compact it (rewrite_data_files), or write it with copy-on-write",
                )
            if task.file.file_format.name != "PARQUET":
                raise refuse(self._called, "its files are not all Parquet")
            path = str(task.file.file_path).removeprefix("file://")
            if path in files:
                raise refuse(self._called, f"it names a file twice: {path}")
            files[path] = task.file
        return files

    def _check(
        self, connection: duckdb.DuckDBPyConnection, table: Table, files: Mapping[str, DataFile]
    ) -> None:
        """Refuse files that mean something else than they say. Each is looked at once.

        Migrated tables have such: timestamps in INT96, which DuckDB takes for local times; columns
        without numbers, or not at all where they are partitions, which would be read as NULLs.
        """
        new = {path: file for path, file in files.items() if path not in self._checked}
        rewrite = "rewrite its files (rewrite_data_files)"
        old, unnumbered = _counted(
            connection, new, "type = 'INT96'", "type IS NOT NULL AND field_id IS NULL"
        )
        if old:
            what = "its files have timestamps in the old form of Hive (INT96)"
            raise refuse(self._called, what, rewrite)
        if unnumbered:
            raise refuse(self._called, "its files have columns without numbers", rewrite)
        for field, paths in _partitioned(table, new).items():
            if _counted(connection, paths, f"field_id = {field}") != (len(paths),):
                raise refuse(self._called, "its files lack the column of a partition", rewrite)
        self._checked = frozenset(files)


def _counted(
    connection: duckdb.DuckDBPyConnection, paths: Collection[str], *conditions: str
) -> tuple[int, ...]:
    """In how many files there is a column of each kind."""
    if not paths:
        return (0,) * len(conditions)
    counts = (f"count(DISTINCT file_name) FILTER (WHERE {each})" for each in conditions)
    sql = f"SELECT {', '.join(counts)} FROM parquet_schema(?)"
    found = connection.execute(sql, [[literal_path(path) for path in paths]]).fetchall()
    return tuple(found[0])


def _partitioned(table: Table, files: Mapping[str, DataFile]) -> dict[int, list[str]]:
    """By the number of a column, the files whose partition says what its value is."""
    specs = table.specs()
    found: dict[int, list[str]] = {}
    for path, file in files.items():
        for place, field in enumerate(specs[file.spec_id].fields):
            if isinstance(field.transform, IdentityTransform) and file.partition[place] is not None:
                found.setdefault(field.source_id, []).append(path)
    return found
