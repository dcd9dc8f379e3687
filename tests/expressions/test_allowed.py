"""Only what is on the list may be called, and the list is PostgreSQL's own (rule G4)."""

from __future__ import annotations

import duckdb
import psycopg
import pytest
from sqlglot import exp, parse_one
from sqlglot.errors import ParseError

from semantic.compiler.expressions import FROM_FUNCTIONS, FROM_SPLITS, check_functions
from semantic.compiler.expressions.duckdb.dialect import SUPPORTED_FUNCTIONS
from semantic.compiler.expressions.signatures.catalogue import FUNCTIONS, MARKERS
from semantic.compiler.expressions.signatures.registry import Signature
from semantic.compiler.expressions.syntax import QUANTIFIERS, SPELLINGS, call_of
from semantic.errors import ForbiddenError, SemanticError, UnsupportedError
from tests.support.oracle import OraclePostgres

SIGNATURES = [signature for found in FUNCTIONS.values() for signature in found]
# Spelled by key words, or under other names, in PostgreSQL's catalog.
KEYWORDS = {"current_date", "localtimestamp", "current_time"}
# Arguments may be left out at the end, which the catalog holds in one line.
WITH_DEFAULTS = {"jsonb_set", "make_interval"}
FORBIDDEN = [
    "select read_csv('x')",
    "select * from read_csv('x')",
    "select * from read_parquet('x')",
    "select getenv('HOME')",
    "select pg_read_file('/etc/passwd')",
    "select pg_sleep(10)",
    "select pg_sleep_for('1 day')",
    "select set_config('a', 'b', false)",
    "select current_setting('a')",
    "select query_to_xml('select 1', true, false, '')",
    "select dblink('x', 'select 1')",
    "select lo_import('/etc/passwd')",
    "select pg_terminate_backend(1)",
    "select nextval('s')",
    "select pg_typeof(1)",
    "select inet_client_addr()",
    "select duckdb_settings()",
    "select * from duckdb_settings()",
    "select * from pragma_version()",
    "select * from json_each('{}')",
    "select repeat_row(1)",
    "select sha1('x')",
    "select pg_catalog.pg_sleep(1)",
    "select public.f(1)",
    'select "pg_sleep"(1)',
    "select a operator(pg_catalog.+) b",
    "select a <-> b",
    "select a from t tablesample system (1)",
    "select a from t for update",
    "select a into b from t",
    "select a::regclass from t",
    "insert into t select 1",
    "with x as (delete from t returning *) select * from x",
    "select (a).b from t",
    "select try_cast(a as int) from t",
    "select list_transform(a, 1)",
    "select error('x')",
    "select current_schemas(true)",
    "select has_table_privilege('t', 'select')",
    "select row_to_json(t) from t",
    "select array(select 1) || pg_ls_dir('.')",
    "select count(*) filter (where pg_sleep(1) is null)",
    "select sum(a) over (order by pg_sleep(1))",
    "select a from t order by pg_sleep(1)",
    "select a from t limit (select pg_sleep(1))",
    "select case when pg_sleep(1) is null then 1 end",
]


@pytest.mark.parametrize("sql", FORBIDDEN)
def test_forbidden(sql: str) -> None:
    with pytest.raises(SemanticError) as caught:
        check_functions(parse_one(sql, read="postgres"), "duckdb")
    assert caught.value.sqlstate == "42501"


@pytest.mark.parametrize("sign", ["?", "?|", "?&", "@?", "@@", "#-"])
def test_operators_are_called_as_they_are_written(sign: str) -> None:
    with pytest.raises(SemanticError) as caught:
        check_functions(parse_one(f"select a {sign} b from t", read="postgres"), "duckdb")
    assert caught.value.sqlstate == "42501"
    assert str(caught.value) == f"permission denied for operator {sign}"


