"""One Redis, a Cluster, a Sentinel's master, a user with a password: results are stored in each."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from contextlib import suppress
from pathlib import Path

import pytest

from proxy.cache.breaker import Breaker
from proxy.cache.freshness import FOREVER
from proxy.cache.generations import Generations
from proxy.cache.invalidation import SharedInvalidation
from proxy.cache.marks import Marks
from proxy.cache.redis_client import open_client
from proxy.cache.results import Request
from proxy.cache.shared import RedisResults
from proxy.rows.encoded import EncodedRows
from proxy.sources import StaticSource
from tests.conftest import free_port
from tests.reliability.support import until
from tests.support.redis_server import RedisServer

ROWS = [(str(number), "x" * 100) for number in range(20_000)]


def request(runs: list[int]) -> Request:
    async def run(_seen: object) -> StaticSource:
        runs.append(1)
        return StaticSource(ROWS)

    return Request(b"k" * 32, b"k" * 32, b"", ("c",), 60.0, FOREVER, run, None)


async def read(source: object) -> bytes:
    parts: list[EncodedRows] = []
    while (rows := await source.next_rows()) is not None:  # type: ignore[attr-defined]
        parts.append(rows)
    await source.close()  # type: ignore[attr-defined]
    return b"".join(part.data for part in parts)


async def check(url: str) -> None:
    """A result is run once, stored in chunks, found, and gone once it is invalidated."""
    client, channel = open_client(url, 2.0), open_client(url, 2.0, waits=True)
    breaker, marks = Breaker(2.0), Generations()
    forgotten: list[frozenset[str] | None] = []
    invalidation = SharedInvalidation(
        marks,
        forgotten.append,
        client,
        breaker,
        Marks(b"kinds:marks", b"s" * 32),
        lambda: ["c"],
        b"kinds",
        channel,
    )
    await invalidation.start()
    assert marks.are_shared
    results = RedisResults(client, breaker, marks, b"kinds", b"s" * 32, 10_000_000, 1.0)
    runs: list[int] = []
    first = await read((await results.open(request(runs), refresh=False)).source)
    deadline = time.monotonic() + 40
    while (found := await results.find(request(runs))) is None:
        assert time.monotonic() < deadline, "never stored"
        await asyncio.sleep(0.02)
    assert found.age is not None
    assert await read(found.source) == first
    again = await results.open(request(runs), refresh=False)
    assert again.age is not None
    assert len(runs) == 1
    before = marks.shared_token(["c"])
    assert await invalidation.invalidate(["c"])
    assert marks.shared_token(["c"]) != before
    assert frozenset({"c"}) in forgotten
    await invalidation.close()


async def test_one_server() -> None:
    with RedisServer(free_port()) as server:
        await check(server.url)


async def test_a_user_of_an_acl() -> None:
    with RedisServer(free_port()) as server:
        user = "cube on >secret ~kinds* &kinds* +@all -@dangerous"
        server.client().execute_command("ACL", "SETUSER", *user.split())
        await check(f"redis://cube:secret@127.0.0.1:{server.port}/0")


def cluster_port() -> int:
    """A free one; so is that of its nodes, ten thousand above, which no client is given."""
    while True:
        port = random.randrange(20_000, 22_000)
        with socket.socket() as one, socket.socket() as above, suppress(OSError):
            one.bind(("127.0.0.1", port))
            above.bind(("127.0.0.1", port + 10_000))
            return port


async def test_a_cluster(tmp_path: Path) -> None:
    arguments = ("--cluster-enabled", "yes", "--cluster-config-file", str(tmp_path / "nodes"))
    with RedisServer(cluster_port(), (*arguments, "--dir", str(tmp_path))) as server:
        client = server.client()
        client.execute_command("CLUSTER", "ADDSLOTS", *range(16_384))
        until(lambda: client.cluster("info")["cluster_state"] == "ok", 20)
        await check(f"redis+cluster://127.0.0.1:{server.port}")


async def test_a_sentinel(tmp_path: Path) -> None:
    with RedisServer(free_port()) as server:
        config = tmp_path / "sentinel.conf"
        config.write_text(f"sentinel monitor main 127.0.0.1 {server.port} 1\n")
        sentinel = RedisServer(free_port(), configuration=config)
        with sentinel:
            await check(f"redis+sentinel://127.0.0.1:{sentinel.port}/main/0")


@pytest.mark.parametrize("url", ["redis+sentinel://", "redis+sentinel://host:1"])
def test_urls_without_sense(url: str) -> None:
    with pytest.raises(ValueError, match="Sentinel"):
        open_client(url, 1.0)
