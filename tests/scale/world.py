"""Two hosts' worth of servers behind HAProxy, which share a Redis and a warehouse."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import psutil
import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import free_port
from tests.deploy.test_files import DEPLOY
from tests.support.redis_server import RedisServer
from tests.support.server import RunningServer, start_server

HAPROXY = shutil.which("haproxy") or "/usr/sbin/haproxy"
USERS = {"anna": 1, "bert": 2}
"""Logins, and the city whose rows each may see."""

MODEL = """
cubes:
  - name: orders
    sql_table: orders
    dimensions:
      - {name: id, sql: id, type: number, primary_key: true, public: true}
      - {name: city_id, sql: city_id, type: number}
      - {name: status, sql: status, type: string}
    measures:
      - {name: count, type: count}
      - {name: revenue, sql: "%s", type: sum}
    access_policy:
      - group: "*"
        member_level: {includes: "*"}
        row_level: {filters: [{member: city_id, operator: equals, values: ["{ user.city }"]}]}
"""
REVENUE = "amount"


@dataclass
class Host:
    """One of them. ``timeout`` is the session's default, by which a client tells them apart."""

    name: str
    folder: Path
    admin: int
    port: int
    timeout: str
    server: RunningServer | None = None

    def start(self) -> None:
        self.server = start_server(["--config", str(self.folder / "cubewire.yml")])

    def kill(self) -> None:
        """As if somebody pulled the plug: everything of it at once."""
        assert self.server is not None
        root = psutil.Process(self.server.pid)
        for process in [root, *root.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.server.stop(signal.SIGKILL)
        self.server = None

    def drain(self) -> int:
        """SIGTERM. Returns the exit code."""
        assert self.server is not None
        server, self.server = self.server, None
        return server.stop(signal.SIGTERM, 60)

    def write_model(self, revenue: str) -> None:
        (self.folder / "models" / "orders.yml").write_text(MODEL % revenue)

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/readyz", timeout=2):
                return True
        except OSError:
            return False

    def outcomes(self) -> dict[str, float]:
        """Statements by where their rows came from."""
        url = f"http://127.0.0.1:{self.admin}/metrics"
        with urllib.request.urlopen(url, timeout=5) as answer:
            text = answer.read().decode()
        return {
            sample.labels["outcome"]: sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "cubewire_result_cache_total"
        }


@dataclass
class World:
    port: int
    hosts: list[Host]
    redis: RedisServer
    warehouse: Path
    _expected: dict[tuple[str, int], list[tuple[object, ...]]] = field(default_factory=dict)

    def dsn(self, user: str, port: int | None = None) -> str:
        return f"postgresql://{user}:{user}@127.0.0.1:{port or self.port}/cubewire"

    def connect(self, user: str) -> psycopg.Connection:
        return psycopg.connect(self.dsn(user), autocommit=True, connect_timeout=10)

    def host_of(self, connection: psycopg.Connection) -> Host:
        """Which of them the balancer gave a connection to."""
        row = connection.execute("SHOW statement_timeout").fetchone()
        assert row is not None
        return next(host for host in self.hosts if host.timeout == row[0])

    def connect_to(self, host: Host, user: str) -> psycopg.Connection:
        """A connection through the balancer that has come to a host."""
        for _ in range(50):
            connection = self.connect(user)
            if self.host_of(connection) is host:
                return connection
            connection.close()
        raise AssertionError(f"the balancer gives nothing to {host.name}")

    def expected(self, user: str, bound: int) -> list[tuple[object, ...]]:
        """What the warehouse says to ``question``."""
        key = (user, bound)
        if key not in self._expected:
            with duckdb.connect(str(self.warehouse), read_only=True) as connection:
                self._expected[key] = connection.execute(
                    "SELECT status, count(*), sum(amount) FROM orders "
                    "WHERE id < ? AND city_id = ? GROUP BY 1 ORDER BY 1",
                    (bound, USERS[user]),
                ).fetchall()
        return self._expected[key]

    def wait_until_balanced(self, seconds: float = 60.0) -> None:
        """Until the balancer gives connections to both hosts."""
        deadline = time.monotonic() + seconds
        for host in self.hosts:
            while True:
                assert time.monotonic() < deadline, f"{host.name} is not used"
                with contextlib.suppress(psycopg.Error, AssertionError):
                    self.connect_to(host, "anna").close()
                    break
                time.sleep(0.1)


def question(bound: int) -> str:
    return (
        "SELECT status, MEASURE(count), MEASURE(revenue) FROM orders "
        f"WHERE id < {bound} GROUP BY 1 ORDER BY 1"
    )


def balancer(hosts: list[Host], port: int, statistics: int) -> str:
    """The configuration that is shipped, with the ports of this world."""
    text = (DEPLOY / "compose/haproxy.cfg").read_text()
    text = text.replace("bind :15432", f"bind 127.0.0.1:{port}")
    text = text.replace("bind :8404", f"bind 127.0.0.1:{statistics}")
    text = re.sub(r"maxconn \d+", "maxconn 200", text)
    text = text.replace(" resolvers docker", "").partition("\nresolvers docker")[0] + "\n"
    for number, host in enumerate(hosts, start=1):
        name = f"cubewire-{number}"
        shipped = f"server {name} {name}:15432"
        assert shipped in text
        text = text.replace(shipped, f"server {name} 127.0.0.1:{host.port} port {host.admin}")
    return text


def make_host(folder: Path, name: str, redis: RedisServer, warehouse: Path, timeout: int) -> Host:
    home = folder / name
    (home / "models").mkdir(parents=True)
    host = Host(name, home, free_port(), free_port(), f"{timeout}s")
    host.write_model(REVENUE)
    configuration = {
        "models": "models",
        "state_directory": "state",
        "server": {
            "port": host.port,
            "admin_port": host.admin,
            "statement_timeout": timeout,
            "shutdown_grace": 20,
        },
        "auth": {
            "users": {
                user: {"password": user, "attributes": {"city": city}}
                for user, city in USERS.items()
            }
        },
        "data_sources": {"default": {"type": "duckdb", "path": str(warehouse)}},
        "cache": {"ttl": "1h", "redis": {"url": redis.url, "secret": "shared", "timeout": "2s"}},
        "reload": {"debounce": "100ms"},
    }
    (home / "cubewire.yml").write_text(json.dumps(configuration))
    return host


@contextmanager
def two_hosts(folder: Path) -> Iterator[World]:
    if not Path(HAPROXY).exists():
        pytest.skip("haproxy is not installed")
    warehouse = folder / "orders.duckdb"
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute(
            "CREATE TABLE orders AS SELECT i AS id, 1 + i % 2 AS city_id, "
            "CASE WHEN i % 7 = 0 THEN 'new' ELSE 'done' END AS status, "
            "(i % 1000)::DECIMAL(12, 2) AS amount FROM range(200000) r(i)"
        )
    with RedisServer(free_port()) as redis:
        hosts = [
            make_host(folder, name, redis, warehouse, timeout)
            for name, timeout in (("one", 61), ("two", 62))
        ]
        port = free_port()
        configuration = folder / "haproxy.cfg"
        configuration.write_text(balancer(hosts, port, free_port()))
        process = subprocess.Popen([HAPROXY, "-db", "-f", str(configuration)])
        try:
            for host in hosts:
                host.start()
            world = World(port, hosts, redis, warehouse)
            _wait_for_port(port)
            world.wait_until_balanced()
            yield world
        finally:
            for host in hosts:
                if host.server is not None:
                    host.drain()
            process.terminate()
            process.wait()


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + 40
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < deadline
        time.sleep(0.05)
