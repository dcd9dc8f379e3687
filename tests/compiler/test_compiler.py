"""The two steps of the compiler, and what it does when the catalog and the model disagree."""

from __future__ import annotations

import pytest

from semantic.compiler.api import Analysis, CompiledStatement, ResultColumn
from semantic.compiler.compiler import Compiler
from semantic.compiler.parse import UnparsableStatement
from semantic.compiler.probe import probe_statements
from semantic.compiler.publish import publish
from semantic.errors import SemanticError
from semantic.model.loader import load_texts
from semantic.model.types import INT4, INT8, TEXT, PostgresType
from tests.compiler.conftest import SETTINGS, Shop


def compiled(shop: Shop, sql: str, analysis: Analysis) -> CompiledStatement:
    compiler = shop.compiler()
    bound = compiler.bind(sql, SETTINGS)
    assert bound is not None
    return compiler.compile(bound, analysis, SETTINGS)


def test_placeholders_are_numbered_in_the_order_of_the_text(shop: Shop) -> None:
    sql = "SELECT id FROM orders WHERE status = $2 AND quantity > $1 AND status <> $2 LIMIT $3"
    analysis = Analysis((INT4, TEXT, INT8), (ResultColumn("id", INT4),))
    statement = compiled(shop, sql, analysis)
    assert [(use.index, use.type) for use in statement.parameters] == [
        (1, TEXT),
        (0, INT4),
        (2, INT8),
    ]
    assert "$4" not in statement.sql
    assert statement.data_source == "default"
    assert statement.relations == ("orders",)
    assert statement.columns == analysis.columns
    assert statement.steps.text.startswith("select [")


def test_an_unused_parameter_is_not_bound(shop: Shop) -> None:
    sql = "SELECT s FROM (SELECT status AS s, $1::int AS unused FROM orders) AS q"
    statement = compiled(shop, sql, Analysis((INT4,), (ResultColumn("s", TEXT),)))
    assert statement.parameters == ()
    assert "$" not in statement.sql


def test_columns_that_the_catalog_names_otherwise_are_a_fault(shop: Shop) -> None:
    with pytest.raises(SemanticError, match="catalog and the model disagree") as caught:
        compiled(shop, "SELECT * FROM customers", Analysis((), (ResultColumn("id", INT4),)))
    assert caught.value.sqlstate == "XX000"


@pytest.mark.parametrize(
    ("sql", "sqlstate", "position"),
    [
        ("SELECT nope FROM orders", "42703", 8),
        ("SELECT x.id FROM orders", "42703", 8),
        ("SELECT o.nope FROM orders o ORDER BY status", "42703", 8),
        ("SELECT x.* FROM orders", "42P01", 8),
        ("SELECT status FROM orders JOIN lines ON id = order_id", "42702", 8),
        ("SELECT id FROM orders ORDER BY 2", "42P10", 32),
        ("SELECT id FROM orders UNION SELECT 1, 2", "42601", None),
    ],
)
def test_unknown_names_are_left_to_the_catalog(
    sql: str, sqlstate: str, position: int | None, shop: Shop
) -> None:
    compiler = shop.compiler()
    bound = compiler.bind(sql, SETTINGS)
    assert bound is not None
    with pytest.raises(SemanticError) as caught:
        compiler.compile(bound, Analysis((), ()), SETTINGS)
    assert (caught.value.sqlstate, caught.value.position) == (sqlstate, position)


def test_text_that_cannot_be_read(shop: Shop) -> None:
    for sql in ("SELECT FROM WHERE orders (", "SELECT 1 FROM orders; SELECT 2", "SELECT 'orders"):
        with pytest.raises(UnparsableStatement) as caught:
            shop.compiler().bind(sql, SETTINGS)
        assert caught.value.sqlstate == "42601"


def test_only_queries_reach_the_compiler(shop: Shop) -> None:
    with pytest.raises(SemanticError):
        shop.compiler().bind("DELETE FROM orders", SETTINGS)


