"""A server over a small model with a pre-aggregation, as its operator starts it."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import psycopg

from tests.rollups_store.support import PARQUET
from tests.support.oracle import OraclePostgres
from tests.support.server import RunningServer, start_server

HOURS = 24 * 31
MODEL = """
cubes:
  - name: events
    sql_table: served_events
    default_time_dimension: moment
    dimensions:
      - {name: id, type: number, sql: "{CUBE}.id", primary_key: true}
      - {name: kind, type: string, sql: "{CUBE}.kind"}
      - {name: moment, type: time, data_type: timestamptz, sql: "{CUBE}.moment"}
    measures:
      - {name: count, type: count}
      - {name: total, type: sum, sql: "{CUBE}.n"}
      - {name: most, type: max, sql: "{CUBE}.n"}
    pre_aggregations:
      - name: by_day
        measures: [count, total]
        dimensions: [kind]
        time_dimension: moment
        granularity: day
        partition_granularity: week
        refresh_key: {every: EVERY}
        indexes: [{name: kinds, columns: [kind]}]
"""
EVENTS = (
    "CREATE TABLE served_events AS SELECT CAST(EXTRACT(EPOCH FROM moment) AS BIGINT) AS id, moment,"
    " CASE WHEN EXTRACT(HOUR FROM moment) < 12 THEN 'am' ELSE 'pm' END AS kind,"
    " CAST(2 AS BIGINT) AS n FROM generate_series(CAST('2013-01-01 00:00:00+00' AS TIMESTAMPTZ),"
    " CAST('2013-01-31 23:00:00+00' AS TIMESTAMPTZ), INTERVAL '1 hour') AS t(moment)"
)
TOTALS = "SELECT kind, MEASURE(count), MEASURE(total) FROM events GROUP BY 1 ORDER BY 1"


@dataclass(frozen=True, slots=True)
class Setup:
    """A warehouse with events, and the configuration of a server over it.

    Attributes:
        dsn: of the PostgreSQL warehouse, a database of its own.
    """

    kind: str
    folder: Path
    dsn: str

    @property
    def config(self) -> Path:
        return self.folder / "cubewire.yml"

    def drop(self) -> None:
        """Take the stored tables away by hand."""
        if self.kind == PARQUET:
            for file in (self.folder / "state" / "rollups" / "default").glob("*.parquet"):
                file.unlink()
            return
        with psycopg.connect(self.dsn, autocommit=True) as owner:
            owner.execute("DROP SCHEMA cubewire_rollups CASCADE")


def configure(
    kind: str, folder: Path, oracle: OraclePostgres, *, every: str = "1 second", **rollups: object
) -> Setup:
    """Make the warehouse, the model and the configuration."""
    (folder / "models").mkdir(parents=True)
    (folder / "models" / "events.yml").write_text(MODEL.replace("EVERY", every))
    dsn = ""
    if kind == PARQUET:
        file = folder / "events.duckdb"
        with duckdb.connect(file) as database:
            database.execute("SET TimeZone = 'UTC'")
            database.execute(EVENTS)
        source: dict[str, object] = {"type": "duckdb", "path": str(file)}
    else:
        name = f"served_{secrets.token_hex(4)}"
        with psycopg.connect(oracle.dsn, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
        dsn = oracle.dsn.removesuffix("/postgres") + f"/{name}"
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute(EVENTS)
        source = {"type": "postgres", "dsn": dsn}
    config = {
        "models": "models",
        "state_directory": "state",
        "auth": {"users": {"tester": {"password": "secret"}}},
        "data_sources": {"default": source},
        "log": {"format": "json", "sql": True},
        "rollups": {"poll": 0.1, "interval": 0.2, **rollups},
    }
    setup = Setup(kind, folder, dsn)
    setup.config.write_text(json.dumps(config))
    return setup


@contextlib.contextmanager
def served(setup: Setup, *arguments: str) -> Iterator[RunningServer]:
    """The server, running."""
    server = start_server(["--config", str(setup.config), "--port", "0", *arguments])
    try:
        yield server
    finally:
        server.stop()


def connect(server: RunningServer, **options: object) -> psycopg.Connection[tuple[object, ...]]:
    """A client."""
    dsn = f"postgresql://tester:secret@{server.host}:{server.port}/cubewire"
    return psycopg.connect(dsn, autocommit=True, **options)  # type: ignore[arg-type]


def explain(client: psycopg.Connection[tuple[object, ...]], sql: str = TOTALS) -> dict[str, object]:
    """What EXPLAIN says of a statement."""
    row = client.execute(f"EXPLAIN (FORMAT JSON) {sql}").fetchone()  # type: ignore[arg-type]
    assert row is not None
    document = row[0]
    assert isinstance(document, list)
    return dict(document[0])
