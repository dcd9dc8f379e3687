"""Tables that go from DuckDB to PostgreSQL, and our server over either."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import duckdb
import psycopg

from tests.support.oracle import OraclePostgres
from tests.support.queries import Connection, Trial
from tests.support.server import RunningServer, start_server

USER = "analyst"
_TYPES = {"VARCHAR": "text", "DOUBLE": "double precision"}


def copy_table(
    source: duckdb.DuckDBPyConnection,
    sink: psycopg.Connection[tuple[object, ...]],
    table: str,
    folder: Path,
    target: str | None = None,
) -> None:
    """Make the same table in PostgreSQL, by way of a file.

    Args:
        source: the database that has the table.
        sink: where it is made, as a superuser.
        table: its name.
        folder: for the file.
        target: its name there, where that is another.
    """
    target = target or table
    path = folder / f"{table}.csv"
    relation = source.table(table)
    columns = ", ".join(
        f"{column} {_TYPES.get(str(kind), str(kind))}"
        for column, kind in zip(relation.columns, relation.types, strict=True)
    )
    sink.execute(f"CREATE UNLOGGED TABLE {target} ({columns})".encode())
    source.execute(f"COPY {table} TO '{path}' (HEADER false, NULL '\\N')")
    with (
        path.open("rb") as file,
        sink.cursor().copy(f"COPY {target} FROM STDIN (FORMAT csv, NULL '\\N')".encode()) as copy,
    ):
        while data := file.read(1 << 20):
            copy.write(data)
    path.unlink()


def fresh_database(oracle: OraclePostgres, name: str) -> str:
    """An empty database; its DSN."""
    with psycopg.connect(oracle.dsn, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
        connection.execute(f"CREATE DATABASE {name}".encode())
    return oracle.dsn.rpartition("/")[0] + f"/{name}"


def serve(
    folder: Path,
    models: Path,
    sources: Mapping[str, dict[str, object]],
    database: str,
    options: Sequence[str] = (),
    module: str = "",
) -> tuple[RunningServer, str]:
    """Our server over warehouses, and the DSN of an analyst."""
    folder.mkdir()
    configuration = {
        "database": database,
        "models": str(models),
        "state_directory": str(folder / "state"),
        "server": {"port": 0},
        "auth": {"users": {USER: {"password": USER}}},
        "data_sources": dict(sources),
    }
    path = folder / "cubewire.yml"
    path.write_text(json.dumps(configuration))
    server = start_server(["--config", str(path), *options], module=module)
    parts = urlsplit(server.dsn)
    return server, f"postgresql://{USER}:{USER}@{parts.hostname}:{parts.port}/{database}"


def _connect(dsn: str) -> Connection:
    return psycopg.connect(dsn, autocommit=True)


@contextmanager
def open_trial(
    folder: Path, models: Path, warehouse: Path, dsn: str, schema: str
) -> Iterator[Trial]:
    """Our server over a DuckDB file and over a database that has the plain tables in ``public``.

    Args:
        folder: for the servers' state.
        models: the folder of the model.
        warehouse: the DuckDB file.
        dsn: the PostgreSQL database.
        schema: where in it the warehouse's tables are.
    """
    database = dsn.rpartition("/")[2]
    sources: dict[str, dict[str, object]] = {
        "duckdb": {"type": "duckdb", "path": str(warehouse), "read_only": True},
        "postgres": {"type": "postgres", "dsn": dsn, "search_path": schema},
    }
    servers: list[RunningServer] = []
    places: dict[str, str] = {}
    try:
        for name, source in sources.items():
            server, places[name] = serve(folder / name, models, {"default": source}, database)
            servers.append(server)

        trial = Trial(
            partial(_connect, dsn), {name: partial(_connect, places[name]) for name in places}
        )
        yield trial
        trial.close()
    finally:
        for server in servers:
            server.stop()
