"""Times ways to count rows once that a join repeats: ``python -m tests.fan_out.cost [dsn]``.

On DuckDB, or on the PostgreSQL of ``dsn``, in seconds: over the joined rows as they are (which is
wrong), over marked rows (``deduplicate``), and over groups of rows (``row_groups``).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import duckdb
import psycopg

from tests.support.duck import memory_database

ROWS = 1_000_000
KEYS = {"nothing": None, "10 values": "o.kind", "1,000 values": "l.product", "100,000 values": "k"}

TABLES = """
CREATE TEMP TABLE o AS
SELECT i AS id, i % 10 AS kind, i % 100000 AS k, (i % 9973)::numeric(12, 2) AS amount
FROM generate_series(1, {orders}) t(i);
CREATE TEMP TABLE l AS
SELECT 1 + i % {orders} AS order_id, i % 1000 AS product, (i % 777)::numeric(12, 2) AS price
FROM generate_series(1, {rows}) t(i)
"""

WAYS = {
    "as they are": "SELECT {g} sum(amount), count(*), sum(price) FROM ({rows}) x {by}",
    "marked": """
        SELECT {g} sum(amount) FILTER (WHERE once), count(*), sum(price) FROM (
            SELECT *, row_number() OVER (PARTITION BY {g} id) = 1 AND id IS NOT NULL AS once
            FROM ({rows}) x) y {by}""",
    "grouped": """
        SELECT {g} sum(amount) FILTER (WHERE id IS NOT NULL), sum(n), sum(price) FROM (
            SELECT {g} id, any_value(amount) AS amount, count(*) AS n, sum(price) AS price
            FROM ({rows}) x GROUP BY {g} id) y {by}""",
}


def _best(run: Callable[[str], object], sql: str) -> float:
    found = []
    for _ in range(3):
        start = time.perf_counter()
        run(sql)
        found.append(time.perf_counter() - start)
    return min(found)


def _measure(run: Callable[[str], object], repeated: int) -> None:
    for name, key in KEYS.items():
        select = "" if key is None else f"{key} AS g,"
        rows = f"SELECT {select} o.id, amount, price FROM o JOIN l ON l.order_id = o.id"
        g, by = ("", "") if key is None else ("g,", "GROUP BY g")
        times = {way: _best(run, sql.format(g=g, by=by, rows=rows)) for way, sql in WAYS.items()}
        shown = ", ".join(f"{way} {seconds:.2f}" for way, seconds in times.items())
        print(f"rows repeated {repeated} times, grouped by {name}: {shown}", flush=True)


def main() -> None:
    """Print a line for each number of repetitions and of groups."""
    for repeated in (1, 3, 10):
        tables = TABLES.format(orders=ROWS // repeated, rows=ROWS)
        if len(sys.argv) > 1:
            with psycopg.connect(sys.argv[1]) as postgres:
                _time_on_postgres(postgres, tables, repeated)
        else:
            _time_on_duckdb(memory_database(), tables, repeated)


def _time_on_postgres(
    connection: psycopg.Connection[tuple[object, ...]], tables: str, repeated: int
) -> None:
    for statement in (*tables.split(";"), "ANALYZE o", "ANALYZE l"):
        connection.execute(statement.encode())
    _measure(lambda sql: connection.execute(sql.encode()).fetchall(), repeated)


def _time_on_duckdb(connection: duckdb.DuckDBPyConnection, tables: str, repeated: int) -> None:
    connection.execute(tables)
    _measure(lambda sql: connection.execute(sql).fetchall(), repeated)


if __name__ == "__main__":
    main()
