"""Temporary tables in a statement over cubes: what their names mean, and how their rows travel."""

from __future__ import annotations

import dataclasses

import pytest

from semantic.compiler.api import (
    MIXED_DECIMALS,
    Analysis,
    CompiledStatement,
    ResultColumn,
    SessionSettings,
    TemporaryTable,
)
from semantic.errors import SemanticError, UnsupportedError
from semantic.model.types import INT4, INT8, NUMERIC, TEXT, TIMETZ, PostgresType
from tests.compiler.conftest import Shop

TABLE = TemporaryTable("t", ("id", 'a"b', "A", "a"), (INT4, TEXT, INT8, INT8))
SETTINGS = SessionSettings(
    "tester", "cubewire", temporary_tables=(TABLE,), temporary_schema="pg_temp_3"
)
COUNT = (ResultColumn("count", INT8),)


def compiled(
    shop: Shop,
    sql: str,
    columns: tuple[ResultColumn, ...] = COUNT,
    settings: SessionSettings = SETTINGS,
    parameters: tuple[PostgresType, ...] = (),
) -> CompiledStatement:
    compiler = shop.compiler()
    bound = compiler.bind(sql, settings)
    assert bound is not None
    return compiler.compile(bound, Analysis(parameters, columns), settings)


def with_types(*types: PostgresType) -> SessionSettings:
    names = tuple(f"c{number}" for number in range(len(types)))
    return dataclasses.replace(SETTINGS, temporary_tables=(TemporaryTable("t", names, types),))


def test_only_the_columns_in_demand_travel(shop: Shop) -> None:
    found = compiled(shop, "SELECT count(*) FROM orders o JOIN t ON t.id = o.id")
    assert [(use.table, use.column, use.type.name) for use in found.temporary] == [
        ("t", "id", "_int4")
    ]
    assert [(use.index, use.type.name) for use in found.parameters] == [(0, "_int4")]
    assert "temporary" in str(found.steps)


def test_arrays_come_behind_the_clients_parameters(shop: Shop) -> None:
    text = 'SELECT count(*) FROM t JOIN orders o ON t.id = o.id WHERE o.id < $1 AND t."A" > $2'
    found = compiled(shop, text, parameters=(INT8, INT8))
    assert sorted(use.index for use in found.parameters) == [0, 1, 2, 3]
    assert sorted(item.column for item in found.temporary) == ["A", "id"]


def test_names_that_differ_in_case_only(shop: Shop) -> None:
    found = compiled(
        shop,
        'SELECT t."A", t.a, t."a""b" FROM t, orders o WHERE o.id = t.id',
        (ResultColumn("A", INT8), ResultColumn("a", INT8), ResultColumn('a"b', TEXT)),
    )
    assert '"a_2"' in found.sql
    assert '"a""b"' in found.sql


@pytest.mark.parametrize("name", ["t", "pg_temp.t", "pg_temp_3.t", "T", '"t"'])
def test_names_that_mean_it(shop: Shop, name: str) -> None:
    assert compiled(shop, f"SELECT count(*) FROM orders, {name} x WHERE x.id = 1").temporary


@pytest.mark.parametrize("name", ['"T"', "public.t", "pg_temp_4.t", "u"])
def test_names_that_do_not(shop: Shop, name: str) -> None:
    with pytest.raises(SemanticError) as caught:
        compiled(shop, f"SELECT count(*) FROM orders, {name} x WHERE x.id = 1")
    assert caught.value.sqlstate in ("42P01", "0A000")


def test_it_stands_before_a_cube_of_its_name(shop: Shop) -> None:
    table = dataclasses.replace(TABLE, name="orders")
    settings = dataclasses.replace(SETTINGS, temporary_tables=(table,))
    compiler = shop.compiler()
    assert compiler.bind("SELECT count(*) FROM orders", settings) is None
    assert compiler.bind("SELECT count(*) FROM public.orders", settings) is not None
    behind = dataclasses.replace(settings, search_path=("public", "pg_temp"))
    assert compiler.bind("SELECT count(*) FROM orders", behind) is not None
    assert compiler.bind("SELECT count(*) FROM pg_temp.orders", behind) is None


def test_a_key_says_that_no_row_is_repeated(shop: Shop) -> None:
    text = "SELECT MEASURE(o.count) AS count FROM orders o JOIN t ON t.id = o.id"
    assert "o:once" in str(compiled(shop, text).steps)
    keyed = dataclasses.replace(TABLE, keys=(frozenset({0}),))
    settings = dataclasses.replace(SETTINGS, temporary_tables=(keyed,))
    assert "o:once" not in str(compiled(shop, text, settings=settings).steps)


@pytest.mark.parametrize("kind", [TIMETZ, NUMERIC, PostgresType("_int4"), PostgresType("oid:869")])
def test_what_duckdb_does_not_have(shop: Shop, kind: PostgresType) -> None:
    with pytest.raises(UnsupportedError):
        compiled(shop, "SELECT count(c0) FROM orders, t", settings=with_types(kind))


def test_numbers_of_different_decimals_are_texts(shop: Shop) -> None:
    found = compiled(
        shop,
        "SELECT c0 FROM orders o, t WHERE o.id = 1",
        (ResultColumn("c0", NUMERIC),),
        with_types(MIXED_DECIMALS),
    )
    assert [item.type.name for item in found.temporary] == ["_text"]


def test_a_table_without_columns(shop: Shop) -> None:
    with pytest.raises(UnsupportedError):
        compiled(shop, "SELECT count(*) FROM orders, t", settings=with_types())
