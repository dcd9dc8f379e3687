-- Temporary tables at every place of a statement that reads cubes.
CREATE TEMP TABLE t (id int, city text, amount numeric(10, 2), at timestamptz, day date, ok boolean, word varchar(10), f real, d double precision, b bigint, s smallint)

INSERT INTO t VALUES (1, 'Rome', 10.50, '2024-03-10 05:00+00', '2024-02-29', true, 'a', 0.1, 0.1, 9000000000, -1), (2, 'Ōsaka', NULL, '2023-12-31 23:30+00', NULL, false, 'B', 1.5, 'NaN', -1, 2), (2, '', -3.00, NULL, '1999-12-31', NULL, NULL, NULL, 'Infinity', NULL, NULL), (9, NULL, 0, '2024-07-01 00:00+02', '2024-01-01', true, '', 3, -0.0, 0, 0)

SELECT t.* FROM t, (SELECT COUNT(*) AS n FROM places) AS q ORDER BY t.id, t.city

SELECT t.city, p.id, t.amount, t.at, t.day, t.ok, t.word, t.f, t.d, t.b, t.s FROM t LEFT JOIN places p ON p.city = t.city

SELECT t.id, COUNT(*), SUM(t.amount), AVG(t.amount), MIN(t.day), MAX(t.at), SUM(t.b), SUM(t.s), BOOL_AND(t.ok), STRING_AGG(t.word, ',' ORDER BY t.word) FROM t JOIN places p ON p.id = t.id GROUP BY 1

SELECT p.city, (SELECT MAX(t.amount) FROM t WHERE t.id = p.id), (SELECT COUNT(*) FROM t) FROM places p

SELECT p.id FROM places p WHERE EXISTS (SELECT 1 FROM t WHERE t.id = p.id AND t.ok)

SELECT p.id FROM places p WHERE p.id NOT IN (SELECT id FROM pg_temp.t WHERE id < 5)

WITH w AS (SELECT id, SUM(amount) AS a FROM t GROUP BY id), x AS (SELECT id, city FROM places) SELECT x.city, w.a FROM w JOIN x USING (id)

SELECT id, city FROM places UNION SELECT id, city FROM t

SELECT city FROM places EXCEPT SELECT city FROM t

SELECT city FROM t INTERSECT SELECT city FROM places

SELECT p.id, l.amount FROM places p CROSS JOIN LATERAL (SELECT amount FROM t WHERE t.id >= p.id ORDER BY amount NULLS LAST, city LIMIT 1) l

SELECT date_trunc('month', t.at), COUNT(*) FROM t JOIN items i ON i.home_id = t.id GROUP BY 1

SELECT a.id, b.id, COUNT(*) FROM t a JOIN t b ON a.id = b.id JOIN places p ON p.id = a.id GROUP BY 1, 2

SELECT x.one, x.two FROM t AS x (one, two), places p WHERE p.id = x.one

SELECT i.tag, MEASURE(i.total_qty) AS q, MEASURE(i.avg_price) AS a, COUNT(DISTINCT t.word) AS w FROM items i JOIN t ON t.id = i.home_id GROUP BY 1
----
SELECT tag, SUM(qty) AS q, AVG(price) AS a, (SELECT COUNT(DISTINCT t.word) FROM items j JOIN t ON t.id = j.home_id WHERE j.tag IS NOT DISTINCT FROM o.tag) AS w FROM (SELECT * FROM items WHERE home_id IN (SELECT id FROM t)) o GROUP BY tag

SELECT i.tag, SUM(i.qty) FROM items i JOIN t ON t.id = i.home_id GROUP BY 1

SELECT amount * 3 / 7, round(amount, 1), amount::text, at::date, day + 1, upper(word), f::text, d::text FROM t JOIN places p ON p.id = t.id

INSERT INTO t (id, amount, day, word) SELECT id, 1.005, '2024-05-06', city FROM places WHERE id < 3

SELECT id, amount, day, word FROM t

INSERT INTO t (id, word) SELECT id, 'much too long for it' FROM places

INSERT INTO t (id, day) SELECT id, 'not a day' FROM places

INSERT INTO t (id, day) SELECT id, city FROM places

INSERT INTO t (nothing) SELECT id FROM places

INSERT INTO t SELECT id, city, 1 FROM places WHERE id = 4 RETURNING id, city, amount

CREATE TEMP TABLE u AS SELECT id, id FROM places

CREATE TEMP TABLE u (a, b) AS SELECT id, city || '!' FROM places

CREATE TEMP TABLE IF NOT EXISTS u AS SELECT 1 AS n FROM places

SELECT a, b FROM u

CREATE TEMP TABLE places AS SELECT id + 100 AS id FROM public.places
----
CREATE TEMP TABLE places AS SELECT id + 100 AS id FROM plain.places

SELECT * FROM places

SELECT q.id FROM places q JOIN public.places p ON p.id + 100 = q.id
----
SELECT q.id FROM places q JOIN plain.places p ON p.id + 100 = q.id

SELECT COUNT(*) FROM public.places
----
SELECT COUNT(*) FROM plain.places

DROP TABLE places

SELECT COUNT(*) FROM places

TRUNCATE t

SELECT COUNT(*) FROM t JOIN places p ON p.id = t.id

DROP TABLE t, u

SELECT COUNT(*) FROM t JOIN places p ON p.id = t.id
