"""The table of orders, the same in DuckDB and in PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import duckdb
import psycopg

ROWS = 1_000_000
BIG = 10
"""``orders_big`` is the orders this many times over."""
SLOW_DUCKDB, SLOW_POSTGRES = 600, 12
"""``orders_slow`` likewise, so often that adding them up takes about two seconds of both cores."""
FEW = 5
KEPT = 4
"""Rows of ``orders_kept``, whose results are cached."""

# Everything follows from the number of the row, so that the table is the same wherever it is made.
_SELECT = """
SELECT
    i AS id,
    (['new', 'paid', 'sent', 'returned', 'cancelled'])[1 + (i * 7919 % 11) % 5] AS status,
    (['US', 'DE', 'FR', 'IT', 'GB', 'ES', 'NL', 'SE', 'PL', 'JP'])[1 + (i * 31 + i // 97) % 10]
        AS country,
    ((i * 7907) % 99991 / 100)::DECIMAL(12, 2) AS amount,
    TIMESTAMP '2024-01-01' + to_seconds((i * 104729) % 63072000) AS created_at,
    (1 + i % 9)::INTEGER AS qty,
    CASE WHEN i % 13 = 0 THEN NULL ELSE (i % 41) / 8.0 END::DOUBLE AS rating,
    'customer ' || lpad((i * 613 % 20011)::VARCHAR, 5, '0') AS customer,
    i % 3 <> 0 AS paid
FROM range(1, ? + 1) AS made(i)
"""

_COLUMNS = """
    id bigint, status text, country text, amount numeric(12,2), created_at timestamp,
    qty integer, rating double precision, customer text, paid boolean
"""


def make_duckdb(path: Path, rows: int = ROWS) -> Path:
    """Write the database file."""
    with duckdb.connect(str(path)) as database:
        database.execute(f"CREATE TABLE orders ({_COLUMNS})")
        database.execute(f"INSERT INTO orders {_SELECT}", [rows])
        for name, times in (("orders_big", BIG), ("orders_slow", SLOW_DUCKDB)):
            database.execute(
                f"CREATE VIEW {name} AS SELECT o.* FROM range({times}) CROSS JOIN orders AS o"
            )
        for name, few in (("orders_few", FEW), ("orders_kept", KEPT)):
            database.execute(f"CREATE TABLE {name} AS FROM orders WHERE id <= {few}")
    return path


def make_postgres(dsn: str, source: Path) -> None:
    """Copy the tables of the DuckDB file into PostgreSQL."""
    with (
        duckdb.connect(str(source), read_only=True) as database,
        psycopg.connect(dsn, autocommit=True) as target,
    ):
        target.execute(f"CREATE TABLE orders ({_COLUMNS})")
        batches = database.sql("SELECT * FROM orders ORDER BY id").to_arrow_reader(65536)
        with target.cursor().copy("COPY orders FROM STDIN") as copy:
            for batch in batches:
                copy.write(_copy_text(batch))
        for name, times in (("orders_big", BIG), ("orders_slow", SLOW_POSTGRES)):
            target.execute(
                f"CREATE VIEW {name} AS SELECT o.* FROM generate_series(1, {times}) "
                "CROSS JOIN orders AS o"
            )
        for name, few in (("orders_few", FEW), ("orders_kept", KEPT)):
            target.execute(f"CREATE TABLE {name} AS SELECT * FROM orders WHERE id <= {few}")
        target.execute("VACUUM (FREEZE, ANALYZE)")


def _copy_text(batch: object) -> bytes:
    """A batch as COPY text: no value here needs escaping."""
    columns = [
        ["\\N" if value is None else str(value) for value in column.to_pylist()]
        for column in batch.columns  # type: ignore[attr-defined]
    ]
    return "".join("\t".join(row) + "\n" for row in zip(*columns, strict=True)).encode()
