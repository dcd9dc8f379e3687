"""What a caller may not see is for them as if it were not there, wherever they look."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.security.shop import dsn, start_shop
from tests.support.oracle import OraclePostgres
from tests.support.server import RunningServer

HIDDEN = (
    "payroll",
    "salary",
    "margin",
    "channel",
    "paid_at",
    "email",
    "customers",
    "earned",
    "earn",
)
"""Names, and words of comments, of what ``otto`` may not see."""

PUBLISHED = """
SELECT table_name, string_agg(column_name, ' ' ORDER BY ordinal_position)
FROM information_schema.columns WHERE table_schema = 'public' GROUP BY 1 ORDER BY 1
"""
KEYS = """
SELECT conname FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1
"""

RELATION = """
SELECT * FROM payroll
SELECT * FROM public.payroll
SELECT * FROM "payroll" p WHERE 1 = 0
SELECT * FROM cubewire.public.payroll
SELECT id FROM payroll LIMIT 0
SELECT payroll FROM payroll
SELECT payroll FROM orders
SELECT payroll.id FROM orders
SELECT 1 FROM orders CROSS JOIN payroll
SELECT 1 FROM orders JOIN payroll USING (id)
SELECT (SELECT max(salary) FROM payroll) FROM orders
SELECT 1 FROM orders WHERE id IN (SELECT id FROM payroll)
SELECT * FROM (SELECT * FROM payroll) x
SELECT * FROM orders UNION ALL SELECT * FROM payroll
WITH x AS (SELECT * FROM payroll) SELECT 1 FROM x
SELECT 1 FROM orders, LATERAL (SELECT * FROM payroll) x
SELECT measure(id) FROM payroll
TABLE payroll
EXPLAIN SELECT * FROM payroll
EXPLAIN ANALYZE SELECT * FROM payroll
EXPLAIN (FORMAT JSON) TABLE payroll
PREPARE p AS SELECT * FROM payroll
DECLARE c CURSOR FOR SELECT * FROM payroll
COPY payroll TO STDOUT
COPY (SELECT * FROM payroll) TO STDOUT
COPY payroll FROM STDIN
CREATE TEMP TABLE t AS SELECT * FROM payroll
SELECT * INTO TEMP t FROM payroll
INSERT INTO payroll VALUES (1)
UPDATE payroll SET id = 1
DELETE FROM payroll
TRUNCATE payroll
DROP TABLE payroll
DROP TABLE IF EXISTS payroll
ALTER TABLE payroll ADD x int
LOCK TABLE payroll
ANALYZE payroll
COMMENT ON TABLE payroll IS 'x'
GRANT SELECT ON payroll TO otto
CREATE VIEW v AS SELECT * FROM payroll
CREATE TEMP TABLE t (LIKE payroll)
CREATE TEMP TABLE t (x int REFERENCES payroll (id))
SELECT 'payroll'::regclass
SELECT to_regclass('payroll')
SELECT has_table_privilege('payroll', 'SELECT')
SELECT pg_relation_size('payroll')
SELECT obj_description(to_regclass('payroll'))
SELECT * FROM pg_class WHERE relname = 'payroll'
SELECT payroll(1)
SELECT null::payroll
WITH payroll AS (SELECT 1 AS a) SELECT * FROM payroll
""".strip().splitlines()

COLUMN = """
SELECT margin FROM orders
SELECT orders.margin FROM orders
SELECT o.margin FROM orders o
SELECT "margin" FROM orders LIMIT 0
SELECT (o).margin FROM orders o
SELECT measure(margin) FROM orders
SELECT sum(margin) FROM orders
SELECT status FROM orders GROUP BY status HAVING measure(margin) > 1
SELECT status FROM orders WHERE margin > 1
SELECT status FROM orders ORDER BY margin
SELECT count(*) FILTER (WHERE margin > 1) FROM orders
SELECT count(*) FROM orders a JOIN orders b ON a.margin = b.margin
SELECT count(*) FROM orders a JOIN orders b USING (margin)
SELECT margin FROM sold
SELECT measure(margin) FROM sold
SELECT o.margin FROM (SELECT * FROM orders) o
WITH o AS (SELECT * FROM orders) SELECT margin FROM o
SELECT (SELECT margin) FROM orders
COPY (SELECT margin FROM orders) TO STDOUT
DECLARE c CURSOR FOR SELECT margin FROM orders
EXPLAIN SELECT margin FROM orders
CREATE TEMP TABLE t AS SELECT margin FROM orders
SELECT has_column_privilege('orders', 'margin', 'SELECT')
SELECT * FROM pg_attribute WHERE attname = 'margin'
SELECT row_to_json(o)->'margin' FROM orders o LIMIT 1
SELECT margins FROM orders
SELECT revenue AS margin FROM orders WHERE 1 = 0
""".strip().splitlines()


@pytest.fixture(scope="module")
def otto(shop: RunningServer) -> Iterator[psycopg.Connection]:
    with psycopg.connect(dsn(shop, "otto"), autocommit=True) as connection:
        yield connection


def outcome(connection: psycopg.Connection, sql: str) -> object:
    """Everything that a statement makes the server say."""
    connection.execute("BEGIN")
    try:
        with connection.cursor() as cursor:
            if sql.startswith("COPY"):
                with cursor.copy(sql.encode()) as copy:
                    return list(copy.rows())
            cursor.execute(sql.encode())
            rows = cursor.fetchall() if cursor.description else None
            return cursor.statusmessage, cursor.description, rows
    except psycopg.Error as error:
        said = error.diag
        return (
            said.severity,
            said.sqlstate,
            said.message_primary,
            said.message_detail,
            said.message_hint,
            said.statement_position,
            said.schema_name,
            said.table_name,
            said.column_name,
        )
    finally:
        connection.execute("ROLLBACK")


@pytest.mark.parametrize(
    ("sql", "hidden", "absent"),
    [
        *((sql, "payroll", "payrill") for sql in RELATION),
        *((sql, "margin", "margon") for sql in COLUMN),
        ("SELECT paid_at_fiscal_year FROM orders", "paid_at", "paxd_at"),
        ("SELECT date_trunc('fiscal_year', paid_at) FROM orders", "paid_at", "paxd_at"),
        ("SELECT late FROM orders", "late", "lite"),
        ("SELECT count(*) FROM orders WHERE late", "late", "lite"),
        ("SELECT customers_name FROM sold", "customers", "costumers"),
    ],
)
def test_hidden_is_as_absent(otto: psycopg.Connection, sql: str, hidden: str, absent: str) -> None:
    found = repr(outcome(otto, sql)).replace(hidden, absent)
    assert found == repr(outcome(otto, sql.replace(hidden, absent)))


def test_what_is_published(shop: RunningServer) -> None:
    orders = "id customer_id city_id status placed_at placed_at_fiscal_year count revenue"
    sold = "status placed_at placed_at_fiscal_year {}cities_name revenue paid"
    expected = {
        "otto": [("cities", "id name"), ("orders", orders), ("sold", sold.format(""))],
        "sara": [
            ("cities", "id name"),
            ("customers", "id name count"),
            ("orders", orders),
            ("sold", sold.format("customers_name ")),
        ],
    }
    foreign = {"otto": "orders_cities_fkey", "sara": "orders_cities_fkey orders_customers_fkey"}
    for user, relations in expected.items():
        with psycopg.connect(dsn(shop, user), autocommit=True) as connection:
            assert connection.execute(PUBLISHED).fetchall() == relations
            keys = [name for (name,) in connection.execute(KEYS)]
            assert " ".join(name for name in keys if name.endswith("_fkey")) == foreign[user]
    with psycopg.connect(dsn(shop, "stan"), autocommit=True) as connection:
        names = [name for name, _ in connection.execute(PUBLISHED)]
        assert names == ["cities", "customers", "orders", "payroll", "sold"]


def test_no_row_of_any_system_table_tells_of_it(otto: psycopg.Connection) -> None:
    tables = otto.execute(
        "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'v') AND relnamespace IN "
        "('pg_catalog'::regnamespace, 'information_schema'::regnamespace) "
        "AND has_table_privilege(oid, 'SELECT')"
    ).fetchall()
    assert len(tables) > 150
    telling = "|".join(HIDDEN)
    found = []
    for (table,) in tables:
        # Not what a backend says of the statement at hand.
        if table in ("pg_stat_activity", "pg_prepared_statements", "pg_cursors"):
            continue
        rows = otto.execute(f"SELECT t::text FROM {table} t WHERE t::text ~ '{telling}'").fetchall()
        found += [(table, row) for (row,) in rows]
    # PostgreSQL's own functions and settings have such words too.
    assert [each for each in found if "channel" not in each[1]] == []
    assert not any(table in ("pg_class", "pg_attribute", "pg_constraint") for table, _ in found)


def test_comments(otto: psycopg.Connection) -> None:
    rows = otto.execute(
        "SELECT c.relname, a.attname, d.description FROM pg_description d "
        "JOIN pg_class c ON c.oid = d.objoid LEFT JOIN pg_attribute a ON a.attrelid = c.oid "
        "AND a.attnum = d.objsubid WHERE c.relnamespace = 'public'::regnamespace "
        "AND d.objsubid > 0 ORDER BY 1, 2"
    ).fetchall()
    assert ("orders", "revenue", "[measure·sum] What was paid") in rows
    assert {name for name, *_ in rows} == {"cities", "orders", "sold"}


@pytest.mark.parametrize(
    ("sql", "hint"),
    [
        ("SELECT * FROM pay_roll", None),
        ("SELECT * FROM custumers", None),
        ("SELECT * FROM order", None),
        ("SELECT margn FROM orders", None),
        ("SELECT chanel FROM sold", None),
        ("SELECT * FROM oders", 'Perhaps you meant "orders".'),
        ("SELECT revenu FROM orders", "Perhaps you meant to reference the column"),
    ],
)
def test_hints_name_only_what_exists(otto: psycopg.Connection, sql: str, hint: str | None) -> None:
    with pytest.raises(psycopg.Error) as caught:
        otto.execute(sql.encode())
    if hint is None:
        assert caught.value.diag.message_hint is None
    else:
        assert (caught.value.diag.message_hint or "").startswith(hint)


def test_whole_rows_and_stars_have_the_visible_columns(otto: psycopg.Connection) -> None:
    cursor = otto.execute("SELECT * FROM orders LIMIT 1")
    assert cursor.description is not None
    assert len(cursor.description) == 8
    (row,) = otto.execute("SELECT o FROM orders o LIMIT 1").fetchone() or ()
    assert len(row.split(",")) == 8


def test_long_statements(otto: psycopg.Connection, shop: RunningServer) -> None:
    """These are compiled in another process."""
    sql = f"SELECT {{}} FROM orders /* {'x' * 20_000} */"
    assert otto.execute(sql.format("count(*)").encode()).fetchall() == [(10,)]
    with pytest.raises(psycopg.errors.UndefinedColumn):
        otto.execute(sql.format("max(margin)").encode())
    with psycopg.connect(dsn(shop, "stan"), autocommit=True) as stan:
        found = stan.execute(sql.format("count(*), max(margin)").encode()).fetchall()
        assert found == [(20, 120)]
    assert otto.execute(sql.format("count(*)").encode()).fetchall() == [(10,)]


def test_an_external_catalog_is_refused(oracle: OraclePostgres, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"catalog\.dsn cannot be used with access policies"):
        start_shop(tmp_path, catalog={"dsn": oracle.dsn})


def test_a_hidden_name_is_free_for_temporary_tables(otto: psycopg.Connection) -> None:
    otto.execute("CREATE TEMP TABLE payroll (salary int)")
    otto.execute("INSERT INTO payroll VALUES (7)")
    assert otto.execute("SELECT * FROM payroll").fetchall() == [(7,)]
    assert otto.execute(
        "SELECT count(*) FROM payroll p JOIN orders o ON o.id = p.salary"
    ).fetchone() in [(0,), (1,)]
    otto.execute("DROP TABLE payroll")


def test_what_it_is_made_of_stays_usable(otto: psycopg.Connection, shop: RunningServer) -> None:
    """Hidden members may be in the definitions of visible ones, and in row rules."""
    assert otto.execute("SELECT measure(paid), count(*) FROM sold").fetchall() == [(1100, 10)]
    with psycopg.connect(dsn(shop, "olga"), autocommit=True) as olga:
        assert olga.execute("SELECT measure(revenue) FROM orders").fetchall() == [(1000,)]
    with psycopg.connect(dsn(shop, "nora"), autocommit=True) as nora:
        assert nora.execute("SELECT count(*) FROM orders").fetchall() == [(0,)]
