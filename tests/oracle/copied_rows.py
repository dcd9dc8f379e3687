"""The rows of the oracle, for warehouses that are filled table by table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.oracle import join_tables
from tests.oracle.tables import MODEL

Connection = psycopg.Connection[tuple[object, ...]]
Fill = Callable[[str, Mapping[str, str], Sequence[Sequence[str | None]]], None]
"""Makes a table of a name, its columns' types as the warehouse spells them, and values as texts."""


def write_models(folder: Path, *, few_digits: bool = False) -> None:
    """The models of the oracle; the SQL in them is the warehouse's own.

    Args:
        folder: where they are written.
        few_digits: quotients of decimals have fewer digits than a double there.
    """
    for model in (MODEL, join_tables.MODEL):
        text = model.read_text().replace("AS double precision)", "AS double)")
        if few_digits:
            text = re.sub(r"CAST\((?:1\.0 \*|(?=\{\w+\} /))", "CAST(1e0 * ", text)
        (folder / model.name).write_text(text)


def copy_rows(dsn: str, spelled: Callable[[str, int], str], fill: Fill) -> None:
    """Copy the tables of PostgreSQL's schema ``public`` that cubes read.

    Args:
        dsn: of the PostgreSQL.
        spelled: a type's name and modifier in PostgreSQL, as the warehouse spells it.
        fill: makes a table.
    """
    with connected(dsn) as connection:
        for name in tables(connection):
            found = columns(connection, name)
            types = {column: spelled(kind, size) for column, (kind, size) in found.items()}
            listed = ", ".join(f'"{column}"::text' for column in types)
            rows = connection.execute(f'SELECT {listed} FROM "{name}"'.encode()).fetchall()
            texts = [[None if value is None else str(value) for value in row] for row in rows]
            fill(name, types, texts)


@contextmanager
def connected(dsn: str) -> Iterator[Connection]:
    """A connection that writes moments in UTC."""
    with psycopg.connect(dsn) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def tables(connection: Connection) -> list[str]:
    """The tables that cubes read."""
    names = connection.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        r" AND tablename NOT LIKE '%\_rows' ORDER BY 1"
    ).fetchall()
    return [str(name) for (name,) in names]


def columns(connection: Connection, table: str) -> dict[str, tuple[str, int]]:
    """The name and modifier of each column's type."""
    found = connection.execute(
        "SELECT attname, typname, atttypmod FROM pg_attribute JOIN pg_type t ON t.oid = atttypid"
        " WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum",
        [table],
    ).fetchall()
    return {str(column): (str(kind), int(str(size))) for column, kind, size in found}
