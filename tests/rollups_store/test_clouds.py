"""Buckets of S3, Azure and Google Cloud Storage: their own clients against emulated endpoints.

Each runs where its driver and its emulator are installed: ``pip install s3fs 'moto[server]'``,
``pip install adlfs`` and ``npm install azurite``, ``pip install gcsfs`` and
``go install github.com/fsouza/fake-gcs-server@latest``; the programs are looked for in PATH.
"""

from __future__ import annotations

import contextlib
import importlib
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from connectors.bucket import Bucket
from connectors.bucket_rollups import BucketRollups
from connectors.registry import open_connector
from tests.conftest import free_port
from tests.rollups_store.support import BUCKET, FEBRUARY, MARCH, Place, build

ACCOUNT = "devstoreaccount1"
# The one that Azurite comes with.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
START_SECONDS = 60.0


@dataclass(frozen=True)
class Cloud:
    """A store that is emulated, and how it is reached."""

    url: str
    options: dict[str, Any]

    def bucket(self) -> Bucket:
        return Bucket(self.url, self.options)


def _s3(folder: Path, port: int) -> tuple[list[str], Callable[[], Cloud]]:
    def made() -> Cloud:
        place = {"endpoint_url": f"http://127.0.0.1:{port}"}
        options = {"key": "some-key", "secret": "some-secret", **place}
        _driver("s3", options).call_s3("create_bucket", Bucket="rollups")
        return Cloud("s3://rollups/prefix", options)

    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    return command, made


def _azure(folder: Path, port: int) -> tuple[list[str], Callable[[], Cloud]]:
    def made() -> Cloud:
        endpoint = f"http://127.0.0.1:{port}/{ACCOUNT}"
        text = f"AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={endpoint};"
        options = {"connection_string": f"DefaultEndpointsProtocol=http;{text}"}
        _driver("az", options).mkdir("rollups")
        return Cloud("az://rollups/prefix", options)

    command = ["azurite-blob", "--silent", "--skipApiVersionCheck", "--inMemoryPersistence"]
    return [*command, "--blobPort", str(port)], made


def _google(folder: Path, port: int) -> tuple[list[str], Callable[[], Cloud]]:
    def made() -> Cloud:
        place = f"http://127.0.0.1:{port}"
        options = {"endpoint_url": place, "token": "anon", "project": "test"}
        _driver("gs", options).mkdir("rollups")
        return Cloud("gs://rollups/prefix", options)

    command = ["fake-gcs-server", "-scheme", "http", "-host", "127.0.0.1", "-port", str(port)]
    command += ["-backend", "memory", "-public-host", f"127.0.0.1:{port}"]
    return command, made


CLOUDS = {
    "s3": (("s3fs", "moto"), _s3),
    "azure": (("adlfs",), _azure),
    "google": (("gcsfs",), _google),
}


def _driver(scheme: str, options: dict[str, Any]) -> Any:
    return importlib.import_module("fsspec").filesystem(scheme, **options)


@pytest.fixture(scope="module", params=sorted(CLOUDS))
def cloud(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cloud]:
    packages, start = CLOUDS[request.param]
    missing = [name for name in packages if find_spec(name) is None]
    port = free_port()
    command, made = start(tmp_path_factory.mktemp(request.param), port)
    missing += [] if shutil.which(command[0]) else [command[0]]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        # Else the driver asks by gRPC, which no emulator speaks, what kind of bucket it is.
        patch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        stack.callback(process.wait)
        stack.callback(process.terminate)
        _wait_for(port)
        yield made()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return
        assert time.monotonic() < deadline
        time.sleep(0.1)


# What the driver for Azure hands on to its HTTP client.
@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
def test_objects(cloud: Cloud, tmp_path: Path) -> None:
    bucket = cloud.bucket()
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
    stores = [BucketRollups(cloud.bucket(), tmp_path / name) for name in ("one", "two")]
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
