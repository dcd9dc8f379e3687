"""The demo's rows in PostgreSQL: its base tables, and its cubes as plain tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import psycopg

from connectors.demo_data import TABLES
from tests.e2e.targets import Target, make_database
from tests.support.oracle import OraclePostgres
from tests.support.server import REPOSITORY

DATABASE = "demo"
WAREHOUSE = REPOSITORY / ".cubewire" / "demo.duckdb"
PLAIN = Path(__file__).parent / "testdata" / "plain.sql"
_TYPES = {"VARCHAR": "text", "DOUBLE": "double precision"}


def load_demo(oracle: OraclePostgres, folder: Path) -> Target:
    """A database with the demo's tables in ``public`` and its cubes in ``plain``; as superuser.

    Args:
        folder: for files that go from one database to the other.
    """
    target = make_database(oracle, DATABASE)
    with duckdb.connect(str(WAREHOUSE), read_only=True) as source, target.connect() as sink:
        for name in TABLES:
            _copy_table(source, sink, name, folder / f"{name}.csv")
        sink.execute("ANALYZE")
        sink.execute(PLAIN.read_text().encode())
    return target


def _copy_table(
    source: duckdb.DuckDBPyConnection,
    sink: psycopg.Connection[tuple[object, ...]],
    name: str,
    path: Path,
) -> None:
    relation = source.table(name)
    columns = ", ".join(
        f"{column} {_TYPES.get(str(kind), str(kind))}"
        for column, kind in zip(relation.columns, relation.types, strict=True)
    )
    sink.execute(f"CREATE TABLE {name} ({columns})".encode())
    source.execute(f"COPY {name} TO '{path}' (HEADER false, NULL '\\N')")
    with (
        path.open("rb") as file,
        sink.cursor().copy(f"COPY {name} FROM STDIN (FORMAT csv, NULL '\\N')".encode()) as copy,
    ):
        while data := file.read(1 << 20):
            copy.write(data)
    path.unlink()


@contextmanager
def plain_session(target: Target) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A connection that sees the cubes as tables."""
    with target.connect() as connection:
        connection.execute("SET search_path = plain, public")
        yield connection
