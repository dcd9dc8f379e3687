"""Test 5: a client whose machine vanished in the middle of a result.

The client is in a network namespace whose link goes down, so that packets are lost without a word.
What it ran ends within the time that the keepalive settings give.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

import psutil
import pytest

from tests.conftest import free_port
from tests.reliability.support import address, at_rest, serving, until
from tests.support.canary import Canary
from tests.support.oracle import OraclePostgres
from tests.support.server import REPOSITORY, RunningServer

SUBNET = 0x0AD50000 + os.getpid() % 0x4000 * 4
"""Four addresses of 10.213.0.0/16: runs that go on at the same time share no route."""
HERE, THERE = str(IPv4Address(SUBNET + 1)), str(IPv4Address(SUBNET + 2))
ADMIN_PORT = free_port()
KEEPALIVE = {"idle": 2, "interval": 1, "count": 3}
SILENCE = sum((KEEPALIVE["idle"], KEEPALIVE["interval"] * KEEPALIVE["count"]))
"""Seconds after which a silent peer is gone."""

CLIENT = """
import sys, time
from tests.support.addresses import Address
from proxy.wire import backend, frontend
host, port, sql, what, seconds = sys.argv[1:]
client = Address("proxy", host, int(port), "demo", "cubewire", "demo").session()
if sql:
    client.send(frontend.Query(sql))
if what != "wait":
    client.receive()
print("connected", flush=True)
client.socket.settimeout(None)
if what != "read":
    time.sleep(float(seconds))
while (message := client.receive()) is not None:
    if isinstance(message, (backend.CommandComplete, backend.ErrorResponse)):
        print(message, flush=True)
"""


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=10)


@dataclass
class Namespace:
    """A network of one machine, joined to this one by a cable that can be pulled."""

    name: str
    cable: str

    def pull(self) -> None:
        ip("-n", self.name, "link", "set", "eth0", "down")

    def plug_in(self) -> None:
        ip("-n", self.name, "link", "set", "eth0", "up")


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Namespace]:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("needs root and iproute2 for a network namespace")
    made = Namespace(f"cw{os.getpid()}", f"cw{os.getpid()}v")
    try:
        ip("netns", "add", made.name)
        ip("link", "add", made.cable, "type", "veth", "peer", "name", "eth0", "netns", made.name)
        ip("address", "add", f"{HERE}/30", "dev", made.cable)
        ip("link", "set", made.cable, "up")
        ip("-n", made.name, "address", "add", f"{THERE}/30", "dev", "eth0")
        made.plug_in()
    except (subprocess.CalledProcessError, OSError) as error:
        _remove(made)
        pytest.skip(f"no network namespace here: {error}")
    yield made
    _remove(made)


def _remove(namespace: Namespace) -> None:
    for command in (("link", "del", namespace.cable), ("netns", "del", namespace.name)):
        with contextlib.suppress(subprocess.CalledProcessError):
            ip(*command)


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, oracle: OraclePostgres, elsewhere: Namespace
) -> Iterator[RunningServer]:
    settings = {f"server__tcp_keepalive_{name}": value for name, value in KEEPALIVE.items()}
    folder = tmp_path_factory.mktemp("server")
    settings["server__admin_port"] = ADMIN_PORT
    with serving(folder, oracle=oracle, server__host=HERE, **settings) as running:
        yield running


@contextlib.contextmanager
def client_elsewhere(
    namespace: Namespace, server: RunningServer, sql: str, what: str, seconds: float = 600
) -> Iterator[subprocess.Popen[str]]:
    """A client that reads, that stalls after the first row, or that waits for it."""
    command = ["ip", "netns", "exec", namespace.name, sys.executable, "-c", CLIENT]
    process = subprocess.Popen(
        [*command, HERE, str(server.port), sql, what, str(seconds)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "connected\n"
        yield process
    finally:
        process.kill()
        process.communicate()
        namespace.plug_in()


def slots_in_use() -> float:
    """Statements that the server has at its warehouses."""
    with urllib.request.urlopen(f"http://127.0.0.1:{ADMIN_PORT}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    slots = [line for line in lines if line.startswith("cubewire_warehouse_slots_in_use{")]
    assert len(slots) == 2
    return sum(float(line.split()[-1]) for line in slots)


def connections(server: RunningServer) -> int:
    """Sockets that the server still has with the other machine."""
    found = psutil.Process(server.pid).net_connections("tcp")
    return sum(each.raddr.ip == THERE for each in found if each.raddr)


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        ("SELECT id, payload FROM payloads", "read"),
        ("SELECT id, rest FROM distant_endless", "read"),
        ("SELECT id, rest FROM endless", "stall"),
        ("SELECT COUNT(*) FROM endless WHERE rest = 3", "wait"),
        ("", "wait"),
    ],
    ids=["reading", "reading from postgres", "stalled", "computing", "idle"],
)
def test_the_cable_is_pulled(
    elsewhere: Namespace, server: RunningServer, sql: str, what: str
) -> None:
    with client_elsewhere(elsewhere, server, sql, what):
        assert connections(server) == 1
        with Canary(address(server)) as canary:
            time.sleep(0.5)
            elsewhere.pull()
            took = until(lambda: connections(server) == 0, SILENCE + 30)
        assert took < SILENCE + 30
        canary.check()
        at_rest(server)
        assert slots_in_use() == 0


def test_who_only_pauses_is_kept(elsewhere: Namespace, server: RunningServer) -> None:
    """A client that reads nothing for longer is no vanished one: the write timeout is for it."""
    rows = 20_000
    sql = f"SELECT id, payload FROM payloads LIMIT {rows}"
    with client_elsewhere(elsewhere, server, sql, "stall", SILENCE + 4) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"CommandComplete(tag='SELECT {rows}')\n"


def test_a_short_break_is_survived(elsewhere: Namespace, server: RunningServer) -> None:
    rows = 100_000
    sql = f"SELECT id, payload FROM payloads LIMIT {rows}"
    with client_elsewhere(elsewhere, server, sql, "read") as process:
        elsewhere.pull()
        time.sleep(1)
        elsewhere.plug_in()
        assert process.stdout is not None
        assert process.stdout.readline() == f"CommandComplete(tag='SELECT {rows}')\n"
