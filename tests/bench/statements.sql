-- Statements in the shapes that BI tools send, over the cube of orders. Each begins with its name.

-- name: one total
SELECT SUM(amount) FROM orders;

-- name: count of rows
SELECT COUNT(*) FROM orders;

-- name: total by measure()
SELECT MEASURE(amount) AS revenue FROM orders;

-- name: bar chart
SELECT country, SUM(amount) AS revenue FROM orders GROUP BY country;

-- name: bar chart, sorted
SELECT country, SUM(amount) AS revenue FROM orders GROUP BY country ORDER BY revenue DESC LIMIT 10;

-- name: two dimensions
SELECT country, status, SUM(amount) AS revenue, COUNT(*) AS orders
FROM orders GROUP BY country, status ORDER BY country, status;

-- name: by position
SELECT status, AVG(amount), MAX(amount), MIN(amount) FROM orders GROUP BY 1 ORDER BY 2 DESC;

-- name: filtered
SELECT status, SUM(amount) AS revenue FROM orders WHERE country = 'US' GROUP BY status;

-- name: list of values
SELECT status, SUM(amount) AS revenue FROM orders
WHERE country IN ('US', 'DE', 'FR', 'IT') AND status <> 'cancelled' GROUP BY status;

-- name: months
SELECT DATE_TRUNC('month', created_at) AS month, SUM(amount) AS revenue
FROM orders GROUP BY 1 ORDER BY 1;

-- name: months of a year
SELECT DATE_TRUNC('month', created_at) AS month, SUM(amount) AS revenue
FROM orders
WHERE created_at >= TIMESTAMP '2024-01-01' AND created_at < TIMESTAMP '2025-01-01'
GROUP BY 1 ORDER BY 1;

-- name: days by series
SELECT DATE_TRUNC('day', created_at) AS day, status, COUNT(*) AS orders
FROM orders
WHERE created_at BETWEEN '2024-03-01' AND '2024-03-31'
GROUP BY 1, 2 ORDER BY 1, 2;

-- name: year and month as numbers
SELECT EXTRACT(YEAR FROM created_at) AS year, EXTRACT(MONTH FROM created_at) AS month,
       SUM(amount) AS revenue
FROM orders GROUP BY 1, 2 ORDER BY 1, 2;

-- name: weekday
SELECT EXTRACT(DOW FROM created_at) AS weekday, COUNT(*) AS orders FROM orders GROUP BY 1 ORDER BY 1;

-- name: having
SELECT country, SUM(amount) AS revenue FROM orders GROUP BY country HAVING SUM(amount) > 1000000;

-- name: ratio of measures
SELECT country, MEASURE(paid_share) AS share FROM orders GROUP BY country ORDER BY share DESC;

-- name: all measures
SELECT MEASURE(count), MEASURE(amount), MEASURE(avg_amount), MEASURE(max_amount), MEASURE(customers),
       MEASURE(units), MEASURE(paid_amount), MEASURE(paid_share)
FROM orders;

-- name: distinct
SELECT DISTINCT country FROM orders ORDER BY country;

-- name: distinct pairs
SELECT DISTINCT country, status FROM orders WHERE paid ORDER BY 1, 2 LIMIT 100;

-- name: values of a filter
SELECT status FROM orders GROUP BY status ORDER BY status LIMIT 1001;

-- name: search box
SELECT customer FROM orders WHERE customer LIKE '%0123%' GROUP BY customer LIMIT 50;

-- name: search box without case
SELECT customer, SUM(amount) AS revenue FROM orders
WHERE LOWER(customer) LIKE LOWER('%Customer 01%') GROUP BY customer ORDER BY 2 DESC LIMIT 20;

-- name: count distinct
SELECT country, COUNT(DISTINCT customer) AS customers FROM orders GROUP BY country;

-- name: case buckets
SELECT CASE WHEN qty < 3 THEN 'few' WHEN qty < 7 THEN 'some' ELSE 'many' END AS bucket,
       SUM(amount) AS revenue
FROM orders GROUP BY 1 ORDER BY 1;

-- name: coalesce
SELECT COALESCE(rating, 0) AS rating, COUNT(*) AS orders FROM orders GROUP BY 1 ORDER BY 1;

-- name: null filter
SELECT country, COUNT(*) AS unrated FROM orders WHERE rating IS NULL GROUP BY country;

