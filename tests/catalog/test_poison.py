"""A cube read in the catalog fails; what is provably empty, and Describe, do not."""

from __future__ import annotations

import pytest

from proxy.catalog import Catalog, CatalogError
from tests.catalog.support import ask

pytestmark = pytest.mark.asyncio(loop_scope="module")

READS = [
    "SELECT * FROM {0}",
    "SELECT 1 FROM {0}",
    "SELECT count(*) FROM {0}",
    "SELECT max(id) FROM {0}",
    "SELECT * FROM {0} WHERE id = 5",
    "SELECT * FROM {0} WHERE id = 0",
    "SELECT * FROM {0} WHERE id > 10 AND id < 5",
    "SELECT * FROM {0} WHERE id IN (1, 2, 3)",
    "SELECT * FROM {0} ORDER BY id LIMIT 1",
    "SELECT id, count(*) FROM {0} GROUP BY 1 HAVING count(*) > 5",
    "SELECT * FROM {0} TABLESAMPLE SYSTEM (100)",
    "SELECT EXISTS (SELECT FROM {0} WHERE id = 7)",
    "SELECT (SELECT id FROM {0} WHERE id = 7)",
    "WITH q AS (SELECT * FROM {0} WHERE id = 3) SELECT * FROM q",
    "SELECT a.id FROM {0} a JOIN {0} b USING (id) WHERE a.id = 9",
    "SELECT c.oid FROM pg_class c JOIN {0} o ON o.id = c.oid WHERE o.id = 7",
    "SELECT id FROM {0} UNION SELECT 1",
    "COPY (SELECT * FROM {0}) TO STDOUT",
    "EXPLAIN ANALYZE SELECT * FROM {0} WHERE id = 1",
    "DECLARE c CURSOR WITH HOLD FOR SELECT * FROM {0}",
]


@pytest.mark.parametrize(
    ("sql", "relation"),
    [
        (sql, relation)
        for relation in ("orders", "public.v_orders")
        for sql in READS
        if relation == "orders" or "TABLESAMPLE" not in sql  # a view cannot be sampled
    ],
)
async def test_reading_fails(shared_catalog: Catalog, sql: str, relation: str) -> None:
    async with shared_catalog.lease("demo", {}) as backend:
        with pytest.raises(CatalogError) as caught:
            await backend.run_simple(sql.format(relation))
    assert caught.value.sqlstate == "0A000"
    assert "routed to the catalog" in caught.value.message
    assert caught.value.hint is not None
    assert "W" not in caught.value.fields


async def test_planner_settings_do_not_open_a_way_round(shared_catalog: Catalog) -> None:
    settings = {"enable_seqscan": "off", "random_page_cost": "0", "row_security": "off"}
    for sql in ("SELECT count(*) FROM orders", "SELECT max(amount) FROM orders WHERE id > 0"):
        with pytest.raises(CatalogError):
            await ask(shared_catalog, sql, settings=settings)


@pytest.mark.parametrize("relation", ["orders", "v_orders"])
@pytest.mark.parametrize("tail", ["WHERE 1 = 0", "LIMIT 0", "WHERE false", "WHERE NULL"])
async def test_provably_empty(shared_catalog: Catalog, relation: str, tail: str) -> None:
    async with shared_catalog.lease("demo", {}) as backend:
        result = await backend.run(f"SELECT * FROM {relation} {tail}", (), (), (), ())
        assert [chunk async for chunk in result] == []
        assert result.tag == "SELECT 0"
        assert result.fields is not None
        assert [field.name for field in result.fields][:4] == [
            "id",
            "customer_id",
            "status",
            "amount",
        ]
        assert {field.table_oid for field in result.fields} == {0}


async def test_describe(shared_catalog: Catalog) -> None:
    answer = await shared_catalog.analyse(
        "SELECT status, measure(amount), sum(amount), count(*), avg(qty) FROM orders "
        "WHERE id = $1 AND ordered_at > $2 GROUP BY 1",
        (),
        {},
        "demo",
    )
    assert answer.parameter_oids == (20, 1114)
    assert answer.columns == (
        ("status", 25, -1),
        ("measure", 1700, -1),
        ("sum", 1700, -1),
        ("count", 20, -1),
        ("avg", 1700, -1),
    )


async def test_markers_fail_when_computed(shared_catalog: Catalog) -> None:
    for name in ("measure", "agg", "aggregate"):
        with pytest.raises(CatalogError, match="measure can only be taken of a cube"):
            await ask(shared_catalog, f"SELECT {name}(oid) FROM pg_class")


async def test_markers_do_not_depend_on_the_search_path(shared_catalog: Catalog) -> None:
    answer = await shared_catalog.analyse(
        "SELECT AGGREGATE(amount) FROM public.orders", (), {"search_path": ""}, "demo"
    )
    assert answer.columns[0][1] == 1700
