"""A sample of the demo's rows: its tables in both warehouses, and its cubes as plain tables."""

from __future__ import annotations

from pathlib import Path

import duckdb
import psycopg

from connectors.demo_data import TABLES
from proxy.demo import ensure_demo
from tests.support.oracle import OraclePostgres
from tests.support.server import REPOSITORY
from tests.support.tables import copy_table, fresh_database

DATABASE = "demo"
SCHEMA = "base"
PLAIN = Path(__file__).parent / "testdata" / "plain.sql"
SAMPLED = "flight_id % 8 = 1 OR flight_id <= 1000 OR flight_id > 336700"
"""The flights that are taken: each plain scan costs PostgreSQL less so."""


def load_demo(oracle: OraclePostgres, folder: Path) -> tuple[Path, str]:
    """The DuckDB file, and a PostgreSQL database: tables in ``base``, cubes in ``public``.

    Args:
        oracle: where the database is made.
        folder: for the file, and for what goes from one database to the other.
    """
    demo = ensure_demo(REPOSITORY / ".cubewire", lambda *_: None)
    dsn = fresh_database(oracle, DATABASE)
    warehouse = folder / "sample.duckdb"
    with duckdb.connect(str(warehouse)) as source, psycopg.connect(dsn, autocommit=True) as sink:
        sink.execute(f"CREATE SCHEMA {SCHEMA}".encode())
        source.execute(f"ATTACH '{demo}' AS demo (READ_ONLY)")
        for table in TABLES:
            chosen = f" WHERE {SAMPLED}" if table == "flights" else ""
            source.execute(f"CREATE TABLE {table} AS FROM demo.{table}{chosen}")
            copy_table(source, sink, table, folder, f"{SCHEMA}.{table}")
        source.execute("DETACH demo")
        sink.execute("ANALYZE")
        sink.execute(PLAIN.read_text().encode())
    return warehouse, dsn
