"""Functions and statements that would reach past the cubes: refused wherever they stand.

Reliability.md's test 20 and its list of functions as side doors. The PostgreSQL warehouse logs
every statement that reaches it: of all that is refused here, none does.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import fields

import psycopg
import pytest

from proxy.wire import backend
from proxy.wire.backend import ErrorResponse
from proxy.wire.frontend import Parse, Sync
from tests.reliability.support import address, serving
from tests.support.oracle import OraclePostgres
from tests.support.raw_client import RawClient
from tests.support.server import RunningServer

CUBES = {"duckdb": "tiny", "postgres": "distant_words"}

SCALARS = {
    "duckdb": (
        "getenv('HOME')",
        "current_setting('threads')",
        "stats(id)",
        "error('x')",
        "txid_current()",
        "which_secret('s3://x', 's3')",
        "nextval('s')",
        "write_log('x')",
        "get_variable('x')",
        "current_query()",
        "in_search_path('a', 'b')",
        "hash(id)",
        "json_execute_serialized_sql('x')",
        "pg_read_file('/etc/passwd')",
        "query('SELECT 1')",
        "query_table('tiny')",
        "read_text('/etc/passwd')",
    ),
    "postgres": (
        "pg_read_file('/etc/passwd')",
        "pg_read_binary_file('/etc/passwd')",
        "pg_stat_file('/etc/passwd')",
        "pg_ls_dir('/')",
        "lo_import('/etc/passwd')",
        "lo_export(1, '/tmp/x')",
        "lo_get(1)",
        "lo_from_bytea(0, 'x')",
        "dblink('host=127.0.0.1', 'SELECT 1')",
        "dblink_connect('host=127.0.0.1')",
        "query_to_xml('SELECT 1', true, true, '')",
        "query_to_xml_and_xmlschema('SELECT 1', true, true, '')",
        "table_to_xml('pg_authid', true, true, '')",
        "database_to_xml(true, true, '')",
        "set_config('a.b', 'c', false)",
        "current_setting('is_superuser')",
        "pg_sleep(1)",
        "pg_sleep_for('1 s')",
        "pg_advisory_lock(1)",
        "pg_notify('a', 'b')",
        "pg_terminate_backend(1)",
        "pg_stat_get_backend_activity(1)",
        "pg_stat_get_activity(NULL)",
        "has_table_privilege('distant_words', 'select')",
        "has_column_privilege('distant_words', 'word', 'select')",
        "pg_has_role('pg_monitor', 'member')",
        "pg_get_viewdef('pg_stats'::text)",
        "pg_relation_size('distant_words')",
        "nextval('s')",
        "txid_current()",
        "inet_server_addr()",
        "to_regclass('pg_authid')",
        "ts_rewrite('a'::tsquery, 'SELECT 1')",
        "pg_export_snapshot()",
        "xpath('/a', '<a/>')",
    ),
}

TABLES = {
    "duckdb": (
        "query('SELECT 1')",
        "query_table('tiny')",
        "read_csv('/etc/passwd')",
        "read_csv_auto('/etc/passwd')",
        "read_text('/etc/passwd')",
        "read_blob('/etc/passwd')",
        "read_json('/etc/passwd')",
        "read_parquet('/etc/passwd')",
        "sniff_csv('/etc/passwd')",
        "glob('/*')",
        "parquet_metadata('/etc/passwd')",
        "duckdb_secrets()",
        "duckdb_tables()",
        "duckdb_columns()",
        "duckdb_settings()",
        "duckdb_logs()",
        "pragma_storage_info('tiny')",
        "pragma_table_info('tiny')",
        "pragma_version()",
        "sqlite_scan('x', 't')",
        "postgres_scan('', 'public', 't')",
        "range(5)",
        "checkpoint()",
        "force_checkpoint()",
        "seq_scan('tiny')",
        "'/etc/passwd'",
        '"/etc/passwd"',
        "main.tiny",
        "memory.main.tiny",
        "information_schema.tables",
        "pg_catalog.pg_tables",
        "sqlite_master",
    ),
    "postgres": (
        "pg_ls_dir('/')",
        "pg_read_file('/etc/passwd')",
        "dblink('', 'SELECT 1') AS t(a int)",
        "pg_stat_get_activity(NULL)",
        "pg_stat_activity",
        "pg_authid",
        "pg_stats",
        "pg_shadow",
        "pg_catalog.pg_class",
        "pg_file_settings",
        "information_schema.tables",
        "pg_get_keywords()",
        "json_to_recordset('[]') AS t(a int)",
        "xmltable('/a' PASSING '<a/>' COLUMNS b text)",
        "ROWS FROM (pg_ls_dir('/'))",
        "ts_stat('SELECT 1')",
        "public.distant_other",
    ),
}

PLACES = (
    "SELECT {f} FROM {c}",
    "SELECT id FROM {c} WHERE {f} IS NOT NULL",
    "SELECT id FROM {c} WHERE id = 1 AND NOT ({f} IS NULL)",
    "SELECT count(*) FROM {c} GROUP BY {f}",
    "SELECT count(*) FROM {c} HAVING max(({f})::text) IS NULL",
    "SELECT id FROM {c} ORDER BY {f}",
    "SELECT DISTINCT ON ({f}) id FROM {c}",
    "SELECT count(*) FILTER (WHERE {f} IS NULL) FROM {c}",
    "SELECT sum(id) OVER (PARTITION BY {f}) FROM {c}",
    "SELECT CASE WHEN id = 1 THEN 'a' ELSE ({f})::text END FROM {c}",
    "SELECT coalesce(NULL, ({f})::text) FROM {c}",
    "SELECT ARRAY[({f})::text] FROM {c}",
    "SELECT a.id FROM {c} a JOIN {c} b ON a.id = b.id AND {f} IS NULL",
    "SELECT (SELECT {f}) FROM {c}",
    "SELECT id FROM {c} WHERE EXISTS (SELECT 1 WHERE {f} IS NULL)",
    "WITH w AS (SELECT {f} AS x) SELECT * FROM w, {c}",
    "SELECT * FROM {c}, LATERAL (SELECT {f}) AS q",
    "SELECT * FROM {c}, (VALUES (({f})::text)) AS v",
    "SELECT id::text FROM {c} UNION ALL SELECT ({f})::text",
    "SELECT id FROM {c} LIMIT (SELECT 1 WHERE {f} IS NULL)",
    "SELECT upper(({f})::text) FROM {c}",
    "SELECT MEASURE(total), {f} FROM {c} GROUP BY 2",
    "EXPLAIN SELECT {f} FROM {c}",
    "EXPLAIN ANALYZE SELECT {f} FROM {c}",
    "COPY (SELECT {f} FROM {c}) TO STDOUT",
    "PREPARE door AS SELECT {f} FROM {c}",
    "DECLARE door CURSOR WITH HOLD FOR SELECT {f} FROM {c}",
    "CREATE TEMP TABLE door AS SELECT {f} AS x FROM {c}",
)

TABLE_PLACES = (
    "SELECT * FROM {c}, {f}",
    "SELECT {c}.id FROM {c} CROSS JOIN {f}",
    "SELECT {c}.id FROM {c} LEFT JOIN {f} ON true",
    "SELECT * FROM {c}, LATERAL (SELECT * FROM {f}) AS q",
    "SELECT id FROM {c} WHERE EXISTS (SELECT 1 FROM {f})",
    "SELECT (SELECT count(*) FROM {f}) FROM {c}",
    "WITH w AS (SELECT * FROM {f}) SELECT * FROM w, {c}",
    "SELECT id::text FROM {c} UNION ALL SELECT 'x' FROM {f}",
    "EXPLAIN SELECT * FROM {c}, {f}",
    "COPY (SELECT {c}.id FROM {c}, {f}) TO STDOUT",
    "PREPARE door AS SELECT * FROM {c}, {f}",
)

REFUSALS = {"42501", "42883", "0A000", "42P01", "42601", "42703", "42809", "42704", "42804"}
"""Not allowed, not known, not supported, no such relation, and what is no syntax or type."""

STATEMENTS = {
    "25006": (
        "CREATE TABLE x (a int)",
        "CREATE TABLE x AS SELECT * FROM {c}",
        "SELECT * INTO x FROM {c}",
        "CREATE VIEW x AS SELECT * FROM {c}",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE EXTENSION dblink",
        "CREATE ROLE x SUPERUSER",
        "ALTER TABLE {c} ADD COLUMN x int",
        "ALTER SYSTEM SET work_mem = '1GB'",
        "DROP TABLE {c}",
        "DROP SCHEMA public CASCADE",
        "TRUNCATE {c}",
        "INSERT INTO {c} VALUES (1)",
        "INSERT INTO {c} SELECT * FROM {c}",
        "UPDATE {c} SET id = 1",
        "DELETE FROM {c}",
        "MERGE INTO {c} USING {c} s ON false WHEN NOT MATCHED THEN INSERT VALUES (1)",
        "GRANT ALL ON {c} TO PUBLIC",
        "REVOKE ALL ON {c} FROM PUBLIC",
        "COMMENT ON TABLE {c} IS 'x'",
        "COPY {c} FROM STDIN",
        "DO $$ BEGIN PERFORM 1; END $$",
        "CALL x()",
        "LOAD 'plpgsql'",
        "VACUUM {c}",
        "ANALYZE {c}",
        "REINDEX TABLE {c}",
        "CLUSTER {c}",
        "CHECKPOINT",
        "LOCK TABLE {c}",
        "/* SELECT */ DELETE FROM {c} -- SELECT",
        "EXPLAIN ANALYZE DELETE FROM {c}",
        "PREPARE x AS DELETE FROM {c}",
        "REFRESH MATERIALIZED VIEW x",
    ),
    "42501": (
        "COPY {c} TO '/tmp/x'",
        "COPY (SELECT id FROM {c}) TO PROGRAM 'cat'",
        "COPY {c} FROM PROGRAM 'cat'",
        "SET enable_seqscan = off",
    ),
    "0A000": ("LISTEN x", "NOTIFY x"),
    "any": (
        "WITH d AS (DELETE FROM {c} RETURNING *) SELECT * FROM d",
        "WITH i AS (INSERT INTO {c} VALUES (1) RETURNING *) SELECT * FROM i, {c}",
        "WITH d AS (SELECT 1) DELETE FROM {c}",
        "SELECT 1 FROM {c} FOR UPDATE",
        "SELECT 1 FROM {c} TABLESAMPLE system (10)",
        "EXPLAIN (ANALYZE) WITH d AS (DELETE FROM {c} RETURNING 1) SELECT * FROM d",
        "ATTACH '/tmp/x.db'",
        "ATTACH ':memory:' AS x",
        "DETACH memory",
        "PRAGMA database_list",
        "PRAGMA threads=1",
        "INSTALL httpfs",
        "FORCE INSTALL httpfs",
        "SET threads = 1",
        "SET GLOBAL threads = 1",
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "SET log_statement = 'none'",
        "SET SESSION AUTHORIZATION oracle",
        "SUMMARIZE {c}",
        "SUMMARIZE SELECT * FROM {c}",
        "DESCRIBE {c}",
        "SHOW TABLES",
        "FROM {c}",
        "FROM {c} SELECT id",
        "PIVOT {c} ON id",
        "SELECT * EXCLUDE (id) FROM {c}",
        "SELECT COLUMNS('.*') FROM {c}",
        "SELECT * FROM {c} QUALIFY row_number() OVER () = 1",
        "EXPORT DATABASE '/tmp/x'",
        "IMPORT DATABASE '/tmp/x'",
        "USE memory",
        "CREATE SECRET (TYPE s3)",
        "CREATE MACRO m(a) AS a",
        "EXPLAIN (FORMAT html) SELECT * FROM {c}",
    ),
}
"""By the SQLSTATE that refuses them; ``any`` of those of this module."""


BESIDE = (
    "SELECT id FROM {c}; DELETE FROM {c}",
    "SELECT id FROM {c} /* ; */; ; DROP TABLE {c}",
    "SELECT id FROM {c} -- ;\n; DELETE FROM {c}",
    "SELECT id FROM {c} WHERE ';' = $$;$$; TRUNCATE {c}",
)
"""A query, which runs, and a statement that is refused."""


class Watched(OraclePostgres):
    """The oracle as a warehouse whose log has every statement of our server."""

    @property
    def dsn(self) -> str:
        return f"postgresql://watched@{self.host}:{self.port}/postgres"

    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")


@pytest.fixture(scope="module")
def warehouse(oracle: OraclePostgres) -> Watched:
    with psycopg.connect(oracle.dsn, autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = 'watched'").fetchall():
            connection.execute("CREATE ROLE watched LOGIN SUPERUSER")
        connection.execute("ALTER ROLE watched SET log_statement = 'all'")
    return Watched(*(getattr(oracle, field.name) for field in fields(oracle)))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, warehouse: Watched) -> Iterator[RunningServer]:
    with serving(tmp_path_factory.mktemp("doors"), oracle=warehouse) as running:
        yield running


@pytest.fixture
def client(server: RunningServer) -> Iterator[RawClient]:
    with address(server).session() as opened:
        opened.socket.settimeout(60)
        yield opened


def codes(answers: Sequence[object]) -> list[str]:
    return [each.fields["C"] for each in answers if isinstance(each, ErrorResponse)]


def check(client: RawClient, statements: Sequence[str], expected: set[str]) -> None:
    """Every one is refused, by the simple protocol and by Parse."""
    wrong = []
    for sql in statements:
        found = codes(client.query(sql))
        if len(found) != 1 or found[0] not in expected:
            wrong.append(f"{sql}: {found or 'answered'}")
        if ";" not in sql:
            found = codes(client.exchange(Parse("", sql, ()), Sync()))
            if any(code not in expected for code in found):
                wrong.append(f"{sql} (Parse): {found}")
    assert not wrong, "\n".join(wrong)


def renamed(call: str) -> tuple[str, ...]:
    """The same function by its other spellings."""
    name, parenthesis, rest = call.partition("(")
    if not parenthesis or not name.isidentifier():
        return (call,)
    return (
        call,
        f'"{name}"({rest}',
        f"pg_catalog.{name}({rest}",
        f"{name.upper()} /**/ ({rest}",
    )


@pytest.mark.parametrize("kind", CUBES)
def test_functions_in_every_place(client: RawClient, warehouse: Watched, kind: str) -> None:
    before = len(warehouse.log())
    cube = CUBES[kind]
    spelled = [
        PLACES[number % len(PLACES)].format(f=each, c=cube)
        for number, each in enumerate(itertools.chain(*map(renamed, SCALARS[kind])))
    ]
    everywhere = [place.format(f=each, c=cube) for each in SCALARS[kind][:6] for place in PLACES]
    check(client, [*spelled, *everywhere], REFUSALS)
    assert "statement:" not in warehouse.log()[before:]
    assert "execute" not in warehouse.log()[before:]


@pytest.mark.parametrize("kind", CUBES)
def test_table_functions_in_every_place(client: RawClient, warehouse: Watched, kind: str) -> None:
    before = len(warehouse.log())
    cube = CUBES[kind]
    statements = [place.format(f=each, c=cube) for each in TABLES[kind] for place in TABLE_PLACES]
    check(client, statements, REFUSALS)
    assert "statement:" not in warehouse.log()[before:]
    assert "execute" not in warehouse.log()[before:]


@pytest.mark.parametrize("kind", CUBES)
def test_statements(client: RawClient, warehouse: Watched, kind: str) -> None:
    before = len(warehouse.log())
    for sqlstate, statements in STATEMENTS.items():
        expected = {sqlstate} if sqlstate != "any" else {*REFUSALS, "25006", "42704", "22023"}
        check(client, [each.format(c=CUBES[kind]) for each in statements], expected)
    assert "statement:" not in warehouse.log()[before:]
    assert "execute" not in warehouse.log()[before:]


def test_statements_beside_a_query(client: RawClient, warehouse: Watched) -> None:
    before = len(warehouse.log())
    for sql in BESIDE:
        assert codes(client.query(sql.format(c="distant_words"))) == ["25006"]
    forwarded = warehouse.log()[before:]
    assert not any(verb in forwarded for verb in ("DELETE", "DROP", "TRUNCATE"))


def test_the_log_would_have_shown_it(client: RawClient, warehouse: Watched) -> None:
    before = len(warehouse.log())
    answers = client.query("SELECT count(*) FROM distant_words")
    assert any(isinstance(each, backend.DataRow) for each in answers)
    assert "distant_words" in warehouse.log()[before:]
