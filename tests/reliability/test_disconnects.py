"""Clients that go without a word, in the middle of anything: what they held comes back."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
import time

import psutil
import psycopg

from proxy.wire import frontend
from tests.reliability.support import MB, address, at_rest, dsn, resident, until
from tests.support.canary import Canary
from tests.support.oracle import OraclePostgres
from tests.support.server import RunningServer

DOINGS = (
    "SELECT id, label FROM numbers",
    "SELECT COUNT(*) FROM endless WHERE rest = 3",
    "SELECT id, label FROM distant_numbers",
    "SELECT COUNT(*) FROM distant_endless WHERE rest = 3",
    "SELECT generate_series(1, 100000000)",
    "SELECT count(*) FROM (SELECT generate_series(1, 3000000000)) AS t",
    "BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT id FROM endless; FETCH 10 FROM c; COMMIT",
    "BEGIN; DECLARE c CURSOR FOR SELECT id FROM distant_endless; FETCH 10 FROM c",
    "COPY (SELECT id, label FROM numbers) TO STDOUT",
    "SELECT 1",
)


def vanish(server: RunningServer, number: int, chance: random.Random) -> None:
    client = address(server).session()
    link = client.socket
    assert isinstance(link, socket.socket)
    client.send(frontend.Query(DOINGS[number % len(DOINGS)]))
    if chance.random() < 0.3:
        link.settimeout(0.5)
        with contextlib.suppress(TimeoutError):  # some never answer
            client.receive()
    time.sleep(chance.random() * 0.3)
    if chance.random() < 0.5:  # RST rather than FIN
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    link.close()


def clients(server: RunningServer) -> int:
    """Connections to the server's port that it still holds."""
    held = psutil.Process(server.pid).net_connections("tcp")
    return sum(each.laddr.port == server.port and bool(each.raddr) for each in held)


def test_random_disconnects(server: RunningServer, oracle: OraclePostgres) -> None:
    with psycopg.connect(dsn(server), autocommit=True) as connection:
        connection.execute("SELECT COUNT(*) FROM distant_endless WHERE 1 = 0 AND id < 0")
    with Canary(address(server)):
        time.sleep(2)  # what the first statements load is not kept by those that vanish
    before = resident(server)
    with Canary(address(server)) as canary:
        for turn in range(6):
            threads = [
                threading.Thread(target=vanish, args=(server, n, random.Random(turn * 100 + n)))
                for n in range(20)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    # With twenty at a time a statement may wait for its turn, but what nobody waits for is gone.
    canary.check(1.0)
    at_rest(server)
    with psycopg.connect(oracle.dsn, autocommit=True) as connection:

        def running() -> int:
            row = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE state <> 'idle'"
                " AND query LIKE '%distant%' AND pid <> pg_backend_pid()"
            ).fetchone()
            assert row is not None
            return int(row[0])

        until(lambda: running() == 0)
    # Every slot is back: more at once than any pool has.
    connections = [psycopg.connect(dsn(server), autocommit=True) for _ in range(8)]
    for connection in connections:
        for sql in ("SELECT COUNT(*) FROM tiny", "SELECT COUNT(*) FROM distant_words", "SELECT 1"):
            assert connection.execute(sql.encode()).fetchone() is not None
        connection.close()
    until(lambda: clients(server) == 0)
    assert resident(server) - before < 100 * MB
