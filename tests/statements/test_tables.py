"""Statements about tables: which tables they name, and the query that fills them."""

import pytest

from semantic.compiler.statements import Select, TableChange, parse_statement
from semantic.compiler.utility.tables import source_of

Name = tuple[str | None, str]
T: Name = (None, "t")


@pytest.mark.parametrize(
    ("text", "verb", "temporary", "names"),
    [
        ("INSERT INTO t VALUES (1)", "INSERT", False, (T,)),
        ('insert into pg_temp."#T" (a) select 1', "INSERT", False, (("pg_temp", "#T"),)),
        ("WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a", "INSERT", False, (T,)),
        ("with a as (select 1) delete from t using a", "DELETE", False, (T,)),
        ("UPDATE ONLY t SET a = 1", "UPDATE", False, (T,)),
        ("DELETE FROM db.s.t", "DELETE", False, (("s", "t"),)),
        ("MERGE INTO t USING x ON true WHEN MATCHED THEN DELETE", "MERGE", False, (T,)),
        ("truncate t", "TRUNCATE TABLE", False, (T,)),
        ('TRUNCATE TABLE ONLY t, "T" CASCADE', "TRUNCATE TABLE", False, (T, (None, "T"))),
        ("ANALYZE (VERBOSE) t (a), x", "ANALYZE", False, (T, (None, "x"))),
        ("CREATE TABLE t (a int)", "CREATE TABLE", False, (T,)),
        ("CREATE TABLE pg_temp.t (a int)", "CREATE TABLE", True, (("pg_temp", "t"),)),
        ("CREATE TEMP TABLE IF NOT EXISTS t (a int)", "CREATE TABLE", True, (T,)),
        ('CREATE GLOBAL TEMPORARY TABLE "#T" (a int)', "CREATE TABLE", True, ((None, "#T"),)),
        ("CREATE TABLE t AS SELECT 1", "CREATE TABLE AS", False, (T,)),
        ("CREATE UNLOGGED TABLE t AS SELECT 1", "CREATE TABLE AS", False, (T,)),
        ("create local temp table t on commit drop as select 1", "CREATE TABLE AS", True, (T,)),
        ("CREATE UNIQUE INDEX i ON t (a)", "CREATE INDEX", False, (T,)),
        ("CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON ONLY t (a)", "CREATE INDEX", False, (T,)),
        ("DROP TABLE t, pg_temp.t CASCADE", "DROP TABLE", False, (T, ("pg_temp", "t"))),
        ("DROP INDEX i", "DROP INDEX", False, ((None, "i"),)),
        ("ALTER TABLE IF EXISTS ONLY t ADD a int", "ALTER TABLE", False, (T,)),
        ("SELECT 1 INTO t", "SELECT INTO", False, (T,)),
        ("SELECT 1 INTO UNLOGGED TABLE t", "SELECT INTO", False, (T,)),
        ("SELECT 1 INTO LOCAL TEMPORARY t FROM x", "SELECT INTO", True, (T,)),
        ("select 1 into temp table t union select 2", "SELECT INTO", True, (T,)),
        ("WITH a AS (SELECT 1) SELECT * INTO TEMP t FROM a", "SELECT INTO", True, (T,)),
        ("SELECT 1 INTO t /* x */;", "SELECT INTO", False, (T,)),
        ("-- x\nSELECT 1 INTO pg_temp.t", "SELECT INTO", True, (("pg_temp", "t"),)),
    ],
)
def test_which_tables(text: str, verb: str, temporary: bool, names: tuple[Name, ...]) -> None:
    found = parse_statement(text)
    assert isinstance(found, TableChange)
    assert (found.verb, found.temporary, found.names) == (verb, temporary, names)
    assert found.text == text


def test_a_missing_table_may_be_dropped() -> None:
    found = parse_statement('DROP TABLE IF EXISTS "#T"')
    assert isinstance(found, TableChange)
    assert found.missing_ok
    assert found.names == ((None, "#T"),)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1 /* INTO t */",
        "SELECT 'into t'",
        'SELECT "into" FROM t',
        "SELECT 1 FROM t FOR UPDATE",
        "SELECT (SELECT 1 INTO t)",
        "SELECT INTO t 1",
        "SELECT 1 INTO t, u",
        "WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a",
        "SELECT update FROM t",
    ],
)
def test_queries_that_stay_queries(text: str) -> None:
    assert parse_statement(text) == Select(text)


@pytest.mark.parametrize(
    ("text", "query", "head", "tail", "with_data"),
    [
        ("SELECT 1 INTO TEMP t", "SELECT 1            ", "CREATE TEMPORARY TABLE t AS ", "", True),
        (
            'SELECT 1 INTO pg_temp."a b" FROM x',
            "SELECT 1                    FROM x",
            'CREATE TEMPORARY TABLE pg_temp."a b" AS ',
            "",
            True,
        ),
        (
            "CREATE TEMP TABLE t AS SELECT 1",
            "                       SELECT 1",
            "CREATE TEMP TABLE t AS ",
            "",
            True,
        ),
        (
            "CREATE TEMP TABLE t(a) AS TABLE x WITH NO DATA",
            "                          TABLE x ",
            "CREATE TEMP TABLE t(a) AS ",
            "",
            False,
        ),
        ("INSERT INTO t SELECT 1", "              SELECT 1", "INSERT INTO t ", "", True),
        (
            "INSERT INTO t AS x (a, b) OVERRIDING USER VALUE (SELECT 1) ON CONFLICT DO NOTHING",
            "                                                (SELECT 1) ",
            "INSERT INTO t AS x (a, b) OVERRIDING USER VALUE ",
            "ON CONFLICT DO NOTHING",
            True,
        ),
        (
            "WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a RETURNING *",
            "WITH a AS (SELECT 1)               SELECT * FROM a ",
            "INSERT INTO t ",
            "RETURNING *",
            True,
        ),
    ],
)
def test_the_query_that_fills_it(
    text: str, query: str, head: str, tail: str, with_data: bool
) -> None:
    found = parse_statement(text)
    assert isinstance(found, TableChange)
    source = source_of(found)
    assert source is not None
    assert (source.query, source.head, source.tail, source.with_data) == (
        query,
        head,
        tail,
        with_data,
    )
    assert len(source.query) + len(source.tail) <= len(text)


@pytest.mark.parametrize(
    "text",
    ["INSERT INTO t DEFAULT VALUES", "CREATE TEMP TABLE t AS EXECUTE p", "DELETE FROM t"],
)
def test_no_query_fills_it(text: str) -> None:
    found = parse_statement(text)
    assert isinstance(found, TableChange)
    assert source_of(found) is None
