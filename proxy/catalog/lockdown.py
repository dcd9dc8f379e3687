"""The SQL that turns a fresh cluster into a catalog: one database, no side doors, marker functions.

It runs once, when the template cluster is made. Every function that an ordinary user may call by
default was looked at; revoked is what reaches files, other backends or large objects, waits, holds
locks, or runs SQL given as text (which would pass by the classification of statements).
Unlocking stays allowed: drivers call ``pg_advisory_unlock_all()`` when they reset a session.
"""

from __future__ import annotations

from proxy.catalog.protocol import identifier, literal
from semantic.model.functions import ConfiguredFunction

BOOTSTRAP_ROLE = "bootstrap"
OWNER = "pg_cubewire"
"""The superuser: owner of everything. No client can log in by this name: CREATE ROLE refuses the
prefix, so a client's own role can never be it."""

ANALYST = "pg_cubewire_analyst"
"""Who parses statements for analysis; may do no more than any client."""

REVOKED = (
    r"^(lo_|lo(read|write)$)",
    r"^pg_sleep",
    r"^pg_(try_)?advisory_(xact_)?lock",
    r"^pg_(cancel|terminate)_backend$",
    r"^pg_(read|stat|ls|rotate)_?(file|binary|dir|logfile|\w*dir$)",
    r"^pg_(logical|create|copy|drop|replication|sync)_",
    r"^pg_(export_snapshot|import_system_collations|extension_config_dump|nextoid)$",
    r"^pg_(isolation_test|stop_making|log_backend|promote|wal_replay|reload_conf|switch_wal)",
    r"^pg_(backup|stop_backup|start_backup|stat_reset|stat_force|current_logfile)",
    r"^binary_upgrade_",
    r"^(brin_(de)?summarize|gin_clean_pending)",
    r"_to_xml(schema|_and_xmlschema)?$",
    r"^(ts_stat|currtid2)$",
)
"""Names in pg_catalog, as regular expressions, that ordinary users may not call."""

MARKERS = ("measure", "agg", "aggregate")
"""The aggregates of rule M1: they type-check, and fail when they are really computed."""

MISROUTED_MESSAGE = "this statement reads a cube but was routed to the catalog"
MISROUTED_HINT = (
    "The catalog holds no rows. Write the statement so that each cube is a plain table reference."
)
POISON = "answered_by_warehouse"
"""The row policy's function: its name says where the rows are."""

ROWS = "warehouse_rows"
"""The function that views select from."""

SETTINGS = {
    "listen_addresses": "",
    "allow_system_table_mods": "on",
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_replication_slots": "0",
    "max_logical_replication_workers": "0",
    "max_prepared_transactions": "0",
    "max_worker_processes": "0",
    "max_parallel_workers": "0",
    "max_parallel_workers_per_gather": "0",
    "autovacuum": "off",
    "bgwriter_lru_maxpages": "0",
    "checkpoint_timeout": "1d",
    "shared_buffers": "8MB",
    "temp_file_limit": "524288kB",
    "jit": "off",
    "update_process_title": "off",
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_checkpoints": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "datestyle": "iso, mdy",
    "lc_messages": "C",
    "default_text_search_config": "pg_catalog.english",
    "huge_pages": "off",
    "superuser_reserved_connections": "3",
    "unix_socket_permissions": "0700",
}
"""postgresql.conf of the child. The data are disposable: nothing is flushed."""


def configuration() -> str:
    """The lines to be added to postgresql.conf."""
    return "".join(f"{name} = {literal(value)[1:]}\n" for name, value in SETTINGS.items())


def rename_database(database: str) -> str:
    """Run in template1: the only database gets the name that clients see."""
    name = identifier(database)
    return f"ALTER DATABASE postgres RENAME TO {name}; COMMENT ON DATABASE {name} IS NULL"


def drop_templates() -> tuple[str, ...]:
    """Run in the database, one by one: clients then see one database."""
    return (
        "UPDATE pg_catalog.pg_database SET datistemplate = false",
        "DROP DATABASE template0",
        "DROP DATABASE template1",
    )


def restrictions() -> str:
    """Run in the database: what ordinary users may not do. Temporary tables they may make."""
    pattern = "|".join(f"({part})" for part in REVOKED)
    return f"""
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
REVOKE USAGE ON LANGUAGE sql, plpgsql FROM PUBLIC;
DO $do$
DECLARE signature text;
BEGIN
    FOR signature IN
        SELECT p.oid::pg_catalog.regprocedure::text FROM pg_catalog.pg_proc p
        WHERE p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace
          AND (p.proname ~ {literal(pattern)}
               OR p.oid = 'pg_catalog.ts_rewrite(tsquery,text)'::pg_catalog.regprocedure)
    LOOP
        EXECUTE 'REVOKE EXECUTE ON FUNCTION ' || signature || ' FROM PUBLIC';
    END LOOP;
END
$do$;
"""


