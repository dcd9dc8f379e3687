"""Two versions of Cubewire that share a Redis, while one is rolled out.

Results and rows of hosts are each version's own, by a number in their names. Marks, kill orders and
cancel requests are everybody's: their forms stay, and what is not understood is left alone.
"""

from __future__ import annotations

import hashlib
import json
import socket
import urllib.request
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest

from proxy.cache import keys, stored
from proxy.hosts import shared
from proxy.hosts.board import Posted
from proxy.hosts.identity import Process
from proxy.wire.backend import ErrorResponse
from proxy.wire.frontend import CancelRequest
from tests.cache.support import configuration, connect, value
from tests.cache.test_redis import TOKEN
from tests.conftest import free_port
from tests.reliability.support import until
from tests.support.oracle import OraclePostgres
from tests.support.raw_client import RawClient
from tests.support.redis_server import RedisServer
from tests.support.server import RunningServer, start_server
from tests.support.waiting import repeating


@dataclass(frozen=True)
class Versions:
    """Servers of two versions."""

    this: RunningServer
    following: RunningServer
    redis: RedisServer
    admin_ports: tuple[int, int]


@pytest.fixture(scope="module")
def versions(
    tmp_path_factory: pytest.TempPathFactory, oracle: OraclePostgres
) -> Iterator[Versions]:
    folder = tmp_path_factory.mktemp("upgraded")
    running: list[RunningServer] = []
    ports = (free_port(), free_port())
    with RedisServer(free_port()) as redis:
        address = {"url": redis.url, "secret": "of the tests", "timeout": "2s"}
        config = configuration(folder, oracle, "upgraded", redis=address)
        config["system_tables"] = {"users": ["demo"]}
        for number, module in enumerate(("", "tests.support.next_version")):
            config["server"] = {"port": 0, "admin_port": ports[number], "admin_token": TOKEN}
            config["log"]["file"] = str(folder / f"log{number}")
            file = folder / f"cubewire{number}.yml"
            file.write_text(json.dumps(config))
            running.append(start_server(["--config", str(file)], module=module))
        try:
            yield Versions(running[0], running[1], redis, ports)
        finally:
            for server in running:
                server.stop()


def order(port: int, path: str) -> None:
    """Give one through an admin port."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        headers={"Authorization": f"Bearer {TOKEN}"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def test_results_are_each_versions_own(versions: Versions) -> None:
    sql = "SELECT asked AS own FROM counted"
    with connect(versions.this) as this, connect(versions.following) as following:
        first, second = value(this, sql), value(following, sql)
        assert second > first
        client = versions.redis.client()
        until(lambda: len(client.keys("cubewire:{*}")) >= 2)
        assert (value(this, sql), value(following, sql)) == (first, second)


def test_invalidation_reaches_the_other_version(versions: Versions) -> None:
    sql = "SELECT asked AS invalid FROM counted"
    with connect(versions.this) as this, connect(versions.following) as following:
        before = value(this, sql), value(following, sql)
        order(versions.admin_ports[0], "/cache/invalidate?cube=counted")
        until(lambda: value(following, sql) > before[1])
        assert value(this, sql) > before[0]


def test_a_block_holds_at_the_other_version(versions: Versions) -> None:
    with connect(versions.this, "other") as other:
        order(versions.admin_ports[1], "/kill?user=other&then=block")

        def is_blocked() -> bool:
            try:
                other.execute("SELECT 1")
            except psycopg.errors.InsufficientPrivilege:
                return True
            except psycopg.errors.QueryCanceled:
                return False  # it ran while the order came, and is asked again
            return False

        until(is_blocked)
        order(versions.admin_ports[1], "/kill?user=other&then=lift")
        until(lambda: not is_blocked())


def test_a_cancel_request_reaches_the_other_version(versions: Versions) -> None:
    """A balancer may bring it to a server that does not have the session."""
    this, following = versions.this, versions.following
    with RawClient.connect(following.host, following.port) as client:
        client.startup("demo", "cubewire", "demo")
        assert client.key is not None
        cancel = CancelRequest(client.key.process_id, client.key.secret_key).encode()

        def ask() -> None:
            with socket.create_connection((this.host, this.port), 10) as link:
                link.sendall(cancel)
                link.recv(1)

        with repeating(ask, 1.0, 2.0):
            answers = client.query("SELECT pg_sleep(30)")
        assert "57014" in {each.fields["C"] for each in answers if isinstance(each, ErrorResponse)}


def test_each_version_shows_its_own_hosts(versions: Versions) -> None:
    for server in (versions.this, versions.following):
        with connect(server) as client:
            notices: list[str | None] = []
            client.add_notice_handler(lambda diag: notices.append(diag.message_primary))  # noqa: B023
            assert value(client, "SELECT count(*) FROM cubewire.sources") == 1
            assert notices == []


def test_what_is_not_understood_is_left_alone(versions: Versions) -> None:
    """A later version may add to what is everybody's."""
    client = versions.redis.client()
    client.hset("cubewire:marks", "a cube of later \u00e9", "mark")
    client.hset("cubewire:marks", b"\xff\xfe", b"\xff")
    client.hset("cubewire:blocked", b"\xff\xfe", b"until=tomorrow")
    client.hset("cubewire:kills", "nobody", b"\xff")
    client.publish("cubewire:cancel", b"x" * 300)
    client.publish("cubewire", b"\xff")
    test_invalidation_reaches_the_other_version(versions)
    test_a_block_holds_at_the_other_version(versions)


def test_forms_have_their_numbers() -> None:
    """Who changes what is stored changes its number, and this: versions meet in one Redis."""
    head = stored.Head(stored.ROWS, 2, 1000, bytes(16), b"first", b"written")
    posted = Posted(Process("host", "server", 1, "token"), {"sessions": [{"worker": 1}]})
    forms = {
        b"keys": keys.VERSION + keys.digest([b"a", b"bc"]),
        b"head": stored.pack_head(head, b"key", b"secret"),
        b"chunk": stored.pack_chunk(b"data", b"key", bytes(16), 3, b"secret"),
        b"hosts": shared.FORMAT + zlib.decompress(posted.encode()),
    }
    found = {name: hashlib.sha256(form).hexdigest()[:16] for name, form in forms.items()}
    assert found == {
        b"keys": "0c7bbd961c2a13e3",
        b"head": "befb1bd24396f579",
        b"chunk": "fa7bc6b64f776f55",
        b"hosts": "00db9c00e911c370",
    }
