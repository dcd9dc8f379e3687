"""Publishing a model: what clients see, in place, with OIDs kept."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.catalog import Catalog, CatalogError
from proxy.catalog.deploy import STATEMENTS_AT_ONCE
from semantic.model.published import PublishedForeignKey, PublishedModel, PublishedRelation
from semantic.model.types import INT4, INT8, JSON, TEXT, PostgresType
from tests.catalog.models import CUSTOMERS, ORDERS, SHOP, V_ORDERS, column, wide_model
from tests.catalog.support import Rows, ask


async def oids(catalog: Catalog) -> dict[str, str]:
    rows = await ask(
        catalog,
        "SELECT relname, oid FROM pg_class "
        "WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')",
    )
    return {str(name): str(oid) for name, oid in rows}


async def columns(catalog: Catalog, relation: str) -> Rows:
    return await ask(
        catalog,
        "SELECT attname, format_type(atttypid, atttypmod), attnotnull, "
        "col_description(attrelid, attnum) FROM pg_attribute "
        f"WHERE attrelid = 'public.{relation}'::regclass AND attnum > 0 AND NOT attisdropped "
        "ORDER BY attnum",
    )


async def constraints(catalog: Catalog, relation: str) -> list[str | None]:
    rows = await ask(
        catalog,
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint "
        f"WHERE conrelid = 'public.{relation}'::regclass ORDER BY conname",
    )
    return [text for (text,) in rows]


def shop(version: str, *relations: PublishedRelation) -> PublishedModel:
    return PublishedModel(version, relations)


async def still_poisoned(catalog: Catalog) -> None:
    for name in await oids(catalog):
        with pytest.raises(CatalogError, match="routed to the catalog"):
            await ask(catalog, f'SELECT count(*) FROM public."{name}"')


async def test_what_clients_see(catalog: Catalog) -> None:
    assert await columns(catalog, "orders") == [
        ("id", "bigint", "t", None),
        ("customer_id", "integer", "f", None),
        ("status", "text", "f", None),
        ("amount", "numeric(12,2)", "f", "measure: total amount"),
        ("qty", "integer", "f", None),
        ("ordered_at", "timestamp without time zone", "f", None),
        ("ship_date", "date", "f", None),
        ("rating", "double precision", "f", None),
    ]
    assert await constraints(catalog, "orders") == [
        "FOREIGN KEY (customer_id) REFERENCES customers(id)",
        "PRIMARY KEY (id)",
    ]
    kinds = await ask(
        catalog,
        "SELECT table_name, table_type FROM information_schema.tables "
        "WHERE table_schema = 'public' ORDER BY 1",
    )
    assert kinds == [
        ("customers", "BASE TABLE"),
        ("orders", "BASE TABLE"),
        ("v_orders", "VIEW"),
    ]
    keys = await ask(
        catalog,
        "SELECT constraint_type FROM information_schema.table_constraints "
        "WHERE table_name = 'orders' AND constraint_type <> 'CHECK' ORDER BY 1",
    )
    assert keys == [("FOREIGN KEY",), ("PRIMARY KEY",)]
    assert await ask(catalog, "SELECT obj_description('orders'::regclass)") == [("Orders cube",)]


async def test_same_version_and_same_content_do_nothing(catalog: Catalog) -> None:
    assert await catalog.deploy(SHOP) == 0
    assert await catalog.deploy(replace(SHOP, version="shop-2")) == 0


async def test_added_dropped_and_retyped_columns_keep_the_oid(catalog: Catalog) -> None:
    before = await oids(catalog)
    changed = replace(
        ORDERS,
        columns=(
            *(c for c in ORDERS.columns if c.name not in ("qty", "status")),
            column("channel", TEXT, "new here"),
        ),
        comment=None,
    )
    changed = replace(
        changed,
        columns=tuple(
            replace(c, type=INT8, comment=None) if c.name == "amount" else c
            for c in changed.columns
        ),
    )
    view = replace(V_ORDERS, columns=(*V_ORDERS.columns, column("channel", TEXT)))
    await catalog.deploy(shop("2", CUSTOMERS, changed, view))
    assert await oids(catalog) == before
    assert await columns(catalog, "orders") == [
        ("id", "bigint", "t", None),
        ("customer_id", "integer", "f", None),
        ("amount", "bigint", "f", None),
        ("ordered_at", "timestamp without time zone", "f", None),
        ("ship_date", "date", "f", None),
        ("rating", "double precision", "f", None),
        ("channel", "text", "f", "new here"),
    ]
    assert len(await constraints(catalog, "orders")) == 2
    assert await ask(catalog, "SELECT obj_description('orders'::regclass)") == [(None,)]
    await still_poisoned(catalog)


async def test_another_order_makes_only_that_table_anew(catalog: Catalog) -> None:
    before = await oids(catalog)
    turned = replace(CUSTOMERS, columns=CUSTOMERS.columns[::-1])
    await catalog.deploy(shop("2", turned, ORDERS, V_ORDERS))
    after = await oids(catalog)
    assert {name for name in after if after[name] != before[name]} == {"customers"}
    assert [name for name, *_ in await columns(catalog, "customers")] == [
        "vip",
        "created_at",
        "country",
        "name",
        "id",
    ]
    assert "FOREIGN KEY (customer_id) REFERENCES customers(id)" in await constraints(
        catalog, "orders"
    )
    await still_poisoned(catalog)


async def test_keys_come_and_go(catalog: Catalog) -> None:
    bare = replace(ORDERS, primary_key=(), foreign_keys=())
    await catalog.deploy(shop("2", CUSTOMERS, bare))
    assert await constraints(catalog, "orders") == []
    assert (await columns(catalog, "orders"))[0][2] == "f"
    wide = replace(ORDERS, primary_key=("id", "status"))
    await catalog.deploy(shop("3", CUSTOMERS, wide))
    assert "PRIMARY KEY (id, status)" in await constraints(catalog, "orders")
    await catalog.deploy(shop("4", replace(CUSTOMERS, primary_key=("country",)), wide))
    assert await constraints(catalog, "customers") == ["PRIMARY KEY (country)"]
    assert await constraints(catalog, "orders") == ["PRIMARY KEY (id, status)"]
    await still_poisoned(catalog)


async def test_relations_come_go_and_change_their_kind(catalog: Catalog) -> None:
    before = await oids(catalog)
    as_view = replace(ORDERS, kind="view", primary_key=(), foreign_keys=())
    as_cube = replace(V_ORDERS, kind="cube")
    await catalog.deploy(shop("2", as_view, as_cube))
    kinds = await ask(
        catalog, "SELECT relname, relkind FROM pg_class WHERE relname ~ 'orders$' ORDER BY 1"
    )
    assert kinds == [("orders", "v"), ("v_orders", "r")]
    await still_poisoned(catalog)
    await catalog.deploy(PublishedModel("empty", ()))
    assert await oids(catalog) == {}
    await catalog.deploy(replace(SHOP, version="4"))
    assert set(await oids(catalog)) == set(before)
    await still_poisoned(catalog)


async def test_self_reference_cycle_and_impossible_keys(catalog: Catalog) -> None:
    def key(name: str, own: str, target: str, other: str) -> PublishedForeignKey:
        return PublishedForeignKey(name, (own,), target, (other,))

    first = PublishedRelation(
        "first",
        "cube",
        (column("id", INT4), column("boss", INT8), column("word", TEXT)),
        ("id",),
        (
            key("f_self", "boss", "first", "id"),
            key("f_key", "id", "second", "id"),
            key("f_type", "word", "second", "id"),
            key("f_not_unique", "boss", "second", "first_id"),
            key("f_nowhere", "boss", "third", "id"),
            key("f_view", "boss", "v", "id"),
        ),
    )
    second = PublishedRelation(
        "second",
        "cube",
        (column("id", INT8), column("first_id", INT4)),
        ("id",),
        (key("s_back", "first_id", "first", "id"), key("s_key", "id", "first", "id")),
    )
    document = PublishedRelation("documents", "cube", (column("id", JSON),), ("id",))
    view = PublishedRelation("v", "view", (column("id", INT8),))
    await catalog.deploy(shop("2", first, second, document, view))
    assert await constraints(catalog, "first") == [
        "FOREIGN KEY (id) REFERENCES second(id)",
        "FOREIGN KEY (boss) REFERENCES first(id)",
        "PRIMARY KEY (id)",
    ]
    assert len(await constraints(catalog, "second")) == 3
    assert await constraints(catalog, "documents") == []
    await still_poisoned(catalog)
    await catalog.deploy(shop("3", replace(first, foreign_keys=()), second, document, view))
    assert await constraints(catalog, "first") == ["PRIMARY KEY (id)"]
    await still_poisoned(catalog)


TYPES = [
    "bool int2 int4 int8 float4 float8 numeric text varchar bpchar name date time timetz timestamp",
    "timestamptz interval uuid json jsonb bytea _int8 _text _numeric _timestamptz unknown",
]


async def test_every_type(catalog: Catalog) -> None:
    names = " ".join(TYPES).split()
    members = tuple(column(f"c{name}", PostgresType(name)) for name in names)
    members += (
        column("precise", PostgresType("timestamptz", 3)),
        column("fixed", PostgresType("bpchar", 7)),
        column("money", PostgresType("_numeric", ((10 << 16) | 3) + 4)),
    )
    await catalog.deploy(
        shop("2", PublishedRelation("c", "cube", members), PublishedRelation("v", "view", members))
    )
    answer = await catalog.analyse("SELECT * FROM c", (), {}, "demo")
    assert answer == await catalog.analyse("SELECT * FROM v", (), {}, "demo")
    assert [mod for _, _, mod in answer.columns[-3:]] == [3, 7, 655367]
    assert len(answer.columns) == len(members)
    keyed = [
        PublishedRelation(f"k_{name}", "cube", (column("id", PostgresType(name)),), ("id",))
        for name in names
    ]
    await catalog.deploy(shop("3", *keyed))
    await still_poisoned(catalog)


async def test_failed_deployment_changes_nothing(catalog: Catalog) -> None:
    bad = PublishedRelation("bad", "cube", (column("x", PostgresType("no_such_type")),))
    for relation in (
        bad,
        PublishedRelation("n" * 64, "cube", (column("x", INT8),)),
        PublishedRelation("twice", "cube", (column("x", INT8), column("x", INT8))),
    ):
        with pytest.raises(CatalogError):
            await catalog.deploy(shop("2", ORDERS, relation))
        assert set(await oids(catalog)) == {"customers", "orders", "v_orders"}
    assert catalog.model is SHOP


async def test_a_long_deployment_is_one_all_the_same(catalog: Catalog) -> None:
    many = wide_model(2 * STATEMENTS_AT_ONCE // 5, 3)
    twice = PublishedRelation("twice", "cube", (column("x", INT8), column("x", INT8)))
    with pytest.raises(CatalogError):
        await catalog.deploy(replace(many, relations=(*many.relations, twice)))
    assert set(await oids(catalog)) == {"customers", "orders", "v_orders"}
    assert await catalog.deploy(many) > 2 * STATEMENTS_AT_ONCE
    assert set(await oids(catalog)) == {relation.name for relation in many.relations}


async def test_client_that_holds_a_lock_does_not_stop_a_deployment(catalog: Catalog) -> None:
    async with catalog.lease("demo", {}) as backend:
        for sql in ("BEGIN", "SELECT * FROM orders LIMIT 0"):
            await (await backend.run_simple(sql)).drain()
        assert backend.transaction_status == "T"
        await catalog.deploy(shop("2", CUSTOMERS))
        with pytest.raises(CatalogError):
            await backend.run_simple("SELECT 1")
    assert await ask(catalog, "SELECT 1") == [("1",)]


async def test_many_wide_cubes_are_quick(catalog: Catalog) -> None:
    model = wide_model(50, 61)
    started = time.perf_counter()
    await catalog.deploy(model)
    first = time.perf_counter() - started
    before = await oids(catalog)
    changed = replace(model, version="x", relations=model.relations[:-1])
    started = time.perf_counter()
    assert await catalog.deploy(changed) > 0
    second = time.perf_counter() - started
    after = await oids(catalog)
    assert {name: before[name] for name in after} == after
    assert first < 3.0
    assert second < 1.0


NAMES = st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=12
).filter(lambda name: len(name.encode()) <= 63)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
async def test_any_name_and_comment(data: st.DataObject, catalog: Catalog) -> None:
    names = data.draw(st.lists(NAMES, min_size=4, max_size=4, unique=True))
    comment = data.draw(NAMES)
    cube, view, first, second = names
    members = (column(first, INT8, comment), column(second, TEXT, comment[::-1]))
    model = shop(
        repr(names) + comment,
        PublishedRelation(cube, "cube", members, (second, first), comment=comment),
        PublishedRelation(view, "view", members, comment=comment),
    )
    await catalog.deploy(model)
    found = await ask(
        catalog,
        "SELECT c.relname, obj_description(c.oid), "
        "array_to_json(array(SELECT attname || '/' || col_description(attrelid, attnum) "
        "FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 ORDER BY attnum))"
        "FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')",
    )
    assert {(name, text) for name, text, _ in found} == {(cube, comment), (view, comment)}
    assert await catalog.deploy(replace(model, version="again")) == 0
