"""Tables of a data lake beside the tables of a DuckDB database, each followed as it changes.

Each is a view in an in-memory database that stands behind the real one in the search path. A new
version of a table is a new view; statements that run keep the files that they began with.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Mapping
from typing import Any

import duckdb

from connectors.filesystems import discreet
from connectors.lake_files import LakeFiles
from connectors.lake_tables import LakeSnapshot, LakeTable, ParquetTable, text
from connectors.options import ConnectorOptionsError
from connectors.rollup_store import quoted

logger = logging.getLogger("cubewire.lake")

CATALOG = "cubewire_lake"
VERSIONS = "cubewire_tables"
"""A view with the name and the version of every table, for the ``sql`` of a ``refresh_key``."""

_EXTRAS = {"delta": "delta", "iceberg": "iceberg"}


class Lake:
    """The tables of one data source. One thread at a time.

    Args:
        tables: by name, as the configuration describes them.
        storage: options of the fsspec drivers that read the files.
        metadata: options of the libraries that read the tables' metadata.

    Raises:
        ConnectorOptionsError: a table's description cannot be used, or a library is missing.
    """

    def __init__(
        self,
        tables: Mapping[str, Mapping[str, Any]],
        storage: Mapping[str, Any],
        metadata: Mapping[str, Any],
    ) -> None:
        if len({name.lower() for name in tables}) < len(tables):
            raise ConnectorOptionsError("two tables have one name, but for capitals")
        self._secrets = {"storage": storage, "metadata": metadata}
        self._tables = {
            name: _opened(name, described, storage, metadata) for name, described in tables.items()
        }
        self._known: dict[str, LakeSnapshot] = {}
        self._noted: dict[str, str] = {}
        self._is_left = False

    @property
    def folders(self) -> tuple[str, ...]:
        """All that DuckDB has to be allowed to read."""
        places = (place for table in self._tables.values() for place in table.places)
        return tuple(folder for place in places for folder in place.folders)

    def attach(self, database: duckdb.DuckDBPyConnection) -> None:
        """Make the views, before the database is locked.

        Raises ConnectorOptionsError for a table that cannot be read.
        """
        database.execute(f"ATTACH ':memory:' AS {CATALOG} (READ_WRITE)")
        for table in self._tables.values():
            for place in table.places:
                place.register(database)
        for name in self._tables:
            try:
                self._follow(database, name)
            except ConnectorOptionsError:
                raise
            except Exception as error:  # noqa: BLE001 - of three libraries and their drivers
                raise ConnectorOptionsError(f"table {name!r}: {self._told(error)}") from None
        self._note_versions(database)

    def follow(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Look whether tables have changed. What cannot be read stays as it was, with a warning."""
        for name in self._tables:
            if self._is_left:
                return
            try:
                self._follow(connection, name)
            except Exception as error:  # noqa: BLE001 - of three libraries and their drivers
                logger.warning(
                    "a table of the data lake is served as it was",
                    extra={"fields": {"table": name, "reason": self._told(error)}},
                )
        try:
            self._note_versions(connection)
        except duckdb.Error as error:
            logger.warning(
                "versions of the data lake's tables are not told",
                extra={"fields": {"reason": self._told(error)}},
            )

    def leave(self) -> None:
        """Look at no further table. From any thread."""
        self._is_left = True

    def _follow(self, connection: duckdb.DuckDBPyConnection, name: str) -> None:
        known = self._known.get(name)
        found = self._tables[name].snapshot(connection, known)
        if found is known:
            return
        view = f"{CATALOG}.main.{quoted(name)}"
        connection.execute(f"CREATE OR REPLACE VIEW {view} AS {found.sql}")
        self._known[name] = found

    def _note_versions(self, connection: duckdb.DuckDBPyConnection) -> None:
        versions = {name: known.version for name, known in self._known.items()}
        if versions == self._noted:
            return
        rows = ", ".join(f"({text(name)}, {text(each)})" for name, each in versions.items())
        connection.execute(
            f"CREATE OR REPLACE VIEW {CATALOG}.main.{VERSIONS} AS "
            f"SELECT * FROM (VALUES {rows}) AS v(name, version)"
        )
        self._noted = versions

    def _told(self, error: Exception) -> str:
        return discreet(f"{type(error).__name__}: {error}", self._secrets)


def _opened(
    name: str, described: Mapping[str, Any], storage: Mapping[str, Any], metadata: Mapping[str, Any]
) -> LakeTable:
    if name.lower() == VERSIONS:
        raise ConnectorOptionsError(f"{VERSIONS!r} has the versions of the other tables")
    kind = described["format"]
    url, catalogued = described.get("url") or "", described.get("name") or ""
    try:
        if kind == "iceberg":
            module = importlib.import_module("connectors.lake_iceberg")
            table: LakeTable = module.IcebergTable(url, catalogued, storage, metadata)
        elif kind == "delta":
            module = importlib.import_module("connectors.lake_delta")
            table = module.DeltaTable(LakeFiles(url, storage, is_folder=True), metadata)
        else:
            files = LakeFiles(url, storage, is_folder=False)
            table = ParquetTable(files, described.get("partitions") or {})
    except ModuleNotFoundError as error:
        raise ConnectorOptionsError(
            f"a table in the format {kind!r} needs the Python package {error.name!r}: "
            f"pip install 'cubewire[{_EXTRAS[kind]}]'"
        ) from error
    return table
