"""Stores in a bucket: writers that race, leases, garbage, credentials, and a server over one."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from connectors.bucket import Bucket, check_url
from connectors.bucket_lease import lease
from connectors.bucket_rollups import STATE_SECONDS, BucketRollups
from connectors.errors import WarehouseError
from connectors.options import ConnectorOptionsError
from connectors.registry import open_connector
from tests.rollups_store.served import TOTALS, configure, connect, explain, served
from tests.rollups_store.support import BUCKET, FEBRUARY, MARCH, PARQUET, Place, build, open_place
from tests.support.oracle import OraclePostgres
from tests.support.waiting import until

URLS = (
    ("bucket", "a URL such as"),
    ("https://host/prefix", "writers cannot share https://"),
    ("ftp://host/prefix", "writers cannot share ftp://"),
    ("s3://key:secret@bucket/prefix", "credentials belong in"),
    ("s3://bucket/prefix?secret=x", "credentials belong in"),
)


@pytest.fixture
async def host(folder: Path, oracle: OraclePostgres) -> object:
    async with open_place(BUCKET, folder, oracle) as place:
        yield place


def other_host(host: Place, folder: Path) -> BucketRollups:
    """The same bucket seen from a machine with a folder of its own."""
    folder.mkdir()
    return BucketRollups(host.bucket, folder)


@pytest.mark.parametrize(("url", "problem"), URLS)
def test_what_cannot_be_a_bucket_is_refused(url: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        check_url(url)
    assert "key:" not in str(caught.value)


def test_a_driver_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    def missing(*_: object, **__: object) -> object:
        raise ImportError("no s3fs")

    monkeypatch.setattr(fsspec, "filesystem", missing)
    with pytest.raises(ConnectorOptionsError, match=r"pip install 'cubewire\[s3\]'"):
        Bucket("s3://bucket/prefix", {})


def test_credentials_are_in_no_error(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    bucket = Bucket(f"memory://{folder}", {"key": "AKIA123", "deep": {"secret": "hunter22"}})

    def fail(*_: object, **__: object) -> object:
        raise OSError("403 for AKIA123 with hunter22")

    monkeypatch.setattr(type(bucket._files), "cat_file", fail)
    with pytest.raises(WarehouseError) as caught:
        bucket.read("state/1.json")
    assert caught.value.sqlstate == "08006"
    assert "403 for *** with ***" in (caught.value.detail or "")
    assert caught.value.__cause__ is None


def test_a_store_that_overwrites_in_silence_is_refused(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    bucket = Bucket(f"memory://{folder}", {})

    def create(name: str, data: bytes) -> bool:
        bucket.replace(name, data)
        return True

    monkeypatch.setattr(bucket, "create", create)
    with pytest.raises(WarehouseError, match="cannot keep pre-aggregations") as caught:
        bucket.check()
    assert caught.value.sqlstate == "0A000"
    assert bucket.list("locks") == []


async def test_another_host_fetches_what_it_reads(host: Place, tmp_path: Path) -> None:
    made = await host.store.build(build(), host.connector, None)
    other = other_host(host, tmp_path / "other")
    (found,) = await other.read()
    assert found == replace(made, table=found.table)
    assert found.table != made.table
    connector = open_connector("duckdb", {"allowed_directories": [str(other.folder)]})
    await connector.start()
    try:
        there = Place(BUCKET, other, connector)
        assert await there.count(found) == 31
        await host.store.build(build(factor=2), host.connector, made)
        (found,) = await other.read()
        assert await there.rows(f"SELECT DISTINCT n FROM {found.table}") == [(2,)]
    finally:
        await connector.close()


async def test_changes_of_two_hosts_are_both_kept(
    host: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One has read the manifest that the other one follows up before it does."""
    other = other_host(host, tmp_path / "other")
    made = await host.store.build(build(), host.connector, None)
    (seen,) = await other.read()
    real: Callable[[Bucket, str, bytes], bool] = Bucket.create
    overtaken: list[str] = []

    def create(bucket: Bucket, name: str, data: bytes) -> bool:
        if name.startswith("state/") and not overtaken:
            overtaken.append(name)
            asyncio.run(other.confirm([seen], 5.0))
        return real(bucket, name, data)

    monkeypatch.setattr(Bucket, "create", create)
    second = await host.store.build(build(FEBRUARY, MARCH), host.connector, None)
    assert overtaken
    assert set(await host.store.read()) == {replace(made, checked_at=5.0), second}