-- name: member with a case of its own
SELECT size, SUM(amount) AS revenue, SUM(units) AS units FROM orders GROUP BY size;

-- name: cast
SELECT CAST(created_at AS DATE) AS day, SUM(amount) AS revenue
FROM orders GROUP BY 1 ORDER BY 1 LIMIT 366;

-- name: table view
SELECT id, status, country, amount, created_at FROM orders ORDER BY id LIMIT 1000;

-- name: table view, filtered
SELECT id, customer, status, qty, rating, paid FROM orders
WHERE status = 'returned' AND qty > 5 AND created_at > '2025-06-01' ORDER BY created_at DESC LIMIT 200;

-- name: preview
SELECT * FROM orders LIMIT 100;

-- name: aliased and quoted
SELECT "orders"."country" AS "country", SUM("orders"."amount") AS "sum:amount:ok"
FROM "public"."orders" "orders"
WHERE ("orders"."status" IN ('paid', 'sent')) GROUP BY 1;

-- name: wrapped in a subquery
SELECT "t"."country", "t"."revenue"
FROM (SELECT country, SUM(amount) AS revenue FROM orders GROUP BY country) AS "t"
ORDER BY "t"."revenue" DESC LIMIT 1000;

-- name: custom query
SELECT "Custom SQL Query"."status" AS "status", SUM("Custom SQL Query"."amount") AS "amount"
FROM (SELECT id, status, country, amount FROM orders WHERE paid) AS "Custom SQL Query"
GROUP BY 1;

-- name: common table expression
WITH monthly AS (
    SELECT DATE_TRUNC('month', created_at) AS month, country, SUM(amount) AS revenue
    FROM orders GROUP BY 1, 2
)
SELECT country, AVG(revenue) AS average, MAX(revenue) AS best FROM monthly GROUP BY country;

-- name: running total
WITH monthly AS (
    SELECT DATE_TRUNC('month', created_at) AS month, SUM(amount) AS revenue FROM orders GROUP BY 1
)
SELECT month, revenue, SUM(revenue) OVER (ORDER BY month) AS so_far FROM monthly ORDER BY month;

-- name: rank in a subquery
SELECT country, status, revenue
FROM (
    SELECT country, status, SUM(amount) AS revenue,
           ROW_NUMBER() OVER (PARTITION BY country ORDER BY SUM(amount) DESC) AS place
    FROM orders GROUP BY country, status
) AS ranked
WHERE place <= 2;

-- name: top customers and others
SELECT customer, SUM(amount) AS revenue FROM orders
WHERE customer IN (
    SELECT customer FROM orders WHERE country = 'DE' GROUP BY customer ORDER BY SUM(amount) DESC LIMIT 10
)
GROUP BY customer;

-- name: parameters
SELECT status, SUM(amount) AS revenue FROM orders WHERE country = $1 AND created_at >= $2 GROUP BY status;

-- name: filter aggregate
SELECT country, SUM(amount) FILTER (WHERE paid) AS paid, SUM(amount) AS all_of_it
FROM orders GROUP BY country;

-- name: conditional sum
SELECT country, SUM(CASE WHEN status = 'returned' THEN qty ELSE 0 END) AS returned_units
FROM orders GROUP BY country ORDER BY 2 DESC;

-- name: arithmetic over measures
SELECT country, SUM(amount) / NULLIF(COUNT(*), 0) AS average, SUM(amount) * 1.19 AS gross
FROM orders GROUP BY country;

-- name: text functions
SELECT UPPER(LEFT(country, 1)) || '-' || status AS label, COUNT(*) AS orders
FROM orders GROUP BY 1 ORDER BY 1;

-- name: union of two filters
SELECT 'paid' AS kind, SUM(amount) AS revenue FROM orders WHERE paid
UNION ALL
SELECT 'open', SUM(amount) FROM orders WHERE NOT paid;

-- name: wide filter
SELECT country, SUM(amount) AS revenue FROM orders
WHERE (status = 'paid' OR status = 'sent') AND (qty BETWEEN 2 AND 8) AND (rating > 1.5 OR rating IS NULL)
  AND customer NOT LIKE 'customer 000%' AND created_at >= '2024-01-01' AND created_at < '2026-01-01'
GROUP BY country ORDER BY revenue DESC;

-- name: scalar subquery
SELECT country, SUM(amount) / (SELECT SUM(amount) FROM orders) AS share
FROM orders GROUP BY country ORDER BY 2 DESC;
