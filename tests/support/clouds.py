"""Stores of S3, Azure and Google Cloud Storage, emulated: what their own clients speak to.

Each runs where its driver and its emulator are installed: ``pip install s3fs 'moto[server]'``,
``pip install adlfs`` and ``npm install azurite``, ``pip install gcsfs`` and
``go install github.com/fsouza/fake-gcs-server@latest``; the programs are looked for in PATH.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import pytest

from tests.conftest import free_port

BUCKET = "cubewire"
ACCOUNT = "devstoreaccount1"
# The one that Azurite comes with.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_ACCOUNT_KEYS = ("client_email", "private_key", "private_key_id")
START_SECONDS = 60.0


@dataclass(frozen=True)
class Cloud:
    """A store that is emulated, and how it is reached.

    Attributes:
        url: of a folder in a bucket of it.
        options: of the fsspec driver.
        delta: options of delta-rs.
        iceberg: of pyiceberg.
    """

    url: str
    options: Mapping[str, Any]
    delta: Mapping[str, str] = field(default_factory=dict)
    iceberg: Mapping[str, str] = field(default_factory=dict)

    def driver(self) -> Any:
        """Of fsspec; it remembers no listings."""
        scheme = self.url.partition("://")[0]
        fsspec = importlib.import_module("fsspec")
        return fsspec.filesystem(scheme, use_listings_cache=False, **self.options)


Kind = tuple[tuple[str, ...], Callable[[int], tuple[list[str], Cloud]]]
"""The packages that are needed, and what runs on a port."""


def _s3(port: int) -> tuple[list[str], Cloud]:
    place = f"http://127.0.0.1:{port}"
    options = {"key": "some-key", "secret": "some-secret", "endpoint_url": place}
    delta = {
        "AWS_ENDPOINT_URL": place,
        "AWS_ACCESS_KEY_ID": "some-key",
        "AWS_SECRET_ACCESS_KEY": "some-secret",
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
    }
    iceberg = {
        "s3.endpoint": place,
        "s3.access-key-id": "some-key",
        "s3.secret-access-key": "some-secret",
        "s3.region": "us-east-1",
    }
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    return command, Cloud(f"s3://{BUCKET}/prefix", options, delta, iceberg)


def _azure(port: int) -> tuple[list[str], Cloud]:
    endpoint = f"http://127.0.0.1:{port}/{ACCOUNT}"
    account = f"AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={endpoint};"
    text = f"DefaultEndpointsProtocol=http;{account}"
    delta = {
        "azure_storage_account_name": ACCOUNT,
        "azure_storage_account_key": KEY,
        "azure_storage_endpoint": endpoint,
        "azure_allow_http": "true",
    }
    command = ["azurite-blob", "--silent", "--skipApiVersionCheck", "--inMemoryPersistence"]
    cloud = Cloud(
        f"az://{BUCKET}/prefix",
        {"connection_string": text},
        delta,
        {"adls.connection-string": text},
    )
    return [*command, "--blobPort", str(port)], cloud


def _google(port: int) -> tuple[list[str], Cloud]:
    place = f"http://127.0.0.1:{port}"
    options = {"endpoint_url": place, "token": "anon", "project": "test"}
    command = ["fake-gcs-server", "-scheme", "http", "-host", "127.0.0.1", "-port", str(port)]
    command += ["-backend", "memory", "-public-host", f"127.0.0.1:{port}"]
    account = {"gcs_base_url": place, "disable_oauth": True, **dict.fromkeys(_ACCOUNT_KEYS, "")}
    delta = {"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(account)}
    iceberg = {"gcs.service.host": place, "gcs.oauth2.token": "anon"}
    iceberg["gcs.oauth2.token-expires-at"] = "4102444800000"
    return command, Cloud(f"gs://{BUCKET}/prefix", options, delta, iceberg)


CLOUDS: Mapping[str, Kind] = {
    "s3": (("s3fs", "moto"), _s3),
    "azure": (("adlfs",), _azure),
    "google": (("gcsfs",), _google),
}


@contextmanager
def running(kind: str) -> Iterator[Cloud]:
    """One of ``CLOUDS`` with an empty bucket; skips the test where something is not installed."""
    packages, start = CLOUDS[kind]
    missing = [name for name in packages if find_spec(name) is None]
    port = free_port()
    command, cloud = start(port)
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
        _make_bucket(cloud)
        yield cloud


def _make_bucket(cloud: Cloud) -> None:
    driver = cloud.driver()
    if cloud.url.startswith("s3:"):
        driver.call_s3("create_bucket", Bucket=BUCKET)
    else:
        driver.mkdir(BUCKET)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return
        assert time.monotonic() < deadline
        time.sleep(0.1)
