"""Buckets of S3, Azure and Google Cloud Storage: their own clients against emulated endpoints."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.bucket import Bucket
from connectors.bucket_rollups import BucketRollups
from connectors.registry import open_connector
from tests.rollups_store.support import BUCKET, FEBRUARY, MARCH, Place, build
from tests.support.clouds import CLOUDS, Cloud, running


@pytest.fixture(scope="module", params=sorted(CLOUDS))
def cloud(request: pytest.FixtureRequest) -> Iterator[Cloud]:
    with running(request.param) as cloud:
        yield cloud


def bucket_of(cloud: Cloud) -> Bucket:
    return Bucket(cloud.url, dict(cloud.options))


# What the driver for Azure hands on to its HTTP client.
@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
def test_objects(cloud: Cloud, tmp_path: Path) -> None:
    bucket = bucket_of(cloud)
    bucket.check()
    assert bucket.create("state/1.json", b"first")
    assert not bucket.create("state/1.json", b"second")
    assert bucket.read("state/1.json") == b"first"
    bucket.replace("state/1.json", b"third")
    assert bucket.read("state/1.json") == b"third"
    assert bucket.read("state/2.json") is None
    (found,) = bucket.list("state")
    assert (found.name, found.bytes) == ("state/1.json", len(b"third"))
    assert found.modified is not None
    assert abs(found.modified - time.time()) < 60
    assert bucket.list("nowhere") == []
    large = tmp_path / "large"
    large.write_bytes(bytes(range(256)) * 24_000)  # of several blocks
    bucket.upload(large, "data/large")
    assert bucket.download("data/large", tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == large.read_bytes()
    assert not bucket.download("data/none", tmp_path / "none")
    for name in ("data/large", "data/large", "state/1.json"):
        bucket.delete(name)
    assert bucket.list("data") == []


async def test_hosts_share_a_store(cloud: Cloud, tmp_path: Path) -> None:
    stores = [BucketRollups(bucket_of(cloud), tmp_path / name) for name in ("one", "two")]
    folders = [str(store.folder) for store in stores]
    connector = open_connector("duckdb", {"allowed_directories": folders})
    await connector.start()
    try:
        for store in stores:
            await store.start()
        one, two = (Place(BUCKET, store, connector) for store in stores)
        made = await one.store.build(build(), connector, None)
        (seen,) = await two.store.read()
        assert await two.count(seen) == 31
        await two.store.build(build(FEBRUARY, MARCH), connector, None)
        await two.store.build(build(factor=2), connector, seen)
        found = await one.store.read()
        assert len(found) == 2
        assert made not in found
        assert [await one.count(table) for table in found] == [31, 28]
        async with one.store.lead() as leads, two.store.lead() as too:
            assert (leads, too) == (True, False)
        await one.store.retire(found)
        assert await two.store.read() == ()
        assert await two.store.collect(0.0) == 3
        assert two.bucket.list("data") == []
    finally:
        await connector.close()