def marker_functions(schema: str) -> str:
    """The aggregates of rule M1 and the functions that fail when a cube is really read."""
    place = identifier(schema)
    raising = (
        "BEGIN RAISE EXCEPTION USING ERRCODE = '0A000', "
        f"MESSAGE = {literal(MISROUTED_MESSAGE)}, HINT = {literal(MISROUTED_HINT)}; END"
    )
    unmeasured = (
        "BEGIN RAISE EXCEPTION USING ERRCODE = '0A000', "
        "MESSAGE = 'a measure can only be taken of a cube', "
        "HINT = 'measure(), agg() and aggregate() take a measure of a cube or view.'; END"
    )
    statements = [
        # Cost: the policy is asked before any condition of the client's, however cheap.
        f"CREATE OR REPLACE FUNCTION {place}.{POISON}() RETURNS boolean LANGUAGE plpgsql "
        f"VOLATILE COST 0.0001 AS {literal(raising)}",
        f"CREATE OR REPLACE FUNCTION {place}.{ROWS}() RETURNS SETOF record LANGUAGE plpgsql "
        f"VOLATILE AS {literal(raising)}",
        f"CREATE OR REPLACE FUNCTION {place}.measure_step(anyelement, anyelement) "
        f"RETURNS anyelement LANGUAGE plpgsql VOLATILE AS {literal(unmeasured)}",
    ]
    statements += [
        f"CREATE OR REPLACE AGGREGATE {place}.{name}(anyelement) "
        f"(SFUNC = {place}.measure_step, STYPE = anyelement)"
        for name in MARKERS
    ]
    statements += [
        f"COMMENT ON AGGREGATE {place}.{name}(anyelement) IS 'value of a measure of a cube'"
        for name in MARKERS
    ]
    return ";\n".join(statements)


def warehouse_function(function: ConfiguredFunction, *, superuser: bool) -> str:
    """A stub of a function of the warehouse: it has the types, and fails when it is called."""
    arguments = ", ".join(map(identifier, function.arguments))
    message = literal(f"the function {function.name} is called in the warehouse alone")
    raising = (
        f"BEGIN RAISE EXCEPTION USING ERRCODE = '0A000', MESSAGE = {message}, "
        "HINT = 'Write it in a query over cubes.'; END"
    )
    options = "VOLATILE" if function.volatile else "STABLE"
    options += " STRICT" if function.strict else ""
    options += " LEAKPROOF" if function.leakproof and superuser else ""
    signature = f"public.{identifier(function.name)}({arguments})"
    return (
        f"CREATE OR REPLACE FUNCTION {signature} RETURNS {identifier(function.result)} "
        f"LANGUAGE plpgsql {options} AS {literal(raising)}; "
        f"COMMENT ON FUNCTION {signature} IS 'function of the warehouse'"
    )


BACKEND_PID = """
ALTER FUNCTION pg_catalog.pg_backend_pid() RENAME TO catalog_backend_pid;
CREATE FUNCTION pg_catalog.pg_backend_pid() RETURNS integer
    LANGUAGE sql STABLE STRICT PARALLEL RESTRICTED
    AS $$ SELECT coalesce(nullif(current_setting('cubewire.backend_pid', true), '')::integer,
                          pg_catalog.catalog_backend_pid()) $$;
COMMENT ON FUNCTION pg_catalog.pg_backend_pid() IS 'statistics: current backend PID';
DO $do$
BEGIN
    EXECUTE 'CREATE OR REPLACE VIEW pg_catalog.pg_stat_activity AS SELECT datid, datname, '
        || 'CASE WHEN pid = catalog_backend_pid() THEN pg_backend_pid() ELSE pid END AS pid, '
        || (SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
            WHERE attrelid = 'pg_stat_activity'::regclass AND attnum > 3)
        || ' FROM (' || rtrim(pg_get_viewdef('pg_stat_activity'::regclass), ';')
        || ') activity WHERE pid = catalog_backend_pid()';
END
$do$;
"""
"""A client's process id is the one in its BackendKeyData, which is not the child's. In
pg_stat_activity a session sees itself alone: other backends are a pool's, nobody's sessions."""


def membership(user: str, role: str) -> str:
    """Lets ``user`` SET ROLE to ``role``, and inherit nothing of it.

    Not by GRANT, which refuses two users that may act for each other.
    """
    return f"""
INSERT INTO pg_catalog.pg_auth_members
    (oid, roleid, member, grantor, admin_option, inherit_option, set_option)
SELECT pg_catalog.pg_nextoid('pg_auth_members', 'oid', 'pg_auth_members_oid_index'),
    r.oid, u.oid, o.oid, false, false, true
FROM pg_catalog.pg_roles r, pg_catalog.pg_roles u, pg_catalog.pg_roles o
WHERE r.rolname = {literal(role)} AND u.rolname = {literal(user)} AND o.rolname = current_user
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_auth_members m WHERE m.roleid = r.oid
        AND m.member = u.oid)
"""


def owner_roles() -> tuple[str, ...]:
    """Run last: the owner's final name, which only a catalog update can give, and the analyst."""
    return (
        "CREATE ROLE analyst LOGIN",
        f"UPDATE pg_catalog.pg_authid SET rolname = {literal(ANALYST)} WHERE rolname = 'analyst'",
        f"UPDATE pg_catalog.pg_authid SET rolname = {literal(OWNER)} "
        f"WHERE rolname = {literal(BOOTSTRAP_ROLE)}",
    )
