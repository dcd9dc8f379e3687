"""Two servers that should be alike for a client: ours, and a PostgreSQL that mirrors it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

import psycopg
from psycopg import sql

from tests.support.oracle import OraclePostgres
from tests.support.server import RunningServer

MIRROR = "cubewire"
MIRROR_USER = "demo"
MIRRORED_FLIGHTS = 2000
"""Flights in the mirror: those with this id and lower. Statements run on both stay below it."""

_RELATIONS = """
SELECT c.relname, c.relkind::text, obj_description(c.oid, 'pg_class')
FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')
ORDER BY relkind, relname = 'flights', relname = 'weather', relname"""
_COLUMNS = """
SELECT attname, format_type(atttypid, atttypmod), attnotnull, col_description(attrelid, attnum)
FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped
ORDER BY attnum"""
_KEYS = """
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)
FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY contype = 'f', conname"""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a client logs in."""

    name: str
    host: str
    port: int
    user: str
    password: str
    database: str

    @property
    def dsn(self) -> str:
        login = f"{self.user}:{quote(self.password)}" if self.password else self.user
        return f"postgresql://{login}@{self.host}:{self.port}/{self.database}"

    @property
    def arguments(self) -> dict[str, str | int]:
        """As most drivers name them."""
        found: dict[str, str | int] = {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "database": self.database,
        }
        if self.password:
            found["password"] = self.password
        return found

    @property
    def environment(self) -> dict[str, str]:
        """What libpq reads, beside this process's environment."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("PG")},
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGPASSWORD": self.password,
            "PGDATABASE": self.database,
            "PGCONNECT_TIMEOUT": "10",
        }

    def connect(self, *, autocommit: bool = True) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self.dsn, autocommit=autocommit)


def server_target(server: RunningServer) -> Target:
    dsn = urlsplit(server.dsn)
    return Target(
        "cubewire",
        server.host,
        server.port,
        dsn.username or "",
        dsn.password or "",
        dsn.path.strip("/"),
    )


def oracle_target(oracle: OraclePostgres, database: str, user: str = "oracle") -> Target:
    return Target("postgres", oracle.host, oracle.port, user, "", database)


def make_database(oracle: OraclePostgres, name: str, role: str | None = None) -> Target:
    """An empty database, and a login that owns nothing; as superuser."""
    with oracle_target(oracle, "postgres").connect() as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone()
        if role is not None and known is None:
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
    return oracle_target(oracle, name)


def make_mirror(ours: Target, oracle: OraclePostgres) -> Target:
    """A PostgreSQL database with the tables, keys, comments and some rows that our server shows."""
    owner = make_database(oracle, MIRROR, MIRROR_USER)
    with ours.connect() as source, owner.connect() as target:
        target.execute("SET session_replication_role = replica")
        relations = source.execute(_RELATIONS).fetchall()
        for name, kind, comment in relations:
            _make_relation(source, target, str(name), str(kind), comment)
        for table, name, definition in source.execute(_KEYS).fetchall():
            target.execute(f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}'.encode())
        for name, kind, _ in relations:
            if kind == "r" and name != "weather":
                _copy_rows(source, target, str(name))
        target.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC")
        target.execute("ANALYZE")
    return oracle_target(oracle, MIRROR, MIRROR_USER)


def _make_relation(
    source: psycopg.Connection[tuple[object, ...]],
    target: psycopg.Connection[tuple[object, ...]],
    name: str,
    kind: str,
    comment: object,
) -> None:
    columns = source.execute(_COLUMNS, [name]).fetchall()
    if kind == "v":
        chosen = ", ".join(f'NULL::{form} AS "{column}"' for column, form, _, _ in columns)
        target.execute(f"CREATE VIEW {name} AS SELECT {chosen} WHERE false".encode())
    else:
        chosen = ", ".join(
            f'"{column}" {form} STORAGE PLAIN{" NOT NULL" if strict else ""}'
            for column, form, strict, _ in columns
        )
        target.execute(f"CREATE TABLE {name} ({chosen})".encode())
    word = sql.SQL("VIEW" if kind == "v" else "TABLE")
    if comment:
        statement = sql.SQL("COMMENT ON {} {} IS {}")
        target.execute(statement.format(word, sql.Identifier(name), sql.Literal(str(comment))))
    for column, _, _, text in columns:
        if text:
            where = sql.Identifier(name, str(column))
            statement = sql.SQL("COMMENT ON COLUMN {} IS {}")
            target.execute(statement.format(where, sql.Literal(str(text))))


def _copy_rows(
    source: psycopg.Connection[tuple[object, ...]],
    target: psycopg.Connection[tuple[object, ...]],
    name: str,
) -> None:
    where = f" WHERE flight_id <= {MIRRORED_FLIGHTS}" if name == "flights" else ""
    reading = f"COPY (SELECT * FROM {name}{where}) TO STDOUT".encode()
    with (
        source.cursor().copy(reading) as rows,
        target.cursor().copy(f"COPY {name} FROM STDIN".encode()) as sink,
    ):
        for data in rows:
            sink.write(data)


@dataclass(frozen=True, slots=True)
class Pair:
    """Ours, and PostgreSQL with the same tables."""

    ours: Target
    postgres: Target

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter((self.ours, self.postgres))


def run_client(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    given: str | None = None,
    seconds: float = 60.0,
) -> tuple[int, str, str]:
    """Run a program. Returns its exit code and what it wrote."""
    done = subprocess.run(
        list(command),
        input=given,
        capture_output=True,
        text=True,
        timeout=seconds,
        env=dict(environment),
        check=False,
    )
    return done.returncode, done.stdout, done.stderr
