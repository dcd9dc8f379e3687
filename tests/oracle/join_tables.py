"""The rows of the cubes that are joined, and each of these cubes as a plain table."""

from __future__ import annotations

from pathlib import Path

MODEL = Path(__file__).with_name("joins.yml")
ELSEWHERE = frozenset({"customers", "regions", "products", "refunds", "staff", "Mixed"})
"""Cubes of another data source, ``OTHER``, where there are two."""
OTHER = "other"

TABLES = """
CREATE TABLE regions (id int, title text);
CREATE TABLE customers (id int, region_id int, name text, city text, credit numeric(10, 2));
CREATE TABLE orders (
    id int, customer_id bigint, status text, placed timestamp, amount numeric(10, 2)
);
CREATE TABLE refunds (id int, customer_id int, reason text, amount numeric(10, 2));
CREATE TABLE raw_lines (order_id int, line int, sku text, quantity int, price numeric(10, 2));
CREATE TABLE products (id int, sku text, current boolean, kind text);
CREATE TABLE stock (product_id int, shelf text, pieces int);
CREATE TABLE staff (id int, boss_id int, region_id int, name text, pay int);
CREATE TABLE trips (id int, from_id int, to_id int, miles double precision);
CREATE TABLE visits (customer_id int, page text, seconds int);
CREATE TABLE mixed (mixed_id int, region_id smallint, worth int);
INSERT INTO regions VALUES (1, 'north'), (2, 'south'), (3, NULL), (4, 'empty');
INSERT INTO customers VALUES
    (1, 1, 'Ada', 'Rome', 10.00), (2, 1, 'Bob', 'Oslo', 20.50), (3, 2, 'Cleo', NULL, NULL),
    (4, NULL, 'Dan', 'Rome', 5.25), (5, 9, 'Eve', 'Bonn', 100.00), (6, 3, NULL, 'Oslo', 0.00);
INSERT INTO orders VALUES
    (1, 1, 'open', '2024-01-01 08:00:00', 10.00), (2, 1, 'open', '2024-01-31 23:59:59', 250.50),
    (3, 2, 'closed', '2024-02-01 00:00:00', 99.99), (4, 2, 'closed', '2024-02-29 12:30:00', 10.00),
    (5, 3, NULL, '2024-12-31 10:00:00', 0.01), (6, NULL, 'open', NULL, NULL),
    (7, 4, 'lost', '2023-06-15 06:00:00', 1000.00), (8, 77, 'closed', '2024-02-10 00:00:00', -5.00);
INSERT INTO refunds VALUES
    (1, 1, 'late', 1.00), (2, 1, 'broken', 2.50), (3, 3, 'late', 0.01), (4, 5, NULL, 40.00),
    (5, NULL, 'late', 3.00), (6, 88, 'broken', 4.00), (7, 1, 'late', 1.00);
INSERT INTO raw_lines VALUES
    (1, 1, 'pen', 1, 10.00), (2, 1, 'pen', 3, 50.50), (2, 2, 'desk', 1, 200.00),
    (3, 1, 'lamp', 2, 99.99), (4, 1, 'pen', 0, 9.00), (4, 2, 'gone', 1, 10.00),
    (7, 1, 'desk', 4, 1000.00), (7, 2, NULL, 1, 0.00), (99, 1, 'pen', 5, 3.00);
INSERT INTO products VALUES
    (1, 'pen', true, 'small'), (2, 'pen', false, 'old'), (3, 'desk', true, 'large'),
    (4, 'lamp', true, 'small'), (5, 'lamp', false, 'old'), (6, 'sofa', true, 'large');
INSERT INTO stock VALUES (1, 'a', 100), (3, 'b', 2), (4, NULL, 7), (9, 'a', 1);
INSERT INTO staff VALUES
    (1, NULL, 1, 'Zed', 900), (2, 1, 1, 'Yan', 500), (3, 1, 2, 'Xia', 500), (4, 3, 2, 'Wes', 300),
    (5, 3, 9, 'Vic', 100), (6, 42, 3, NULL, NULL);
INSERT INTO trips VALUES
    (1, 1, 2, 10.5), (2, 2, 1, 4), (3, 1, 1, 0.25), (4, NULL, 3, 7), (5, 3, 9, NULL), (6, 2, 2, 1),
    (7, 1, 1, 0), (8, 1, 1, '-0');
INSERT INTO visits VALUES
    (1, 'home', 10), (1, 'home', 10), (2, 'cart', 5), (NULL, 'home', 3), (3, NULL, NULL),
    (66, 'x', 1);
INSERT INTO mixed VALUES (1, 1, 10), (2, 1, 20), (3, NULL, 5), (4, 7, 1);
"""

PLAIN_TABLES = """
CREATE TABLE regions_rows AS SELECT * FROM regions;
CREATE TABLE customers_rows AS SELECT * FROM customers;
CREATE TABLE orders_rows AS
SELECT o.*, o.customer_id AS buyer, c.city AS customer_city
FROM orders o LEFT JOIN customers c ON c.id = o.customer_id;
CREATE TABLE refunds_rows AS SELECT * FROM refunds;
CREATE TABLE lines_rows AS SELECT * FROM raw_lines WHERE quantity > 0;
CREATE TABLE products_rows AS SELECT * FROM products;
CREATE TABLE stock_rows AS SELECT * FROM stock;
CREATE TABLE staff_rows AS
SELECT s.* FROM staff s JOIN regions r ON r.id = s.region_id;
CREATE TABLE trips_rows AS SELECT * FROM trips;
CREATE TABLE visits_rows AS SELECT * FROM visits;
CREATE TABLE mixed_rows AS SELECT mixed_id AS "mixedId", region_id AS "regionId", worth FROM mixed;
CREATE TABLE order_view_rows AS
SELECT o.id, customer_id, status, amount, c.city AS customers_city, c.name AS customers_name
FROM orders o LEFT JOIN customers c ON c.id = o.customer_id;
CREATE VIEW plain.regions AS SELECT * FROM regions_rows;
CREATE VIEW plain.customers AS SELECT * FROM customers_rows;
CREATE VIEW plain.orders AS SELECT * FROM orders_rows;
CREATE VIEW plain.refunds AS SELECT * FROM refunds_rows;
CREATE VIEW plain.lines AS SELECT * FROM lines_rows;
CREATE VIEW plain.products AS SELECT * FROM products_rows;
CREATE VIEW plain.stock AS SELECT * FROM stock_rows;
CREATE VIEW plain.staff AS SELECT * FROM staff_rows;
CREATE VIEW plain.trips AS SELECT * FROM trips_rows;
CREATE VIEW plain.visits AS SELECT * FROM visits_rows;
CREATE VIEW plain."Mixed" AS SELECT * FROM mixed_rows;
CREATE VIEW plain.order_view AS SELECT * FROM order_view_rows;
"""
