"""Delta Lake tables: the log is read by delta-rs, the files by DuckDB.

What a reader has to know beyond plain files (deletion vectors, mapped columns) is refused: without
it, deleted rows would be counted.
Source: the Delta Transaction Log Protocol, "Reader Requirements".
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

import deltalake
import duckdb
import pyarrow as pa

from connectors.lake_files import LakeFiles
from connectors.lake_tables import (
    LakeSnapshot,
    by_schema,
    empty,
    literal_path,
    refuse,
    storage_options,
    text,
)
from connectors.rollup_store import quoted

_TYPES = {
    "string": "VARCHAR",
    "long": "BIGINT",
    "integer": "INTEGER",
    "short": "SMALLINT",
    "byte": "TINYINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "boolean": "BOOLEAN",
    "binary": "BLOB",
    "date": "DATE",
    "timestamp": "TIMESTAMP WITH TIME ZONE",
    "timestamp_ntz": "TIMESTAMP",
}
INSTANT = _TYPES["timestamp"]
_READ_AS_FILES = frozenset(("timestampNtz", "v2Checkpoint", "vacuumProtocolCheck", "typeWidening"))
"""Features of tables whose files mean what they say."""
_MOST_PARTITIONS = 1000


class DeltaTable:
    """A table by its folder, always its newest version."""

    def __init__(self, files: LakeFiles, metadata: Mapping[str, Any]) -> None:
        self.places = (files,)
        self._url = files.url
        self._storage = storage_options(metadata) or None
        self._table: deltalake.DeltaTable | None = None
        self._local: dict[str, frozenset[str]] = {}

    def snapshot(
        self, connection: duckdb.DuckDBPyConnection, known: LakeSnapshot | None
    ) -> LakeSnapshot:
        """See LakeTable."""
        if self._table is None:
            self._table = deltalake.DeltaTable(self._url, storage_options=self._storage)
        else:
            self._table.update_incremental()
        table = self._table
        version = str(table.version())
        if known is not None and known.version == version:
            return known
        self._check(table)
        columns = self._columns(table)
        branches = self._branches(connection, table, columns)
        names = ", ".join(quoted(name) for name in columns)
        union = "\nUNION ALL ".join(branches) or empty(list(columns.items()))
        return LakeSnapshot(version, f"SELECT {names} FROM ({union})")

    def _check(self, table: deltalake.DeltaTable) -> None:
        protocol = table.protocol()
        unknown = sorted(set(protocol.reader_features or ()) - _READ_AS_FILES)
        settings = table.metadata().configuration
        if settings.get("delta.columnMapping.mode", "none") != "none":
            unknown.append("columnMapping")
        if unknown or protocol.min_reader_version not in {1, 2, 3}:
            raise refuse(
                self._url,
                f"this Delta table wants readers that know {', '.join(unknown) or 'more'}",
                "rewrite it without (for deletion vectors: REORG TABLE ... APPLY (PURGE))",
            )

    def _columns(self, table: deltalake.DeltaTable) -> dict[str, str]:
        columns = {}
        for field in json.loads(table.schema().to_json())["fields"]:
            kind = field["type"]
            if isinstance(kind, str) and kind.startswith("decimal"):
                columns[field["name"]] = kind.upper()
            elif isinstance(kind, str) and kind in _TYPES:
                columns[field["name"]] = _TYPES[kind]
            # Nested columns are left out: no dimension or measure can be of such a type.
        return columns

    def _branches(
        self,
        connection: duckdb.DuckDBPyConnection,
        table: deltalake.DeltaTable,
        columns: Mapping[str, str],
    ) -> list[str]:
        """A SELECT for all files with the same values of the partition columns."""
        partitions = [name for name in table.metadata().partition_columns if name in columns]
        stored = {name: kind for name, kind in columns.items() if name not in partitions}
        files = {
            self._absolute(action["path"]): action.get("partition") or {}
            for action in pa.table(table.get_add_actions(flatten=False)).to_pylist()
        }
        instants = {name for name, kind in stored.items() if kind == INSTANT}
        local = self._local_instants(connection, list(files)) if instants else {}
        groups: dict[tuple[tuple[str, ...], frozenset[str]], list[str]] = {}
        for path, values in files.items():
            literals = tuple(_literal(self._url, values.get(name)) for name in partitions)
            old = local.get(path, frozenset()) & instants
            groups.setdefault((literals, old), []).append(path)
        if len(groups) > _MOST_PARTITIONS:
            raise refuse(self._url, f"its files lie in more than {_MOST_PARTITIONS} partitions")
        return [
            _branch(paths, stored, old, dict(zip(partitions, literals, strict=True)), columns)
            for (literals, old), paths in groups.items()
        ]

    def _absolute(self, path: str) -> str:
        path = unquote(path)
        return path if "://" in path or path.startswith("/") else f"{self._url}/{path}"

    def _local_instants(
        self, connection: duckdb.DuckDBPyConnection, paths: Sequence[str]
    ) -> Mapping[str, frozenset[str]]:
        """By file, the columns that are INT96, as Spark writes instants.

        DuckDB takes those for local times, and would read them in the session's time zone.
        """
        new = [path for path in paths if path not in self._local]
        if new:
            found = connection.execute(
                "SELECT file_name, list(name) FROM parquet_schema(?) "
                "WHERE type = 'INT96' GROUP BY file_name",
                [[literal_path(path) for path in new]],
            ).fetchall()
            # Not before they have been looked at: that may fail, and is tried again.
            self._local.update(dict.fromkeys(new, frozenset()))
            self._local.update({path: frozenset(names) for path, names in found})
        self._local = {path: self._local[path] for path in paths}
        return self._local


def _branch(
    paths: Sequence[str],
    stored: Mapping[str, str],
    local: frozenset[str],
    partition: Mapping[str, str],
    columns: Mapping[str, str],
) -> str:
    kinds = {name: "TIMESTAMP" if name in local else kind for name, kind in stored.items()}
    fields = []
    for name, kind in columns.items():
        value = quoted(name)
        if name in partition:
            value = f"CAST({partition[name]} AS {kind})"
        elif name in local:
            value = f"timezone('UTC', {value})"
        fields.append(f"{value} AS {quoted(name)}")
    source = by_schema(paths, {name: (name, kind) for name, kind in kinds.items()})
    return f"SELECT {', '.join(fields)} FROM {source}"


def _literal(table: str, value: object) -> str:
    """A partition's value, as delta-rs has read it from the log."""
    if value is None:
        return "NULL"
    if isinstance(value, datetime.datetime):
        kind = "TIMESTAMP" if value.tzinfo is None else "TIMESTAMPTZ"
        return f"{kind} {text(value.isoformat(sep=' '))}"
    if isinstance(value, bool | int | float | Decimal | str | datetime.date):
        return text(str(value))
    raise refuse(
        table, f"a partition's value is of a type that is not read: {type(value).__name__}"
    )