@pytest.mark.parametrize(
    "call",
    ["unnest(array[1])", "generate_series(1, 1000000000)", "string_to_table('a', ',')"],
)
def test_sets_stand_in_from(call: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        check_functions(parse_one(f"select {call}", read="postgres"), "duckdb")
    assert caught.value.sqlstate == "0A000"
    assert "FROM" in (caught.value.hint or "")
    check_functions(parse_one(f"select x from {call} as t(x)", read="postgres"), "duckdb")


READ_AS_SYNTAX = {
    *("apply", "overlaps", "show"),  # in FROM, a relation and its column
    *("greatest", "least", "nullif", "current_schema", "current_user"),
    *("array_has_all", "if", "interval", "json_extract", "like", "uuid"),  # operators and casts
}
"""Names that the parser makes other nodes of, each of which is on the list by itself."""


def known_to_engines(oracle: OraclePostgres) -> set[str]:
    """The names of all functions that DuckDB and PostgreSQL have."""
    found = duckdb.sql("SELECT DISTINCT function_name FROM duckdb_functions()").fetchall()
    with psycopg.connect(oracle.dsn) as connection:
        found += connection.execute("SELECT DISTINCT proname FROM pg_proc").fetchall()
    return {name.lower() for (name,) in found if name.isidentifier()}


def is_forbidden(tree: exp.Expr) -> bool:
    try:
        check_functions(tree, "duckdb")
    except ForbiddenError:
        return True
    return False


def test_whatever_the_engines_have_besides_the_list_is_forbidden(oracle: OraclePostgres) -> None:
    listed = {*FUNCTIONS, *MARKERS, *QUANTIFIERS, *FROM_FUNCTIONS, *FROM_SPLITS}
    names = known_to_engines(oracle) - listed
    assert len(names) > 2_000
    got_through = set()
    for name in sorted(names):
        for sql in (f"select {name}(a)", f"select * from {name}(a)", f'select "{name}"(a, 1)'):
            try:
                tree = parse_one(sql, read="postgres")
            except ParseError:
                continue
            calls = [call.name for node in tree.walk() if (call := call_of(node)) is not None]
            if not is_forbidden(tree) and not (calls and listed.issuperset(calls)):
                got_through.add(name)
    assert got_through == READ_AS_SYNTAX


def test_the_position_is_that_of_the_function() -> None:
    sql = "select a,\n  pg_sleep(1) from t"
    with pytest.raises(SemanticError) as caught:
        check_functions(parse_one(sql, read="postgres"), "duckdb")
    assert caught.value.position == sql.index("pg_sleep") + 1


@pytest.mark.parametrize(
    "sql",
    [
        "select measure(a), agg(b), aggregate(c) from t",
        "select distinct on (a) a, count(*) from t join u using (x) group by rollup (a) limit 3",
        "with x as (select 1) select * from x union all (values (2)) order by 1 nulls first",
        "select a = any (array[1]), b <> all (array[1]) from t, lateral (select 1) y",
        "select exists (select 1)",
        "select sum(a) over w from t window w as (partition by b order by c rows 1 preceding)",
        "select percentile_cont(0.5) within group (order by a) from t",
        "select mode() within group (order by b) from t",
        "select a from t fetch first 3 rows only",
    ],
)
def test_allowed(sql: str) -> None:
    check_functions(parse_one(sql, read="postgres"), "duckdb")


def described(signature: Signature) -> str:
    return f"{signature.name}({', '.join(signature.parameters)})"


@pytest.mark.parametrize("signature", SIGNATURES, ids=described)
def test_signatures_are_those_of_postgres(oracle: OraclePostgres, signature: Signature) -> None:
    if signature.name in KEYWORDS:
        return
    generic = {"any", "same", "anyarray"}
    with psycopg.connect(oracle.dsn) as connection:
        found = connection.execute(
            "SELECT array(SELECT typname FROM unnest(proargtypes) WITH ORDINALITY AS a(oid, place)"
            " JOIN pg_type USING (oid) ORDER BY place)::text[], prorettype::regtype::text, typname"
            " FROM pg_proc JOIN pg_type ON pg_type.oid = prorettype"
            " WHERE proname = %s AND pronamespace = 'pg_catalog'::regnamespace",
            (signature.name,),
        ).fetchall()
    assert found, "no such function"
    if generic & set(signature.parameters) or signature.kind == "ordered-set":
        return
    results = {tuple(arguments): result for arguments, _, result in found}
    if signature.name in WITH_DEFAULTS:
        count = len(signature.parameters)
        results = {arguments[:count]: result for arguments, result in results.items()}
    parameters = signature.parameters
    if signature.variadic:
        parameters = (*parameters[:-1], f"_{parameters[-1]}")
    assert results[parameters] == signature.result


@pytest.mark.parametrize("signature", SIGNATURES, ids=described)
def test_every_signature_is_read_as_a_call_of_its_function(signature: Signature) -> None:
    if signature.kind == "ordered-set" or signature.name in (*KEYWORDS, "mod"):
        return  # mod() is read as the operator %
    names = [name for name, canonical in SPELLINGS.items() if canonical == signature.name]
    for name in (signature.name, *names):
        if name in ("covariance_pop",):
            continue
        arguments = ", ".join(f"x{place}" for place in range(len(signature.parameters)))
        if name == "extract":
            arguments = "year from x1"
        if name == "count" and not arguments:
            arguments = "*"
        tree = parse_one(f"{name}({arguments})", read="postgres")
        if name == "timezone" and not hasattr(tree, "name"):
            continue
        call = call_of(tree)
        assert call is not None
        assert call.name == signature.name
        assert len(call.arguments) == max(len(signature.parameters), int(name == "count"))
        if name != "extract" and arguments != "*":
            assert [item.sql() for item in call.arguments] == arguments.split(", ") * bool(
                arguments
            )


def test_what_duckdb_can_do_is_on_the_list() -> None:
    assert set(FUNCTIONS) >= SUPPORTED_FUNCTIONS
