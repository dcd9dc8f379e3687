"""A server whose warehouse gives every run of a statement another number."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from tests.support.oracle import OraclePostgres
from tests.support.server import RunningServer, start_server

SETUP = (
    "DROP SCHEMA IF EXISTS {schema} CASCADE",
    "CREATE SCHEMA {schema}",
    "CREATE FUNCTION {schema}.asked() RETURNS bigint LANGUAGE sql VOLATILE AS"
    " $$ SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint $$",
    "CREATE TABLE {schema}.state (version int)",
    "INSERT INTO {schema}.state VALUES (1)",
    "CREATE TABLE {schema}.people (id int, tenant text, born timestamptz, ratio float8, raw bytea)",
    "INSERT INTO {schema}.people VALUES"
    " (1, 'a', '2024-01-01 12:00+00', 0.1, '\\x01'), (2, 'b', '2024-06-01 12:00+00', 0.2, NULL)",
    # Every run of a statement on it has a higher number.
    "CREATE VIEW {schema}.counted AS SELECT 1 AS id, n AS asked"
    " FROM (SELECT {schema}.asked() AS n OFFSET 0) AS t",
    "CREATE VIEW {schema}.slow AS SELECT i AS id, n AS asked FROM (SELECT"
    " {schema}.asked() AS n, pg_sleep(0.3) IS NULL AS slept OFFSET 0) AS t,"
    " generate_series(1, 3) AS i WHERE NOT slept OR slept",
    "CREATE VIEW {schema}.slower AS SELECT 1 AS id, n AS asked FROM (SELECT"
    " {schema}.asked() AS n, pg_sleep(2) IS NULL AS slept OFFSET 0) AS t WHERE NOT slept OR slept",
    "CREATE VIEW {schema}.many AS SELECT i AS id, n AS asked, repeat('x', 100) AS filler FROM"
    " (SELECT {schema}.asked() AS n OFFSET 0) AS t, generate_series(1, 20000) AS i",
    "CREATE VIEW {schema}.failing AS SELECT i AS id, n AS asked, 1 / (i - 15000) AS broken FROM"
    " (SELECT {schema}.asked() AS n OFFSET 0) AS t, generate_series(1, 20000) AS i",
)


def cube(name: str, schema: str, *dimensions: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "sql_table": f"{schema}.{more.pop('table', name)}",
        "dimensions": [
            {"name": "id", "type": "number", "sql": "{CUBE}.id", "primary_key": True},
            *(
                {"name": each, "type": kind, "sql": f"{{CUBE}}.{each}"}
                for each, kind in (item.split(":") for item in dimensions)
            ),
        ],
        "measures": [{"name": "total", "type": "count"}],
        **more,
    }


def cubes(schema: str) -> list[dict[str, Any]]:
    asked = "asked:number"
    keyed = {"sql": f"SELECT version FROM {schema}.state", "every": "0 second"}
    return [
        cube("counted", schema, asked, refresh_key={"immutable": True}),
        cube("brief", schema, asked, table="counted", refresh_key={"every": "1 second"}),
        cube("keyed", schema, asked, table="counted", refresh_key=keyed),
        cube("plain", schema, asked, table="counted"),
        cube("slow", schema, asked, refresh_key={"immutable": True}),
        cube("slower", schema, asked, refresh_key={"immutable": True}),
        cube("many", schema, asked, "filler:string", refresh_key={"immutable": True}),
        cube("failing", schema, asked, "broken:number", refresh_key={"immutable": True}),
        cube(
            "people",
            schema,
            "tenant:string",
            "born:time",
            "ratio:number",
            refresh_key={"immutable": True},
        ),
    ]


def configuration(
    folder: Path, oracle: OraclePostgres, schema: str, **cache: Any
) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    with psycopg.connect(oracle.dsn, autocommit=True) as connection:
        for statement in SETUP:
            connection.execute(statement.format(schema=schema).encode())
    models = folder / "models"
    models.mkdir(exist_ok=True)
    (models / "cubes.yml").write_text(json.dumps({"cubes": cubes(schema)}))
    return {
        "models": str(models),
        "state_directory": str(folder / "state"),
        "auth": {"users": {name: {"password": name} for name in ("demo", "other")}},
        "data_sources": {"default": {"type": "postgres", "dsn": oracle.dsn, "pool_size": 8}},
        "server": {"port": 0},
        "log": {"file": str(folder / "log"), "format": "json"},
        "cache": cache,
    }


@contextmanager
def serving(
    folder: Path, oracle: OraclePostgres, schema: str = "cached", **cache: Any
) -> Iterator[RunningServer]:
    """A server with this section ``cache``."""
    config = configuration(folder, oracle, schema, **cache)
    with running(folder, config) as server:
        yield server


@contextmanager
def running(folder: Path, config: dict[str, Any]) -> Iterator[RunningServer]:
    file = folder / "cubewire.yml"
    file.write_text(json.dumps(config))
    server = start_server(["--config", str(file)])
    try:
        yield server
    finally:
        server.stop()


def connect(server: RunningServer, user: str = "demo", **options: Any) -> psycopg.Connection[Any]:
    return psycopg.connect(
        host=server.host,
        port=server.port,
        dbname="cubewire",
        user=user,
        password=user,
        autocommit=True,
        sslmode="disable",
        **options,
    )


def value(connection: psycopg.Connection[Any], sql: str, *values: Any) -> Any:
    """The only value of a result."""
    row = connection.execute(sql.encode(), values or None).fetchone()
    assert row is not None
    return row[0]


def lines(folder: Path) -> list[dict[str, Any]]:
    """The server's log so far."""
    return [json.loads(line) for line in (folder / "log").read_text().splitlines()]
