"""Our server over an SQLite file: measures, dimensions, policies beside plain SQL in PostgreSQL."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from collections.abc import Iterator

import psycopg
import pytest

from tests.support.oracle import OraclePostgres
from tests.support.tables import fresh_database, serve

COLUMNS = {
    "id": ("INTEGER PRIMARY KEY", "bigint"),
    "customer": ("TEXT COLLATE NOCASE", "text"),
    "amount": ("INTEGER", "bigint"),
    "price": ("REAL", "double precision"),
    "placed": ("DATE", "date"),
    "made": ("DATETIME", "timestamp"),
    "paid": ("BOOLEAN", "boolean"),
}
MODEL = """
cubes:
  - name: orders
    sql_table: orders
    dimensions:
      - {name: id, sql: id, type: number, primary_key: true}
      - {name: customer, sql: customer, type: string}
      - {name: amount, sql: amount, type: number}
      - {name: placed, sql: placed, type: time}
      - {name: made, sql: made, type: time}
      - {name: paid, sql: paid, type: boolean}
      - {name: half, sql: "CAST(amount AS REAL) / 2", type: number, data_type: float8}
      - {name: label, sql: "customer || '!'", type: string}
    measures:
      - {name: n, type: count}
      - {name: total, sql: amount, type: sum}
      - {name: revenue, sql: price, type: sum}
      - {name: customers, sql: customer, type: count_distinct}
      - {name: paid_total, sql: amount, type: sum, filters: [{sql: "{paid}"}]}
      - {name: average, sql: amount, type: avg}
      - {name: paid_n, type: count, filters: [{sql: "{paid}"}]}
      - name: paid_named
        sql: "{customer}"
        type: count
        filters: [{sql: "{paid}"}, {sql: "amount > 100"}]
      - {name: paid_customers, sql: "{customer}", type: count_distinct, filters: [{sql: "{paid}"}]}
      - {name: paid_dates, sql: "{placed}", type: count_distinct, filters: [{sql: "{paid}"}]}
      - {name: expensive, sql: "CASE WHEN amount > 500 THEN 'x' END", type: count}
      - {name: last, sql: made, type: max}
  - name: open_orders
    sql_table: orders
    dimensions:
      - {name: id, sql: id, type: number, primary_key: true}
      - {name: customer, sql: customer, type: string}
    measures:
      - {name: n, type: count}
    access_policy:
      - group: "*"
        row_level: {filters: [{member: customer, operator: equals, values: [anna]}]}
