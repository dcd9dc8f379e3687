"""A small model with awkward data, in DuckDB and in PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb

from connectors.duckdb_types import postgres_type
from semantic.compiler.probe import probe_statements
from semantic.compiler.publish import publish
from semantic.model.loader import load_model
from semantic.model.model import Model
from semantic.model.published import PublishedModel
from tests.support.duck import memory_database

MODELS = Path(__file__).parent / "models"
Probed = tuple[str, str, int]

TABLES = """
CREATE TABLE customers (id integer, name text, city text, since date);
CREATE TABLE orders (id integer, buyer_id integer, payer_id integer, status text,
  amount numeric(10,2), quantity integer, ordered_at timestamp, note text);
CREATE TABLE order_lines (order_id integer, line integer, product text, price numeric(10,2));
CREATE TABLE page_views (visit_id bigint, country text, views integer);
INSERT INTO customers VALUES
  (1, 'Ada', 'Rome', '2020-01-01'), (2, 'Bob', 'Oslo', '2020-02-29'), (3, 'Cleo', NULL, NULL),
  (4, 'Dan', 'Rome', '2021-12-31');
INSERT INTO orders VALUES
  (1, 1, 1, 'open', 10.00, 1, '2024-01-01 08:00:00', 'a'),
  (2, 1, 2, 'open', 250.50, 3, '2024-01-31 23:59:59', NULL),
  (3, 2, 2, 'closed', 99.99, 2, '2024-02-01 00:00:00', 'b'),
  (4, 2, NULL, 'closed', 100.00, 5, '2024-02-29 12:30:00', NULL),
  (5, 3, 1, NULL, 0.01, 1, '2024-12-31 10:00:00', 'a'),
  (6, NULL, 4, 'open', NULL, 4, NULL, NULL),
  (7, 1, 1, 'lost', 1000.00, 7, '2023-06-15 06:00:00', 'c'),
  (8, 9, 9, 'closed', -5.00, 1, '2024-02-10 00:00:00', 'b');
INSERT INTO order_lines VALUES
  (1, 1, 'pen', 10.00), (2, 1, 'pen', 50.50), (2, 2, 'desk', 200.00), (3, 1, 'lamp', 99.99),
  (4, 1, 'pen', 0.00), (4, 2, 'desk', 100.00), (7, 1, 'sofa', 1000.00), (99, 1, 'lost', 3.00);
CREATE TABLE stays (id integer, came timestamp, day date, seen timestamptz, shop text, kind text,
  units integer, amount numeric(10,2));
INSERT INTO stays VALUES
  (1, '2023-01-30 10:00:00', '2023-01-30', '2023-01-30 10:00:00+00', 'x', 'a', 5, 1.50),
  (2, '2023-01-31 23:59:59', '2023-01-31', '2023-01-31 23:59:59+00', 'y', 'b', 7, 2.00),
  (3, '2023-02-28 00:00:00', '2023-02-28', '2023-02-28 00:00:00+00', 'x', 'a', 1, 0.25),
  (4, '2024-01-01 00:00:00', '2024-01-01', '2024-01-01 00:00:00+00', 'x', 'a', 3, 10.00),
  (5, '2024-01-31 08:00:00', '2024-01-31', '2024-01-31 08:00:00+00', 'y', 'a', 4, 20.00),
  (6, '2024-01-31 20:00:00', '2024-01-31', '2024-01-31 20:00:00+00', 'x', 'b', NULL, 30.00),
  (7, '2024-02-01 00:00:00', '2024-02-01', '2024-02-01 00:00:00+00', NULL, 'b', 6, NULL),
  (8, '2024-02-28 12:00:00', '2024-02-28', '2024-02-28 12:00:00+00', 'y', 'a', 8, 5.00),
  (9, '2024-02-29 12:00:00', '2024-02-29', '2024-02-29 12:00:00+00', 'y', NULL, 9, 6.00),
  (10, '2024-02-29 18:00:00', '2024-02-29', '2024-02-29 18:00:00+00', 'x', 'a', 2, 7.00),
  (11, '2024-03-02 00:00:00', '2024-03-02', '2024-03-02 00:00:00+00', 'z', 'b', 10, 8.00),
  (12, '2024-03-29 09:00:00', '2024-03-29', '2024-03-29 09:00:00+00', 'x', 'a', 11, 9.00),
  (13, '2024-03-31 09:00:00', '2024-03-31', '2024-03-31 09:00:00+00', 'x', 'a', 12, 9.50),
  (14, NULL, NULL, NULL, 'x', 'a', 100, 100.00),
  (15, '2025-02-28 09:00:00', '2025-02-28', '2025-02-28 09:00:00+00', 'y', 'b', 13, 1.00);
CREATE TABLE visits (id integer, person integer, moment timestamp, device text, campaign text);
CREATE TABLE purchases (id integer, person integer, moment timestamp, device text, price integer);
INSERT INTO visits VALUES
  (1, 1, '2024-01-01 10:00', 'tv', 'ad'), (2, 1, '2024-01-03 10:00', 'tv', 'mail'),
  (3, 1, '2024-01-03 10:00', 'pc', 'ad'), (4, 1, '2024-03-01 00:00', 'pc', NULL),
  (5, 2, '2024-01-05 09:00', 'tv', 'ad'), (6, 2, '2024-02-05 09:00', 'tv', 'ad'),
  (7, 3, '2024-01-07 00:00', NULL, 'ad'), (8, NULL, '2024-01-08 00:00', 'tv', 'ad'),
  (9, 4, NULL, 'tv', 'mail'), (10, 5, '2024-01-10 00:00', 'pc', 'ad');
INSERT INTO purchases VALUES
  (1, 1, '2024-01-04 00:00', 'tv', 10), (2, 1, '2024-01-05 00:00', 'pc', 3),
  (3, 2, '2024-01-05 09:00', 'tv', 10), (4, 2, '2024-01-12 09:00', 'tv', 10),
  (5, 2, '2024-03-05 09:00', 'tv', 20), (6, 3, '2024-01-20 00:00', NULL, 9),
  (7, NULL, '2024-01-09 00:00', 'tv', 9), (8, 5, '2024-01-09 00:00', 'pc', 9),
  (9, 4, '2024-01-09 00:00', 'tv', 9);
CREATE TABLE calendar (day date);
INSERT INTO calendar VALUES ('2024-02-25'), ('2024-02-26'), ('2024-02-27'), ('2024-02-28'),
  ('2024-02-29'), ('2024-03-01'), ('2024-03-02'), ('2024-03-03'), ('2024-03-04');
INSERT INTO page_views VALUES (1, 'IT', 10), (2, 'NO', 0), (3, 'IT', NULL);
"""


def shop_model() -> Model:
    report = load_model(MODELS, {})
    assert report.model is not None, "\n".join(str(problem) for problem in report.problems)
    return report.model


def shop_database() -> duckdb.DuckDBPyConnection:
    database = memory_database()
    database.execute(TABLES)
    return database


def probe_duckdb(database: duckdb.DuckDBPyConnection, sql: str) -> list[Probed]:
    relation = database.sql(sql)
    kinds = zip(relation.columns, relation.types, strict=True)
    return [(column, *postgres_type(str(kind))) for column, kind in kinds]


def published(model: Model, dialect: str, probe: Callable[[str], list[Probed]]) -> PublishedModel:
    """The model as clients see it, its types probed."""
    dialects = {"default": dialect}
    probes = probe_statements(model, dialects)
    return publish(model, {name: probe(item.sql) for name, item in probes.items()}, dialects)
