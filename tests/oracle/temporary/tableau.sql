-- What Tableau does when it connects, and with large filters and sets.
CREATE LOCAL TEMPORARY TABLE "#Tableau_42_1_Connect_Check" ("COL" INTEGER) ON COMMIT PRESERVE ROWS

INSERT INTO "#Tableau_42_1_Connect_Check" VALUES (1)

SELECT "COL" FROM "#Tableau_42_1_Connect_Check"

DROP TABLE "#Tableau_42_1_Connect_Check"

SELECT "SUBCOL" AS "COL" FROM (SELECT 1 AS "SUBCOL") "SUBQUERY" GROUP BY 2

SELECT * INTO TEMPORARY TABLE "#Tableau_42_2_C" FROM (SELECT 1 AS COL) AS CHECKTEMP LIMIT 1

DROP TABLE "#Tableau_42_2_C"

CREATE LOCAL TEMPORARY TABLE "#Tableau_42_3_Filter" ("X_name" TEXT COLLATE "default", "X__alias" INTEGER) ON COMMIT PRESERVE ROWS

INSERT INTO "#Tableau_42_3_Filter" ("X_name", "X__alias") VALUES ('Ann', 1), ('Zoë', 2), ('O''Hara', 3), (NULL, 4), ('a%b_c', 5)

SELECT "items"."tag" AS "tag", SUM("items"."total_qty") AS "sum:qty:ok" FROM "public"."items" "items" INNER JOIN "#Tableau_42_3_Filter" "t0" ON ("items"."name" = "t0"."X_name") GROUP BY 1 HAVING (COUNT(1) > 0)
----
SELECT "items"."tag" AS "tag", SUM("items"."qty"::bigint) AS "sum:qty:ok" FROM "items" INNER JOIN "#Tableau_42_3_Filter" "t0" ON ("items"."name" = "t0"."X_name") GROUP BY 1 HAVING (COUNT(1) > 0)

SELECT "t0"."X__alias" AS "a", COUNT(DISTINCT "items"."home_id") AS "n" FROM "public"."items" "items" LEFT JOIN "#Tableau_42_3_Filter" "t0" ON ("items"."name" IS NOT DISTINCT FROM "t0"."X_name") GROUP BY 1
----
SELECT "t0"."X__alias" AS "a", COUNT(DISTINCT "items"."home_id") AS "n" FROM "items" LEFT JOIN "#Tableau_42_3_Filter" "t0" ON ("items"."name" IS NOT DISTINCT FROM "t0"."X_name") GROUP BY 1

SELECT COUNT(1) AS "n" FROM items WHERE name IN (SELECT "X_name" FROM "#Tableau_42_3_Filter")

SELECT * INTO TEMPORARY "tableau_temp_1" FROM (SELECT home_city AS "c", MEASURE(total_qty) AS "q", COUNT(*) AS "n" FROM items GROUP BY 1) "custom"
----
SELECT * INTO TEMPORARY "tableau_temp_1" FROM (SELECT home_city AS "c", SUM(qty) AS "q", COUNT(*) AS "n" FROM items GROUP BY 1) "custom"

SELECT * FROM "tableau_temp_1"

SELECT p.region, MEASURE(p.total_rank) AS r, SUM(t.q), MAX(t.n) FROM places p JOIN tableau_temp_1 t ON t.c = p.city GROUP BY 1
----
SELECT p.region, SUM(p.rank) AS r, SUM(t.q), MAX(t.n) FROM places p JOIN tableau_temp_1 t ON t.c = p.city GROUP BY 1

DROP TABLE "tableau_temp_1"

DROP TABLE "#Tableau_42_3_Filter"