async def test_a_lease_ends_with_its_holder(host: Place) -> None:
    bucket = host.bucket
    async with lease(bucket, "x", 1.0) as first:
        assert first
        # It is renewed for as long as it is held.
        await asyncio.sleep(1.5)
        async with lease(bucket, "x", 1.0) as second:
            assert not second

    def left_by(pid: int, host_name: str, until: float) -> None:
        holder = {"token": "t", "host": host_name, "pid": pid, "until": until}
        bucket.replace("locks/x.json", json.dumps(holder).encode())

    gone = int(Path("/proc/sys/kernel/pid_max").read_text()) + 1
    for pid, name, end, free in (
        (os.getpid(), os.uname().nodename, time.time() + 60, False),
        (gone, os.uname().nodename, time.time() + 60, True),
        (gone, "another", time.time() + 60, False),
        (gone, "another", time.time() - 1, True),
    ):
        left_by(pid, name, end)
        async with lease(bucket, "x") as taken:
            assert taken is free
    bucket.replace("locks/x.json", b"no lease")
    async with lease(bucket, "x") as taken:
        assert taken


async def test_damaged_state_is_passed_over_and_nothing_is_garbage(host: Place) -> None:
    made = await host.store.build(build(), host.connector, None)
    newest = host.bucket.list("state")[-1].name
    number = int(newest.removeprefix("state/").removesuffix(".json"))
    assert host.bucket.create(f"state/{number + 1:020}.json", b"{")
    with pytest.raises(WarehouseError) as caught:
        await host.store.read()
    assert caught.value.sqlstate == "XX001"
    assert await host.store.collect(0.0) == 0
    assert len(host.bucket.list("data")) == 1
    again = await host.store.build(build(), host.connector, made)
    assert await host.store.read() == (again,)


async def test_old_manifests_and_files_that_nobody_names_go(
    host: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await host.store.build(build(), host.connector, None)
    await host.store.confirm([made], 5.0)
    host.bucket.replace("data/stray.parquet", b"x")
    (host.bucket_folder / "stray.parquet").write_bytes(b"x")
    assert await host.store.collect(0.0) == 0
    assert len(host.bucket.list("state")) == 2
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + STATE_SECONDS + 60)
    assert await host.store.collect(0.0) == 1
    assert [each.name for each in host.bucket.list("data")] == [f"data/{file_of(made)}"]
    assert len(host.bucket.list("state")) == 1
    (found,) = await host.store.read()
    assert found.checked_at == 5.0
    assert [each.name for each in host.bucket_folder.iterdir()] == [file_of(made)]


def file_of(table: object) -> str:
    return Path(table.table.strip('"')).name  # type: ignore[attr-defined]


def test_a_server_over_a_bucket(tmp_path: Path, oracle: OraclePostgres) -> None:
    url = f"file://{tmp_path}/bucket"
    setup = configure(PARQUET, tmp_path / "served", oracle, url=url)
    with served(setup) as server, connect(server) as client:
        until(lambda: explain(client)["Rollups"] == ["events.by_day"])
        assert "fetched" in str(explain(client)["SQL"])
        rows = client.execute(TOTALS).fetchall()
        client.execute("SET cubewire.rollups = off")
        assert client.execute(TOTALS).fetchall() == rows
    assert list(tmp_path.glob("bucket/default/data/*.parquet"))
    assert list(tmp_path.glob("bucket/default/state/*.json"))
