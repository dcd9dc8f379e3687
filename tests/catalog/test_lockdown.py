"""What a client may not do in the catalog, and what it must be able to do."""

from __future__ import annotations

import pytest

from proxy.catalog import Catalog, CatalogError
from tests.catalog.support import ask, rows_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

DENIED = [
    "SELECT pg_sleep(1)",
    "SELECT pg_sleep_for('1 s')",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_read_binary_file('PG_VERSION')",
    "SELECT pg_ls_dir('.')",
    "SELECT pg_ls_waldir()",
    "SELECT pg_ls_logdir()",
    "SELECT pg_stat_file('PG_VERSION')",
    "SELECT pg_current_logfile()",
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_try_advisory_lock(1, 2)",
    "SELECT pg_advisory_xact_lock_shared(1)",
    "SELECT lo_import('/etc/passwd')",
    "SELECT lo_creat(-1)",
    "SELECT lo_from_bytea(0, 'x')",
    "SELECT loread(0, 1)",
    "SELECT lowrite(0, 'x')",
    "SELECT pg_terminate_backend(1)",
    "SELECT pg_cancel_backend(1)",
    "SELECT pg_reload_conf()",
    "SELECT pg_rotate_logfile()",
    "SELECT pg_switch_wal()",
    "SELECT pg_create_restore_point('x')",
    "SELECT pg_create_physical_replication_slot('x')",
    "SELECT pg_logical_emit_message(false, 'a', 'b')",
    "SELECT pg_log_backend_memory_contexts(1)",
    "SELECT pg_export_snapshot()",
    "SELECT pg_import_system_collations('public'::regnamespace)",
    "SELECT pg_stat_reset()",
    "SELECT pg_promote()",
    "SELECT query_to_xml('select 1', true, true, '')",
    "SELECT database_to_xml(true, true, '')",
    "SELECT table_to_xml('orders'::regclass, true, true, '')",
    "SELECT * FROM ts_stat('select null::tsvector')",
    "SELECT ts_rewrite('a'::tsquery, 'select null::tsquery, null::tsquery')",
    "SELECT binary_upgrade_set_next_pg_type_oid(1)",
    "SELECT * FROM pg_authid",
    "SELECT * FROM pg_shadow",
    "SELECT * FROM pg_hba_file_rules",
    "SELECT * FROM pg_statistic",
    "CREATE TABLE t (a int)",
    "CREATE SCHEMA s",
    "CREATE ROLE other",
    "CREATE DATABASE other",
    "CREATE EXTENSION lo",
    "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "DO 'BEGIN LOOP END LOOP; END'",
    "COPY (SELECT 1) TO PROGRAM 'cat'",
    "COPY (SELECT 1) TO '/tmp/x'",
    "COPY customers FROM '/etc/passwd'",
    "COPY customers FROM STDIN",
    "INSERT INTO customers DEFAULT VALUES",
    "UPDATE customers SET name = 'x'",
    "DELETE FROM customers",
    "TRUNCATE customers",
    "DROP TABLE customers",
    "ALTER TABLE customers DISABLE ROW LEVEL SECURITY",
    "LOCK TABLE customers",
    "SELECT * FROM customers FOR UPDATE",
    "CHECKPOINT",
    "LOAD 'auto_explain'",
    "SET ROLE pg_cubewire",
    "SET SESSION AUTHORIZATION pg_cubewire",
    "SET session_replication_role = replica",
    "SET temp_file_limit = -1",
    "SET log_statement = 'all'",
    "SET zero_damaged_pages = on",
    "SELECT set_config('allow_system_table_mods', 'on', false)",
    "SHOW data_directory",
    "SHOW hba_file",
    "GRANT pg_read_server_files TO demo",
    "ALTER SYSTEM SET work_mem = '1GB'",
]


@pytest.mark.parametrize("sql", DENIED)
async def test_denied(shared_catalog: Catalog, sql: str) -> None:
    async with shared_catalog.lease("demo", {}) as backend:
        with pytest.raises(CatalogError) as caught:
            await rows_of(await backend.run_simple(sql))
    assert caught.value.sqlstate in {"42501", "55P02", "0A000", "22023", "25P01", "55000"}, (
        caught.value.fields
    )


