"""The rows: the same in DuckDB and in PostgreSQL, and there also each cube as a plain table."""

from __future__ import annotations

import random
from pathlib import Path

MODEL = Path(__file__).with_name("model.yml")

TABLES = """
CREATE TABLE places (id int, city text, region text, rank smallint, is_open boolean, opened date);
CREATE TABLE raw_items (
    id int, home_id int, away_id int, grp smallint, qty int, big bigint, price numeric(12, 3),
    ratio double precision, name text, tag text, flag boolean, day date, made_at timestamp,
    seen_at timestamptz, deleted boolean
);
"""

PLAIN_TABLES = """
CREATE TABLE places_rows AS SELECT * FROM places;
CREATE TABLE items_rows AS
SELECT i.id, home_id, grp, qty, big, price, ratio, name, tag, flag, day, made_at, seen_at,
    qty * 2 AS twice, h.city AS home_city, a.city AS away_city, price >= 10 AS is_dear,
    CASE WHEN qty IS NULL THEN 'none' WHEN qty > 3 THEN 'large' ELSE 'small' END AS size,
    qty > 2 AS heavy, flag AS flagged, h.region AS home_region, h.rank AS home_rank,
    h.is_open AS home_is_open, a.region AS away_region, a.opened AS away_opened
FROM raw_items i LEFT JOIN places h ON h.id = home_id LEFT JOIN places a ON a.id = away_id
WHERE NOT deleted;
CREATE VIEW item_view_rows AS SELECT * FROM items_rows;
CREATE SCHEMA plain;
CREATE TABLE plain.places AS SELECT * FROM places_rows;
ALTER TABLE plain.places ADD PRIMARY KEY (id);
CREATE TABLE plain.items AS SELECT * FROM items_rows;
ALTER TABLE plain.items ADD PRIMARY KEY (id);
CREATE VIEW plain.item_view AS SELECT * FROM items_rows;
"""
"""What the cubes' rows are, by hand: dimensions and segments, which measures are made of too."""

_PLACES = (
    (1, "'Rome'", "'south'", 3, "true", "DATE '1999-12-31'"),
    (2, "'Ōsaka'", "'east'", 1, "false", "DATE '2024-02-29'"),
    (3, "''", "'south'", "NULL", "NULL", "NULL"),
    (4, "NULL", "NULL", 1, "true", "DATE '2023-01-01'"),
    (5, "'Rome'", "'east'", -2, "false", "DATE '2024-01-01'"),
)

_POOLS: tuple[tuple[str, ...], ...] = (
    ("1", "2", "3", "4", "9", "NULL"),
    ("1", "2", "5", "NULL"),
    ("-1", "0", "1", "2", "NULL"),
    ("-7", "-1", "0", "1", "2", "3", "4", "5", "10", "NULL"),
    ("-9000000000", "0", "1", "7", "4611686018427387904", "NULL"),
    ("-1.500", "0.000", "0.005", "1.000", "9.999", "10.000", "12.340", "99999999.999", "NULL"),
    ("-2.5", "0", "0.25", "0.5", "3", "1048576.125", "NULL"),
    (
        *("'Ann'", "'ann'", "'Bob'", "''", "' x '", "'Zoë'", "'été'", "'日本'", "'a%b_c'"),
        *("'O''Hara'", "NULL"),
    ),
    ("'a'", "'b'", "'B'", "'c-d'", "'12'"),
    ("true", "false", "NULL"),
    (
        *("DATE '2023-12-31'", "DATE '2024-01-01'", "DATE '2024-02-29'", "DATE '2024-03-10'"),
        *("DATE '1969-07-20'", "NULL"),
    ),
    (
        *("TIMESTAMP '2024-01-01 00:00:00'", "TIMESTAMP '2024-03-10 02:30:00.5'"),
        *("TIMESTAMP '2023-12-31 23:59:59.999999'", "TIMESTAMP '1969-12-31 12:00:01'", "NULL"),
    ),
    (
        *("TIMESTAMPTZ '2024-01-01 03:00:00+00'", "TIMESTAMPTZ '2024-03-10 07:00:00+00'"),
        *("TIMESTAMPTZ '2024-11-03 05:30:00.25+00'", "TIMESTAMPTZ '1969-12-31 23:59:59+00'"),
        "NULL",
    ),
    ("false", "false", "false", "false", "true"),
)

ITEMS = 36


def load_text() -> str:
    """The statements that make and fill the warehouse's tables, for both kinds of warehouse."""
    chosen = random.Random(20)
    places = ", ".join(f"({', '.join(map(str, row))})" for row in _PLACES)
    items = ", ".join(
        f"({number}, {', '.join(chosen.choice(pool) for pool in _POOLS)})"
        for number in range(1, ITEMS + 1)
    )
    return f"{TABLES}INSERT INTO places VALUES {places};\nINSERT INTO raw_items VALUES {items};\n"