def test_parameters_that_the_catalog_does_not_know(shop: Shop) -> None:
    analysis = Analysis((INT4,), (ResultColumn("id", INT4),))
    with pytest.raises(SemanticError) as caught:
        compiled(shop, "SELECT id FROM orders WHERE id = $2", analysis)
    assert caught.value.sqlstate == "42P02"


def test_deep_statements_are_refused(shop: Shop) -> None:
    sql = "SELECT id FROM orders WHERE " + " OR ".join(f"id = {n}" for n in range(5000))
    with pytest.raises(SemanticError) as caught:
        shop.compiler().bind(sql, SETTINGS)
    assert caught.value.sqlstate == "54001"


TWO_SOURCES = """
cubes:
  - {name: a, sql_table: a, dimensions: [{name: x, type: number, sql: x, data_type: integer}]}
  - name: b
    sql_table: b
    data_source: other
    dimensions: [{name: x, type: number, sql: x, data_type: integer}]
"""


def test_each_data_source_is_asked_for_its_own_rows() -> None:
    model = load_texts({"two.yml": TWO_SOURCES}).model
    assert model is not None
    compiler = Compiler(model, publish(model, {}), {"default": "duckdb", "other": "postgres"})
    bound = compiler.bind("SELECT x FROM b", SETTINGS)
    assert bound is not None
    assert bound.data_source == "other"
    both = compiler.bind("SELECT a.x FROM a JOIN b ON a.x = b.x", SETTINGS)
    assert both is not None
    statement = compiler.compile(both, Analysis((), (ResultColumn("x", INT4),)), SETTINGS)
    assert statement.data_sources == ("default", "other")
    fetched = [(fetch.data_source, fetch.sql) for fetch in statement.fetches]
    assert fetched == [
        ("default", 'SELECT CAST(CAST("a".x AS INT) AS INT) AS "x" FROM a AS "a"'),
        ("other", 'SELECT CAST("b".x AS INT) AS "x" FROM b AS "b"'),
    ]


def test_types_without_a_probe_are_the_declared_ones(shop: Shop) -> None:
    relations = {relation.name: relation for relation in publish(shop.model, {}).relations}
    kinds = {column.name: column.type.name for column in relations["orders"].columns}
    assert kinds["id"] == "numeric"
    assert kinds["is_big"] == "bool"
    assert kinds["ordered_at"] == "timestamp"
    assert kinds["month"] == "timestamp"
    assert kinds["count"] == "int8"
    assert kinds["middle"] == "float8"


def test_published_relations(shop: Shop) -> None:
    relations = {relation.name: relation for relation in shop.published.relations}
    orders = relations["orders"]
    assert orders.kind == "cube"
    assert orders.primary_key == ("id",)
    assert orders.comment == "Orders: One row per order."
    comments = {column.name: column.comment for column in orders.columns}
    assert comments["status"] == "[dimension] Status"
    assert comments["revenue"] == "[measure·sum] Revenue: In euro."
    assert comments["only_open"] == "[segment]"
    assert "hidden" not in comments
    key = orders.foreign_keys[0]
    assert (key.columns, key.target, key.target_columns) == (("buyer_id",), "customers", ("id",))
    assert len(orders.foreign_keys) == 1
    assert relations["order_overview"].kind == "view"
    types = {column.name: column.type for column in orders.columns}
    assert types["revenue"] == PostgresType("numeric")
    assert types["items"] == PostgresType("int8")


def test_probes_are_per_relation_and_leave_out_what_cannot_be_served(shop: Shop) -> None:
    probes = probe_statements(shop.model, {"default": "duckdb"})
    assert set(probes) == {relation.name for relation in shop.published.relations} - {
        "order_details",
        "booked",
        "line_details",
        "goods_baskets",
    }
    assert probes["orders"].data_source == "default"
    assert '"running"' in probes["orders"].sql
