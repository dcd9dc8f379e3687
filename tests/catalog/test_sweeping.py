"""Temporary tables that are gone leave nothing in the catalog that stays."""

from __future__ import annotations

import asyncio

import pytest

from proxy.catalog import Catalog
from proxy.catalog import catalog as module
from tests.catalog.support import ask

TABLES = 150
ROUNDS = 5


async def make_tables(catalog: Catalog) -> None:
    """Many temporary tables, made and dropped by a session of their own."""
    private = await catalog.open_private("demo", 1)
    for number in range(TABLES):
        name = f"t{number}"
        await private.command(
            f"CREATE TEMPORARY TABLE {name} (a int, b text, c date); DROP TABLE pg_temp.{name}"
        )
    private.close()


async def pages(catalog: Catalog) -> int:
    ((size,),) = await ask(catalog, "SELECT pg_relation_size('pg_attribute') / 8192")
    return int(size or 0)


async def swept(catalog: Catalog) -> None:
    async with asyncio.timeout(60):
        while catalog._unswept or catalog._admin_lock.locked():
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("sweeps", [True, False])
async def test_the_catalog_stays_as_large_as_it_is(
    catalog: Catalog, sweeps: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SWEEP_SECONDS", 0.05 if sweeps else 600.0)
    sizes = []
    for _ in range(ROUNDS):
        await make_tables(catalog)
        if sweeps:
            await swept(catalog)
        sizes.append(await pages(catalog))
    grown = sizes[-1] - sizes[1]
    # Where nothing is cleared away, three rounds fill some 50 pages.
    assert (grown <= 5) == sweeps, sizes
