"""A session that acts for another: nothing of the one's is the other's."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.security.shop import dsn
from tests.support.server import RunningServer

HOLDABLE = "DECLARE c CURSOR WITH HOLD FOR SELECT id FROM payroll ORDER BY id"


@pytest.fixture
def stan(shop: RunningServer) -> Iterator[psycopg.Connection]:
    with psycopg.connect(dsn(shop, "stan"), autocommit=True) as connection:
        yield connection


def value(connection: psycopg.Connection, sql: str) -> object:
    row = connection.execute(sql.encode()).fetchone()
    return None if row is None else row[0]


def refused(connection: psycopg.Connection, sql: str) -> str:
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(sql.encode())
    return str(caught.value.sqlstate)


def test_prepared_statements_are_prepared_again(stan: psycopg.Connection) -> None:
    stan.execute("PREPARE n AS SELECT count(*) FROM orders")
    stan.execute("PREPARE m AS SELECT max(margin) FROM orders")
    stan.execute("PREPARE r AS SELECT to_regclass('payroll')::text")
    assert (value(stan, "EXECUTE n"), value(stan, "EXECUTE r")) == (20, "payroll")
    assert value(stan, "EXECUTE m") == 120
    stan.execute("SET ROLE otto")
    assert (value(stan, "EXECUTE n"), value(stan, "EXECUTE r")) == (10, None)
    assert refused(stan, "EXECUTE m") == "42703"
    stan.execute("RESET ROLE")
    assert (value(stan, "EXECUTE n"), value(stan, "EXECUTE r")) == (20, "payroll")
    assert value(stan, "EXECUTE m") == 120


def test_statements_of_the_protocol_too(stan: psycopg.Connection) -> None:
    stan.prepare_threshold = 0
    sql = "SELECT count(*) FROM orders WHERE id > %s"
    assert stan.execute(sql, (0,)).fetchone() == (20,)
    stan.execute("SET ROLE otto")
    assert stan.execute(sql, (0,)).fetchone() == (10,)
    with pytest.raises(psycopg.errors.UndefinedTable):
        stan.execute("SELECT * FROM payroll WHERE id = %s", (1,))


def test_cursors_end(stan: psycopg.Connection) -> None:
    stan.execute("BEGIN")
    stan.execute(HOLDABLE)
    stan.execute("COMMIT")
    assert value(stan, "FETCH c") == 1
    stan.execute("SET ROLE otto")
    assert refused(stan, "FETCH c") == "34000"
    stan.execute("RESET ROLE")
    assert refused(stan, "FETCH c") == "34000"
    stan.execute("BEGIN")
    stan.execute(HOLDABLE)
    stan.execute("SET LOCAL ROLE otto")
    assert refused(stan, "FETCH c") == "34000"
    stan.execute("ROLLBACK")
    assert value(stan, "SELECT max(salary) FROM payroll") == 3000


def test_temporary_tables_stay_with_whom_made_them(stan: psycopg.Connection) -> None:
    stan.execute("CREATE TEMP TABLE t AS SELECT salary FROM payroll")
    assert refused(stan, "SET ROLE otto") == "55000"
    assert value(stan, "SELECT count(*) FROM payroll") == 3
    stan.execute("DISCARD TEMP")
    stan.execute("SET ROLE otto")
    assert refused(stan, "SELECT * FROM t") == "42P01"
    stan.execute("CREATE TEMP TABLE payroll AS SELECT count(*) AS n FROM orders")
    assert value(stan, "SELECT n FROM payroll") == 10
    assert refused(stan, "RESET ROLE") == "55000"
    stan.execute("DROP TABLE payroll")
    stan.execute("RESET ROLE")
    assert value(stan, "SELECT count(*) FROM payroll") == 3


def test_temporary_tables_end_with_a_role_of_a_transaction(stan: psycopg.Connection) -> None:
    stan.execute("BEGIN")
    stan.execute("SET LOCAL ROLE otto")
    stan.execute("CREATE TEMP TABLE t AS SELECT count(*) AS n FROM orders")
    stan.execute("COMMIT")
    assert refused(stan, "SELECT * FROM t") == "42P01"
    assert value(stan, "SELECT count(*) FROM payroll") == 3


def test_the_catalog_is_the_others(stan: psycopg.Connection) -> None:
    hidden = "SELECT count(*) FROM pg_class WHERE relname IN ('payroll', 'customers')"
    assert value(stan, hidden) == 2
    stan.execute("BEGIN")
    stan.execute("SET LOCAL ROLE otto")
    assert value(stan, hidden) == 0
    assert value(stan, "SELECT current_user") == "otto"
    stan.execute("SAVEPOINT s")
    stan.execute("SET LOCAL ROLE sara")
    assert value(stan, hidden) == 1
    stan.execute("ROLLBACK TO s")
    assert value(stan, hidden) == 0
    stan.execute("ROLLBACK")
    assert value(stan, hidden) == 2


def test_callers_with_equal_access_share_what_is_compiled_and_see_their_own(
    shop: RunningServer,
) -> None:
    found = {}
    for user in ("otto", "olga", "sara", "nora"):
        with psycopg.connect(dsn(shop, user), autocommit=True) as connection:
            found[user] = value(connection, "SELECT measure(revenue) FROM orders")
    assert found == {"otto": 1100, "olga": 1000, "sara": 1100, "nora": None}
