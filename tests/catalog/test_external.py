"""An external PostgreSQL as the catalog: the same interface, with its documented limits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from proxy.catalog import Catalog, CatalogError, CatalogOptions
from proxy.catalog.connection import Address, connect
from proxy.catalog.external import parse_dsn, reader_password
from tests.catalog.models import CUSTOMERS, ORDERS, SHOP
from tests.catalog.support import ask
from tests.conftest import free_port
from tests.support.oracle import OraclePostgres, start_oracle

DSN = "postgresql://owner:it's%20a%20%5C%20secret@127.0.0.1:{port}/catalog%20db"


@pytest.fixture(scope="module")
def guarded() -> Iterator[OraclePostgres]:
    """A server that asks everybody but its superuser for a SCRAM password."""
    server = start_oracle(free_port())
    hba = server.directory / "data" / "pg_hba.conf"
    hba.write_text("host all oracle 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
    yield server
    server.stop()


@pytest.fixture
async def database(guarded: OraclePostgres) -> AsyncIterator[str]:
    """A database with an owner that is no superuser; its DSN."""
    address = Address(host=guarded.host, port=guarded.port)
    admin = await connect(address, "oracle", "postgres")
    await admin.execute("SELECT pg_reload_conf()")
    await admin.execute("CREATE ROLE owner LOGIN CREATEROLE PASSWORD E'it''s a \\\\ secret'")
    await admin.execute('CREATE DATABASE "catalog db" OWNER owner')
    yield DSN.format(port=guarded.port)
    await admin.execute('DROP DATABASE "catalog db" WITH (FORCE)')
    await admin.execute("DROP ROLE IF EXISTS cubewire_reader")
    await admin.execute("DROP ROLE owner")
    admin.close()


async def test_the_same_interface(database: str) -> None:
    catalog = Catalog(CatalogOptions(dsn=database))
    await catalog.start()
    try:
        assert await catalog.deploy(SHOP) > 0
        answer = await catalog.analyse(
            "SELECT status, measure(amount) FROM orders WHERE id = $1 GROUP BY 1", (), {}, "demo"
        )
        assert answer.parameter_oids == (20,)
        assert answer.columns == (("status", 25, -1), ("measure", 1700, -1))
        (row,) = await ask(
            catalog,
            "SELECT current_user, current_database(), current_setting('TimeZone')",
            settings={"TimeZone": "Asia/Tokyo", "role": "somebody"},
        )
        assert row == ("cubewire_reader", "catalog db", "Asia/Tokyo")
        for sql in (
            "SELECT * FROM orders",
            "SELECT * FROM orders WHERE id = 4",
            "SELECT count(*) FROM v_orders",
        ):
            with pytest.raises(CatalogError, match="routed to the catalog"):
                await ask(catalog, sql)
        assert await ask(catalog, "SELECT * FROM orders LIMIT 0") == []
        with pytest.raises(CatalogError):
            await ask(catalog, "CREATE TABLE t (a int)")
    finally:
        await catalog.close()


async def test_a_second_process_finds_it_deployed(database: str) -> None:
    first = Catalog(CatalogOptions(dsn=database))
    second = Catalog(CatalogOptions(dsn=database))
    await first.start()
    await first.deploy(SHOP)
    await second.start()
    try:
        assert await second.deploy(SHOP) == 0
        assert await ask(first, "SELECT 1") == [("1",)]
        assert await ask(second, "SELECT 1") == [("1",)]
        changed = replace(SHOP, version="2", relations=(CUSTOMERS, ORDERS))
        assert await second.deploy(changed) == 1
    finally:
        await first.close()
        await second.close()


async def test_wrong_password_and_nobody_there(database: str) -> None:
    with pytest.raises(CatalogError) as caught:
        await Catalog(CatalogOptions(dsn=database.replace("secret", "guess"))).start()
    assert caught.value.sqlstate == "28P01"
    with pytest.raises(CatalogError) as caught:
        await Catalog(CatalogOptions(dsn=database.replace("it's%20a%20%5C%20secret", ""))).start()
    assert caught.value.sqlstate == "28P01"
    nowhere = f"postgresql://owner@127.0.0.1:{free_port()}/x"
    with pytest.raises(CatalogError) as caught:
        await Catalog(CatalogOptions(dsn=nowhere)).start()
    assert caught.value.sqlstate == "08001"


def test_dsn_in_parts() -> None:
    address, user, database = parse_dsn(
        "postgresql://me:p%40ss@db.example:6000/cat?sslmode=require"
    )
    assert (address.host, address.port, address.password, address.tls) == (
        "db.example",
        6000,
        "p@ss",
        "require",
    )
    assert (user, database) == ("me", "cat")
    address, user, database = parse_dsn("postgres://me@/?host=/run/pg&port=5433")
    assert (address.socket, user, database) == ("/run/pg/.s.PGSQL.5433", "me", "me")
    for wrong in ("mysql://me@x/y", "postgresql://x/y", "postgresql://me@x/y?ssl=1"):
        with pytest.raises(CatalogError):
            parse_dsn(wrong)
    with pytest.raises(CatalogError, match="sslmode"):
        parse_dsn("postgresql://me@x/y?sslmode=maybe")


def test_readers_password_is_derived() -> None:
    assert reader_password(None) is None
    assert reader_password("a") == reader_password("a") != reader_password("b")
