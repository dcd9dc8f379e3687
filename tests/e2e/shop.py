"""The shop of the captured statements: on our server, and in a PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb

from tests.e2e.targets import Target, make_database, oracle_target
from tests.support.oracle import OraclePostgres
from tests.support.server import RunningServer, start_server

FIXTURES = Path(__file__).parent.parent / "fixtures"
SHOP = FIXTURES / "shop"
SCHEMA = FIXTURES / "corpus" / "schema.sql"
USER, DATABASE = "bi", "shop"


def start_shop(
    folder: Path, arguments: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> RunningServer:
    """Our server over a DuckDB file with the shop's rows, with the shop's database and login."""
    warehouse = folder / "shop.duckdb"
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute((SHOP / "tables.sql").read_text())
    configuration = {
        "database": DATABASE,
        "models": str(SHOP / "models"),
        "state_directory": str(folder / "state"),
        "server": {"port": 0},
        "auth": {"users": {USER: {"password": USER}}},
        "data_sources": {"default": {"type": "duckdb", "path": str(warehouse), "read_only": True}},
    }
    path = folder / "cubewire.yml"
    path.write_text(json.dumps(configuration))
    return start_server(["--config", str(path), *arguments], environment)


def shop_target(server: RunningServer) -> Target:
    return Target("cubewire", server.host, server.port, USER, USER, DATABASE)


def make_plain_shop(oracle: OraclePostgres) -> Target:
    """The same tables in PostgreSQL, made as when the statements were captured."""
    drop_plain_shop(oracle)
    owner = make_database(oracle, DATABASE)
    with owner.connect() as connection:
        for line in SCHEMA.read_text().splitlines():
            if not line.startswith(("create database", "\\c")):
                connection.execute(line.encode())
        # The only rows that depend on the day.
        connection.execute(
            "UPDATE customers SET created_at = timestamptz '2024-06-01Z' - id * interval '1 day'"
        )
    return oracle_target(oracle, DATABASE, USER)


def drop_plain_shop(oracle: OraclePostgres) -> None:
    """Leave the oracle as it was, role included."""
    with oracle_target(oracle, "postgres").connect() as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)".encode())
        connection.execute(f"DROP ROLE IF EXISTS {USER}".encode())