"""

# Ours, and in plain SQL.
QUERIES = [
    ("SELECT MEASURE(n) FROM orders", "SELECT count(*) FROM orders"),
    (
        "SELECT customer, MEASURE(n), MEASURE(total), MEASURE(customers), MEASURE(paid_total),"
        " MEASURE(last) FROM orders GROUP BY 1 ORDER BY 1",
        "SELECT customer, count(*), sum(amount), count(DISTINCT customer),"
        " sum(amount) FILTER (WHERE paid), max(made) FROM orders GROUP BY 1 ORDER BY 1",
    ),
    (
        "SELECT date_trunc('month', made) AS m, sum(total), count(*) FROM orders"
        " WHERE placed >= '2024-03-01' AND customer LIKE 'A%' GROUP BY 1 ORDER BY 1 LIMIT 3",
        "SELECT date_trunc('month', made), sum(amount), count(*) FROM orders"
        " WHERE placed >= '2024-03-01' AND customer LIKE 'A%' GROUP BY 1 ORDER BY 1 LIMIT 3",
    ),
    (
        "SELECT * FROM (SELECT id, customer, amount, placed, made, paid, half, label FROM orders)"
        " AS t WHERE id < 20 ORDER BY id",
        "SELECT id, customer, amount, placed, made, paid, amount / 2.0::float8, customer || '!'"
        " FROM orders WHERE id < 20 ORDER BY id",
    ),
    (
        "SELECT paid, MEASURE(average) FROM orders GROUP BY 1 ORDER BY 1",
        "SELECT paid, avg(amount) FROM orders GROUP BY 1 ORDER BY 1",
    ),
    (
        "SELECT customer, MEASURE(paid_n), MEASURE(paid_named), MEASURE(paid_customers),"
        " MEASURE(paid_dates), MEASURE(expensive) FROM orders GROUP BY 1 ORDER BY 1",
        "SELECT customer, count(*) FILTER (WHERE paid), count(customer) FILTER"
        " (WHERE paid AND amount > 100), count(DISTINCT customer) FILTER (WHERE paid),"
        " count(DISTINCT placed) FILTER (WHERE paid), count(*) FILTER (WHERE amount > 500)"
        " FROM orders GROUP BY 1 ORDER BY 1",
    ),
    (
        "SELECT md5(customer), MEASURE(paid_n), MEASURE(paid_dates), stddev(amount) FROM orders"
        " GROUP BY 1 ORDER BY 1",
        "SELECT md5(customer), count(*) FILTER (WHERE paid), count(DISTINCT placed)"
        " FILTER (WHERE paid), stddev(amount) FROM orders GROUP BY 1 ORDER BY 1",
    ),
    (
        "SELECT md5(customer), count(*) FROM orders GROUP BY 1 ORDER BY 1",
        "SELECT md5(customer), count(*) FROM orders GROUP BY 1 ORDER BY 1",
    ),
    (
        "SELECT md5(customer), MEASURE(n), MEASURE(customers), stddev(amount) FROM orders"
        " GROUP BY 1 ORDER BY 1",
        "SELECT md5(customer), count(*), count(DISTINCT customer), stddev(amount) FROM orders"
        " GROUP BY 1 ORDER BY 1",
    ),
    (
        "SELECT a.paid, MEASURE(a.n), stddev(b.id) FROM orders AS a JOIN orders AS b"
        " ON a.customer = b.customer AND b.id < 50 GROUP BY 1 ORDER BY 1",
        "SELECT a.paid, count(DISTINCT a.id), stddev(b.id) FROM orders AS a JOIN orders AS b"
        " ON a.customer = b.customer AND b.id < 50 GROUP BY 1 ORDER BY 1",
    ),
    (
        "SELECT round(MEASURE(revenue)::numeric, 2) FROM orders",
        "SELECT round(sum(price)::numeric, 2) FROM orders",
    ),
    (
        "SELECT count(*) FROM orders AS a JOIN orders AS b ON a.id = b.id + 1 AND a.paid = b.paid",
        "SELECT count(*) FROM orders AS a JOIN orders AS b ON a.id = b.id + 1 AND a.paid = b.paid",
    ),
    (
        "SELECT customer, MEASURE(n) FROM open_orders GROUP BY 1",
        "SELECT customer, count(*) FROM orders WHERE customer = 'anna' GROUP BY 1",
    ),
    (
        "SELECT customer, amount, rank() OVER (PARTITION BY customer ORDER BY amount, id)"
        " FROM orders WHERE id < 40 ORDER BY id",
        "SELECT customer, amount, rank() OVER (PARTITION BY customer ORDER BY amount, id)"
        " FROM orders WHERE id < 40 ORDER BY id",
    ),
]


def _rows() -> list[tuple[object, ...]]:
    chance = random.Random(1)

    def day() -> str:
        return f"2024-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}"

    return [
        (
            number,
            chance.choice(["Anna", "anna", "Bob", "Évelyne", None]),
            chance.randrange(1000),
            chance.random() * 10,
            day(),
            day() + chance.choice([" 12:30:15", "T01:02:03.25"]),
            chance.random() < 0.5,
        )
        for number in range(1, 501)
    ]


@pytest.fixture(scope="module")
def clients(
    oracle: OraclePostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[psycopg.Connection, psycopg.Connection]]:
    folder = tmp_path_factory.mktemp("sqlite")
    (folder / "models").mkdir()
    (folder / "models" / "orders.yml").write_text(MODEL)
    file = folder / "orders.sqlite"
    marks = ", ".join("?" * len(COLUMNS))
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.execute(
            f"CREATE TABLE orders ({', '.join(f'{name} {c[0]}' for name, c in COLUMNS.items())})"
        )
        database.executemany(f"INSERT INTO orders VALUES ({marks})", _rows())
        database.commit()
    plain = psycopg.connect(fresh_database(oracle, "sqlite_orders"), autocommit=True)
    listed = ", ".join(f"{name} {c[1]}" for name, c in COLUMNS.items())
    plain.execute(f"CREATE TABLE orders ({listed})".encode())
    with plain.cursor() as cursor:
        cursor.executemany(f"INSERT INTO orders VALUES ({marks.replace('?', '%s')})", _rows())
    source: dict[str, object] = {"type": "sqlite", "path": str(file)}
    sources = {"default": source}
    server, dsn = serve(folder / "server", folder / "models", sources, "shop")
    try:
        with psycopg.connect(dsn, autocommit=True) as ours:
            yield ours, plain
    finally:
        plain.close()
        server.stop()


@pytest.mark.parametrize(("ours", "plain"), QUERIES)
def test_query(
    clients: tuple[psycopg.Connection, psycopg.Connection], ours: str, plain: str
) -> None:
    mine, theirs = clients[0].execute(ours.encode()), clients[1].execute(plain.encode())
    assert mine.fetchall() == theirs.fetchall()
    assert mine.description is not None
    assert theirs.description is not None
    assert [c.type_code for c in mine.description] == [c.type_code for c in theirs.description]


def test_parameters(clients: tuple[psycopg.Connection, psycopg.Connection]) -> None:
    row = clients[0].execute(
        "SELECT MEASURE(n) FROM orders WHERE customer = %s AND amount > %s AND placed < %s",
        ["anna", 10, "2024-06-01"],
    )
    expected = clients[1].execute(
        "SELECT count(*) FROM orders WHERE customer = %s AND amount > %s AND placed < %s",
        ["anna", 10, "2024-06-01"],
    )
    assert row.fetchall() == expected.fetchall()
