"""Test 4: a client that reads slowly, or not at all, costs little and is dropped in the end.

Memory stays flat, nobody else notices, and what it did not read the warehouse does not compute.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest

from proxy.wire import backend, frontend
from tests.reliability.support import MB, address, at_rest, processor_seconds, resident, serving
from tests.reliability.support import until as wait_until
from tests.support.addresses import Address
from tests.support.canary import Canary
from tests.support.fault_proxy import FaultProxy
from tests.support.oracle import OraclePostgres
from tests.support.raw_client import RawClient
from tests.support.server import RunningServer

PAYLOADS = "SELECT id, payload FROM payloads"
"""600 MB."""
DISTANT = "SELECT id, label FROM distant_numbers"
CATALOG = "SELECT i, repeat('x', 1000) FROM generate_series(1, 600000) AS i"
WRITE_TIMEOUT = 4


@pytest.fixture(scope="module")
def strict(
    tmp_path_factory: pytest.TempPathFactory, oracle: OraclePostgres
) -> Iterator[RunningServer]:
    """Drops a client that reads nothing for a few seconds."""
    folder = tmp_path_factory.mktemp("strict")
    with serving(folder, oracle=oracle, server__write_timeout=WRITE_TIMEOUT) as running:
        yield running


def through(proxy: FaultProxy, server: RunningServer) -> Address:
    own = address(server)
    return Address("proxy", "127.0.0.1", proxy.port, own.user, own.database, own.password)


@pytest.mark.parametrize("sql", [PAYLOADS, DISTANT, CATALOG, f"COPY ({PAYLOADS}) TO STDOUT"])
def test_slow_reader(server: RunningServer, sql: str) -> None:
    with contextlib.ExitStack() as stack:
        proxy = stack.enter_context(FaultProxy(server.host, server.port))
        client = stack.enter_context(through(proxy, server).session())
        with Canary(address(server)) as canary:
            before = resident(server)
            proxy.bytes_per_second = 4096
            client.send(frontend.Query(sql))
            client.receive()
            peak = before
            for _ in range(25):
                time.sleep(0.1)
                peak = max(peak, resident(server))
            # It waits for its reader instead of working ahead.
            spent = processor_seconds(server)
            time.sleep(0.5)
            assert processor_seconds(server) - spent < 0.25
            assert peak - before < 64 * MB
    canary.check()
    at_rest(server)


@pytest.mark.parametrize("sql", [PAYLOADS, DISTANT, CATALOG])
def test_dropped_at_the_write_timeout(strict: RunningServer, sql: str) -> None:
    with FaultProxy(strict.host, strict.port) as proxy:
        client = through(proxy, strict).session()
        client.send(frontend.Query(sql))
        client.receive()
        proxy.stop()
        stopped = time.monotonic()
        wait_until(lambda: dropped(strict) > 0)
        assert time.monotonic() - stopped > WRITE_TIMEOUT - 1
        client.socket.close()
    strict.log.clear()
    at_rest(strict)
    with address(strict).session() as other:
        for again in ("SELECT COUNT(*) FROM tiny", "SELECT MEASURE(total) FROM tiny", "SELECT 1"):
            answers = other.query(again)
            assert any(isinstance(each, backend.DataRow) for each in answers)


def dropped(server: RunningServer) -> int:
    return sum("client stopped reading" in line for line in server.log)


def test_a_reader_that_pauses_is_kept(strict: RunningServer) -> None:
    """Shorter pauses than the timeout, again and again: every byte arrives."""
    rows = 200_000
    sql = f"SELECT id, label FROM numbers LIMIT {rows}"
    with FaultProxy(strict.host, strict.port) as proxy, through(proxy, strict).session() as client:
        client.send(frontend.Query(sql))
        for _ in range(3):
            client.receive()
            proxy.stop()
            time.sleep(WRITE_TIMEOUT * 0.4)
            proxy.go_on()
            time.sleep(0.4)
        answers = client.ready()
    assert answers[-2] == backend.CommandComplete(f"SELECT {rows}")


def stalled_client(server: RunningServer) -> RawClient:
    """A session whose kernel takes little of what the server sends."""
    own = address(server)
    link = socket.socket()
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    link.settimeout(10)
    link.connect((own.host, own.port))
    client = RawClient(link)
    client.startup(own.user, own.database, own.password)
    return client


def run(sql: str) -> bytes:
    messages = frontend.Parse("", sql), frontend.Bind("", ""), frontend.Execute("", 0)
    return b"".join(each.encode() for each in messages)


@pytest.mark.parametrize("shape", ["rows", "descriptions", "statements"])
def test_many_small_answers_nobody_reads(strict: RunningServer, shape: str) -> None:
    """Answers that are small one by one, without a Sync between them, wait for the client too."""
    describe = frontend.Describe("S", "wide").encode()
    shapes = {
        "rows": run("SELECT repeat('x', 12000) FROM tiny LIMIT 1") * 20_000,
        "descriptions": describe * 60_000,
        "statements": frontend.Query("SELECT repeat('x', 12000);" * 20_000).encode(),
    }
    columns = ", ".join(f"1 AS {'c' * 50}{n}" for n in range(200))
    client = stalled_client(strict)
    client.exchange(frontend.Parse("wide", f"SELECT {columns}"), frontend.Sync())
    with Canary(address(strict)) as canary:
        before = peak = resident(strict)
        data = memoryview(shapes[shape])
        client.socket.settimeout(0.1)
        assert isinstance(client.socket, socket.socket)
        until = time.monotonic() + 3
        while data and time.monotonic() < until:
            try:
                data = data[client.socket.send(data) :]
            except TimeoutError:
                time.sleep(0.05)
            peak = max(peak, resident(strict))
        while time.monotonic() < until:
            time.sleep(0.1)
            peak = max(peak, resident(strict))
        client.socket.close()
    canary.check()
    assert peak - before < 64 * MB
    at_rest(strict)


def test_a_flood_of_tiny_messages_lets_others_in(server: RunningServer) -> None:
    """A hundred thousand Syncs in one write are answered bit by bit."""
    flood = frontend.Sync().encode() * 200_000
    with address(server).session() as client, Canary(address(server)) as canary:
        link = client.socket
        assert isinstance(link, socket.socket)
        link.settimeout(0.01)
        sent = received = 0
        deadline = time.monotonic() + 60
        while received < 200_000 * 6:
            assert time.monotonic() < deadline
            with contextlib.suppress(TimeoutError):
                sent += link.send(flood[sent : sent + 262_144])
            with contextlib.suppress(TimeoutError):
                received += len(link.recv(1 << 20))
    canary.check()


def test_an_error_to_a_client_that_does_not_read(strict: RunningServer) -> None:
    """A connection that ends with rows unsent is closed all the same."""
    client = stalled_client(strict)
    client.send(frontend.Query(PAYLOADS))
    client.receive()
    time.sleep(1)
    assert client.key is not None
    with address(strict).session() as other:
        other.query(f"SELECT pg_terminate_backend({client.key.process_id})")
        wait_until(lambda: gone(other, client.key))
    client.socket.close()
    at_rest(strict)


def gone(other: RawClient, key: backend.BackendKeyData | None) -> bool:
    """Whether the server has forgotten a session."""
    assert key is not None
    answers = other.query(f"SELECT pg_cancel_backend({key.process_id})")
    return backend.DataRow((b"f",)) in answers
