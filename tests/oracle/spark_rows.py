"""The same rows in Spark, and the models with Spark's SQL in their measures."""

from __future__ import annotations

from pathlib import Path

import psycopg

from tests.oracle import join_tables
from tests.oracle.tables import MODEL
from tests.support.spark import fill

_TYPES = {
    "bool": "BOOLEAN", "int2": "SMALLINT", "int4": "INT", "int8": "BIGINT", "float8": "DOUBLE",
    "numeric": "DECIMAL({}, {})", "text": "STRING", "date": "DATE", "timestamp": "TIMESTAMP_NTZ",
    "timestamptz": "TIMESTAMP",
}  # fmt: skip


def write_models(folder: Path) -> None:
    """The models of the oracle, in a folder; the SQL in them is the warehouse's own."""
    for model in (MODEL, join_tables.MODEL):
        text = model.read_text().replace("AS double precision)", "AS double)")
        (folder / model.name).write_text(text)


def load(dsn: str, url: str, database: str) -> dict[str, object]:
    """Copy the tables of PostgreSQL's schema ``public`` that cubes read; the data source."""
    with psycopg.connect(dsn) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        names = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
            r" AND tablename NOT LIKE '%\_rows' ORDER BY 1"
        ).fetchall()
        for (name,) in names:
            _copy(connection, name, url, database)
    return {"type": "spark", "url": url, "database": database}


def _copy(
    connection: psycopg.Connection[tuple[object, ...]], name: str, url: str, database: str
) -> None:
    columns = connection.execute(
        "SELECT attname, typname, atttypmod FROM pg_attribute JOIN pg_type t ON t.oid = atttypid"
        " WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum",
        [name],
    ).fetchall()
    types = {str(column): _type(str(kind), int(str(size))) for column, kind, size in columns}
    listed = ", ".join(f'"{column}"::text' for column in types)
    rows = connection.execute(f'SELECT {listed} FROM "{name}"'.encode()).fetchall()
    texts = [[None if value is None else str(value) for value in row] for row in rows]
    fill(url, f"{database}.{name}", types, texts)


def _type(kind: str, size: int) -> str:
    return _TYPES[kind].format((size - 4) >> 16, (size - 4) & 0x7FF)