ALLOWED = [
    "SELECT pg_advisory_unlock_all()",
    "UNLISTEN *",
    "CLOSE ALL",
    "RESET ALL",
    "DISCARD ALL",
    "SET statement_timeout = 0",
    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ UNCOMMITTED",
    "SET ROLE demo",
    "SELECT pg_notify('a', 'b')",
    "SELECT pg_size_pretty(pg_total_relation_size('orders'))",
    "SELECT set_config('jit', 'off', false)",
    "SELECT * FROM pg_settings",
    "SELECT * FROM pg_stat_activity",
    "SELECT * FROM pg_locks",
    "SELECT * FROM pg_stat_user_tables",
    "SELECT xmin, age(xmin) FROM pg_database",
    "SELECT pg_postmaster_start_time()",
    "COPY (SELECT 1) TO STDOUT",
]


@pytest.mark.parametrize("sql", ALLOWED)
async def test_allowed(shared_catalog: Catalog, sql: str) -> None:
    async with shared_catalog.lease("demo", {}) as backend:
        result = await backend.run_simple(sql)
        async for _ in result:
            pass
        assert result.tag


HARMLESS = {
    "pg_filenode_relation",
    "pg_get_replication_slots",
    "pg_relation_filenode",
    "pg_relation_filepath",
    "pg_stat_get_db_temp_files",
    "pg_stat_get_replication_slot",
    "pg_stat_get_db_conflict_logicalslot",
}
"""Names that look like a dangerous family's and only read statistics or the catalogs."""


async def test_no_function_of_a_dangerous_family_is_left(shared_catalog: Catalog) -> None:
    left = await ask(
        shared_catalog,
        "SELECT DISTINCT proname FROM pg_proc WHERE has_function_privilege(oid, 'execute') AND "
        "proname ~ '(_file|_dir|logfile|dblink|sleep|advisory(_xact)?_lock|^lo_|slot|"
        "terminate|cancel|reload|_to_xml)'",
    )
    assert [name for (name,) in left if name not in HARMLESS] == []


async def test_memory_is_bounded(shared_catalog: Catalog) -> None:
    with pytest.raises(CatalogError) as caught:
        await ask(shared_catalog, "SELECT length(repeat('x', 1000000000) || repeat('y', 70000000))")
    assert caught.value.sqlstate in {"53200", "54000"}
    assert await ask(shared_catalog, "SELECT 1") == [("1",)]


async def test_who_the_client_is(shared_catalog: Catalog) -> None:
    rows = await ask(
        shared_catalog,
        "SELECT current_user, session_user, current_database(), current_catalog, current_schema",
        user="Alice O'Neil",
    )
    assert rows == [("Alice O'Neil", "Alice O'Neil", "cubewire", "cubewire", "public")]


async def test_one_database_and_no_strangers(shared_catalog: Catalog) -> None:
    assert await ask(shared_catalog, "SELECT datname FROM pg_database") == [("cubewire",)]
    roles = await ask(shared_catalog, "SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_'")
    assert ("demo",) in roles
    assert ("bootstrap",) not in roles
    activity = await ask(shared_catalog, "SELECT DISTINCT usename FROM pg_stat_activity")
    assert activity == [("demo",)]


async def test_backend_pid_is_the_proxys(shared_catalog: Catalog) -> None:
    extra = {"cubewire.backend_pid": "424242"}
    async with shared_catalog.lease("demo", {}, extra) as backend:
        result = await backend.run_simple(
            "SELECT pid, pg_backend_pid() FROM pg_stat_activity WHERE pid = pg_backend_pid()"
        )
        rows = [data async for data, _ in result]
        assert b"".join(rows).count(b"424242") == 2
        assert "cubewire.backend_pid" not in await backend.session_settings()
    (own,) = await ask(shared_catalog, "SELECT pg_backend_pid()")
    assert own != ("424242",)


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TEMPORARY TABLE left_behind (a int)",
        "SELECT 1 AS a INTO TEMPORARY left_behind",
        "select 1 as a into/**/pg_temp.left_behind",
        "EXPLAIN ANALYZE CREATE TEMP TABLE left_behind AS SELECT 1",
        "SELECT 1; CREATE/**/TEMP TABLE left_behind AS SELECT 1; SELECT 2",
        "EXPLAIN (ANALYZE) SELECT 1 INTO TEMP left_behind",
    ],
)
async def test_a_shared_backend_keeps_no_temporary_table(shared_catalog: Catalog, sql: str) -> None:
    """Sessions make theirs in backends of their own; a way round that leaves nothing to others."""
    async with shared_catalog.lease("solitary", {}) as backend:
        await (await backend.run_simple(sql)).drain()
    async with shared_catalog.lease("solitary", {}) as backend:
        result = await backend.run_simple("SELECT to_regclass('left_behind') IS NULL")
        rows = [bytes(body) async for body, _ in result]
    assert rows[0].endswith(b"\x00\x00\x00\x01t")
