"""DuckDB databases as the connector opens them, for tests that run statements on them directly."""

from __future__ import annotations

import duckdb

from connectors.duckdb_functions import add_functions


def memory_database() -> duckdb.DuckDBPyConnection:
    """An empty database in memory with the functions that compiled statements call."""
    database = duckdb.connect(":memory:")
    add_functions(database)
    return database
