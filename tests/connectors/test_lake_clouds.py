"""Tables of a data lake in buckets: three libraries, and DuckDB, against an emulated store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.sql import SqlCatalog

from connectors.errors import WarehouseError
from tests.connectors.test_lake import EVERYTHING, EXPECTED, ORDERS, opened, refused, rows, until
from tests.support.clouds import ACCOUNT, CLOUDS, Cloud, running

ABFSS = f"abfss://cubewire@{ACCOUNT}.dfs.core.windows.net/"
CHANGED = ORDERS.slice(1, 1)


@pytest.fixture(scope="module", params=sorted(CLOUDS))
def cloud(request: pytest.FixtureRequest) -> Iterator[Cloud]:
    with running(request.param) as cloud:
        yield cloud


@dataclass(frozen=True)
class Place:
    """A folder of a test's own, in the bucket and here."""

    cloud: Cloud
    url: str
    folder: Path


@pytest.fixture
def place(cloud: Cloud, tmp_path: Path) -> Place:
    return Place(cloud, f"{cloud.url}/{tmp_path.name}", tmp_path)


def write(place: Place, name: str, table: pa.Table) -> None:
    with place.cloud.driver().open(f"{place.url}/{name}", "wb") as file:
        pq.write_table(table, file)


Made = tuple[dict[str, Any], dict[str, str], Callable[[pa.Table], object]]
"""A description, options of who reads the metadata, and what puts other rows in place of these."""


def parquet(place: Place) -> Made:
    write(place, "orders/1.parquet", ORDERS)
    described = {"format": "parquet", "url": f"{place.url}/orders/*.parquet"}
    return described, {}, lambda table: write(place, "orders/1.parquet", table)


def delta(place: Place) -> Made:
    options = dict(place.cloud.delta)
    url = f"{place.url}/orders"
    written: dict[str, Any] = {"mode": "overwrite", "partition_by": ["region"]}
    here = place.folder / "delta"

    def overwrite(table: pa.Table) -> None:
        if not url.startswith("gs:"):
            deltalake.write_deltalake(url, table, storage_options=options, **written)
            return
        # delta-rs writes there by the XML API, which fake-gcs-server does not know.
        deltalake.write_deltalake(str(here), table, **written)
        # The log, whose name sorts before those of the data, comes last.
        for path in sorted((each for each in here.rglob("*") if each.is_file()), reverse=True):
            place.cloud.driver().put_file(str(path), f"{url}/{path.relative_to(here)}")

    overwrite(ORDERS)
    return {"format": "delta", "url": url}, options, overwrite


def iceberg(place: Place) -> Made:
    options = {
        "type": "sql",
        "uri": f"sqlite:///{place.folder}/catalog.db",
        # As tables on Azure are placed: pyiceberg knows no other way.
        "warehouse": place.url.replace("az://cubewire/", ABFSS),
        **place.cloud.iceberg,
    }
    catalog = SqlCatalog("cubewire", **options)
    catalog.create_namespace("sales")
    table = catalog.create_table("sales.orders", schema=ORDERS.schema)
    table.append(ORDERS)
    return {"format": "iceberg", "name": "sales.orders"}, options, table.overwrite


@pytest.mark.parametrize("make", [parquet, delta, iceberg])
async def test_a_table_is_read_and_followed(place: Place, make: Callable[[Place], Made]) -> None:
    described, metadata, overwrite = make(place)
    options = {"storage": place.cloud.options, "metadata": metadata}
    async with opened({"t": described}, **options) as connector:
        assert await rows(connector, EVERYTHING, "America/New_York") == EXPECTED
        (before,) = await rows(connector, "SELECT version FROM cubewire_tables")
        await asyncio.to_thread(overwrite, CHANGED)
        await until(connector, EVERYTHING, EXPECTED[1:2])
        # Rows of a file that is written anew in its place are there before it is noticed.
        changed = f"SELECT version <> '{before[0]}' AS changed FROM cubewire_tables"
        await until(connector, changed, [(True,)])


async def test_three_tables_of_one_source(place: Place) -> None:
    made = {
        make.__name__: make(Place(place.cloud, f"{place.url}/{make.__name__}", place.folder))
        for make in (parquet, delta, iceberg)
    }
    metadata = {key: value for _, options, _ in made.values() for key, value in options.items()}
    tables = {name: described for name, (described, _, _) in made.items()}
    async with opened(tables, storage=place.cloud.options, metadata=metadata) as connector:
        sql = "SELECT count(*) AS n FROM parquet JOIN delta USING (id) JOIN iceberg USING (id)"
        assert await rows(connector, sql) == [(3,)]


async def test_folders_are_partitions(place: Place) -> None:
    for number, region in enumerate(("007", "EU")):
        write(place, f"orders/region={region}/1.parquet", pa.table({"n": [number]}))
    described = {
        "format": "parquet",
        "url": f"{place.url}/orders/*/*.parquet",
        "partitions": {"region": "varchar"},
    }
    async with opened({"t": described}, storage=place.cloud.options) as connector:
        found = await rows(connector, "SELECT region, n FROM t ORDER BY 1")
        assert found == [("007", 0), ("EU", 1)]


async def test_names_that_look_like_patterns(place: Place) -> None:
    for number, name in enumerate(("p1", "p[1]", "p?", "p*", "p 1%20+")):
        write(place, f"orders/{name}.parquet", pa.table({"n": [10**number]}))
    described = {"format": "parquet", "url": f"{place.url}/orders/*.parquet"}
    async with opened({"t": described}, storage=place.cloud.options) as connector:
        assert await rows(connector, "SELECT sum(n) AS s FROM t") == [(11111,)]


async def test_nothing_beside_the_tables_may_be_read(place: Place) -> None:
    for name in ("mine/1.parquet", "1.parquet"):
        write(place, name, pa.table({"n": [1]}))
    described = {"format": "parquet", "url": f"{place.url}/mine/*.parquet"}
    async with opened({"t": described}, storage=place.cloud.options) as connector:
        with pytest.raises(WarehouseError, match="disabled by configuration"):
            await rows(connector, f"SELECT * FROM read_parquet('{place.url}/1.parquet')")


async def test_a_bucket_that_is_not_there_stops_the_start(place: Place) -> None:
    described = {"format": "parquet", "url": f"{place.url}-none/*.parquet"}
    error = await refused({"t": described}, storage=place.cloud.options)
    assert "there is no file" in error.message
