"""A Redis that is away, dies, freezes, is full or slow costs no statement an error or much time."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from tests.cache.support import connect, serving, value
from tests.conftest import free_port
from tests.reliability.support import until
from tests.support.canary import slowness
from tests.support.fault_proxy import FaultProxy
from tests.support.oracle import OraclePostgres
from tests.support.redis_server import RedisServer

BOUND_SECONDS = 0.1
"""What Redis may add to a statement once it is known to be in trouble."""
RECOVERY_SECONDS = 5.0
_numbers = itertools.count(1)


@dataclass
class Scene:
    redis: RedisServer
    proxy: FaultProxy
    client: psycopg.Connection[Any]

    def ask(self) -> float:
        """A statement that nobody has asked before. Returns seconds; raises where it fails."""
        began = time.monotonic()
        value(self.client, f"SELECT asked AS n{next(_numbers)} FROM counted")
        return time.monotonic() - began

    def check_bounded(self) -> None:
        """After the first few, statements take what they take without Redis."""
        for _ in range(4):
            assert self.ask() < 4 * slowness()
        took, usual = [], []
        for _ in range(9):
            took.append(self.ask())
            self.client.execute("SET cubewire.cache = 'off'")
            usual.append(self.ask())
            self.client.execute("SET cubewire.cache = 'on'")
        bound = (statistics.median(usual) + BOUND_SECONDS) * slowness()
        assert statistics.median(took) < bound

    def check_recovered(self) -> None:
        """Results are stored again."""
        client = self.redis.client()
        known = set(client.keys("cubewire:{*}"))

        def stores() -> bool:
            self.ask()
            return set(client.keys("cubewire:{*}")) > known

        assert until(stores, 30) < RECOVERY_SECONDS * slowness()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, oracle: OraclePostgres) -> Iterator[Scene]:
    """Redis is absent when the server starts."""
    folder = tmp_path_factory.mktemp("faults")
    redis = RedisServer(free_port(), ("--maxmemory-policy", "noeviction"), running=False)
    with redis, FaultProxy("127.0.0.1", redis.port) as proxy:
        section = {"url": f"redis://127.0.0.1:{proxy.port}/0"}
        with serving(folder, oracle, "faults", redis=section) as server, connect(server) as client:
            yield Scene(redis, proxy, client)


def test_absent_at_the_start(scene: Scene) -> None:
    scene.check_bounded()
    scene.redis.start()
    scene.check_recovered()


def test_killed(scene: Scene) -> None:
    scene.redis.kill()
    scene.check_bounded()
    scene.redis.start()
    scene.check_recovered()


def test_frozen(scene: Scene) -> None:
    scene.redis.freeze()
    try:
        scene.check_bounded()
    finally:
        scene.redis.thaw()
    scene.check_recovered()


def test_slow(scene: Scene) -> None:
    scene.proxy.delay_seconds = 0.5
    try:
        scene.check_bounded()
    finally:
        scene.proxy.delay_seconds = 0.0
    scene.check_recovered()


def test_full(scene: Scene) -> None:
    client = scene.redis.client()
    client.config_set("maxmemory", 1_000_000)
    try:
        scene.check_bounded()
    finally:
        client.config_set("maxmemory", 0)
    scene.check_recovered()


def test_emptied(scene: Scene) -> None:
    sql = "SELECT asked AS emptied FROM counted"
    first = value(scene.client, sql)
    scene.redis.client().flushall()
    scene.check_recovered()
    assert value(scene.client, sql) >= first
