"""Iceberg tables: metadata and manifests are read by pyiceberg, the data files by DuckDB.

Columns are found in the files by their numbers, so that renamed ones are read. Files with deletes
beside them are refused: without these, deleted rows would be counted.
Source: the Iceberg Table Spec, "Column Projection", "Row-level Deletes".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import duckdb
from pyiceberg.catalog import load_catalog
from pyiceberg.table import StaticTable, Table
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

    def snapshot(
        self, connection: duckdb.DuckDBPyConnection, known: LakeSnapshot | None
    ) -> LakeSnapshot:
        """See LakeTable."""
        table = self._load()
        if not self.places:
            self.places = (LakeFiles(table.location(), self._storage),)
            self.places[0].register(connection)
        current = table.current_snapshot()
        version = f"{current.snapshot_id if current else 0}.{table.schema().schema_id}"
        if known is not None and known.version == version:
            return known
        columns = self._columns(table)
        paths = self._paths(table)
        if not paths:
            return LakeSnapshot(version, empty(list(columns.values())))
        self._check_instants(connection, paths)
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

    def _paths(self, table: Table) -> list[str]:
        paths = []
        for task in table.scan().plan_files():
            if task.delete_files:
                raise refuse(
                    self._called,
                    "rows of this Iceberg table are deleted beside its files",
                    "compact it (rewrite_data_files), or write it with copy-on-write",
                )
            if task.file.file_format.name != "PARQUET":
                raise refuse(self._called, "its files are not all Parquet")
            paths.append(str(task.file.file_path).removeprefix("file://"))
        return sorted(paths)

    def _check_instants(self, connection: duckdb.DuckDBPyConnection, paths: list[str]) -> None:
        """Refuse INT96, which migrated tables may have and DuckDB takes for local times."""
        found = connection.execute(
            "SELECT count(*) FILTER (WHERE type = 'INT96') FROM parquet_schema(?)", [paths]
        ).fetchone()
        if found != (0,):
            raise refuse(self._called, "its files have timestamps in the old form of Hive (INT96)")
