"""Test 37: SIGTERM loses no row of a running statement, and ends the server in time."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import psycopg
import pytest

from proxy.wire import backend, frontend
from tests.conftest import free_port
from tests.reliability.support import address, configuration, dsn, start, until
from tests.support.fault_proxy import FaultProxy
from tests.support.server import RunningServer
from tests.support.waiting import until_async

GRACE = 40
"""Seconds: much more than what runs here takes, on a busy machine too."""
ROWS = 20_000
SQL = f"SELECT id, label FROM numbers LIMIT {ROWS}"


def begin_stop(server: RunningServer) -> None:
    server.process.send_signal(signal.SIGTERM)


async def busy(server: RunningServer, number: int, answered: set[int], outcomes: list[str]) -> None:
    """One client of fifty: statement after statement until it is told to go."""
    connection = await psycopg.AsyncConnection.connect(dsn(server), autocommit=True)
    try:
        while True:
            if number % 3 == 0:
                rows = await (await connection.execute(SQL)).fetchall()
                assert len(rows) == ROWS
                assert rows[-1][0] == ROWS - 1
            elif number % 3 == 1:
                row = await (await connection.execute("SELECT COUNT(*) FROM numbers")).fetchone()
                assert row == (10_000_000,)
            else:
                await connection.execute("BEGIN")
                await connection.execute("DECLARE few CURSOR FOR SELECT id FROM tiny")
                rows = await (await connection.execute("FETCH ALL FROM few")).fetchall()
                assert len(rows) == 10
                await connection.execute("COMMIT")
            answered.add(number)
    except psycopg.OperationalError as error:
        outcomes.append(error.sqlstate or "closed")
    except AssertionError:
        outcomes.append("truncated")
    finally:
        await connection.close()


async def test_fifty_busy_clients(tmp_path: Path) -> None:
    server = await asyncio.to_thread(start, tmp_path, server__shutdown_grace=GRACE)
    answered: set[int] = set()
    outcomes: list[str] = []

    async def takes_nobody() -> bool:
        try:
            connection = await psycopg.AsyncConnection.connect(dsn(server))
        except psycopg.OperationalError:
            return True
        await connection.close()
        return False

    try:
        clients = [
            asyncio.create_task(busy(server, number, answered, outcomes)) for number in range(50)
        ]
        await until_async(lambda: len(answered) == 50)
        assert outcomes == []
        asked = time.monotonic()
        begin_stop(server)
        await until_async(takes_nobody)
        async with asyncio.timeout(GRACE + 5):
            await asyncio.gather(*clients)
        code = await asyncio.to_thread(server.stop, signal.SIGCONT)
        took = time.monotonic() - asked
    finally:
        with contextlib.suppress(Exception):
            await asyncio.to_thread(server.stop, signal.SIGKILL)
    assert code == 0
    assert took < GRACE
    assert len(outcomes) == 50
    assert set(outcomes) <= {"57P01", "closed"}, outcomes


def test_long_statement_is_finished_and_idle_sessions_end(tmp_path: Path) -> None:
    server = start(tmp_path, server__shutdown_grace=GRACE)
    with FaultProxy(server.host, server.port) as proxy, address(server).session() as idle:
        proxy.bytes_per_second = 1_000_000
        with address(server).session() as open_block:
            open_block.query("BEGIN")
            rows: list[tuple[object, ...]] = []
            slow = dsn(server).replace(f"port={server.port}", f"port={proxy.port}")
            with psycopg.connect(slow, autocommit=True) as connection:
                sql = "SELECT id, label FROM numbers LIMIT 120000"
                thread = threading.Thread(target=lambda: rows.extend(connection.execute(sql)))
                thread.start()
                time.sleep(1)
                asked = time.monotonic()
                begin_stop(server)
                for client in (idle, open_block):
                    error = client.receive()
                    assert isinstance(error, backend.ErrorResponse)
                    assert (error.fields["C"], error.fields["S"]) == ("57P01", "FATAL")
                    assert client.receive() is None
                assert time.monotonic() - asked < GRACE / 2
                assert thread.is_alive()
                thread.join(GRACE)
    assert server.stop(signal.SIGCONT) == 0
    assert time.monotonic() - asked < GRACE
    assert [row[0] for row in rows] == list(range(120_000))


def test_clients_are_taken_until_balancers_have_looked(tmp_path: Path) -> None:
    admin = free_port()
    server = start(
        tmp_path, server__shutdown_grace=GRACE, server__shutdown_delay=3, server__admin_port=admin
    )
    asked = time.monotonic()
    begin_stop(server)
    until(lambda: not is_ready(admin))
    with psycopg.connect(dsn(server), autocommit=True) as connection:
        assert connection.execute("SELECT COUNT(*) FROM tiny").fetchone() == (10,)
        assert server.stop(signal.SIGCONT) == 0
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    assert 3 <= time.monotonic() - asked < GRACE


def is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return int(answer.status) == 200
    except urllib.error.HTTPError as error:
        return error.code != 503


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_everything_at_once(tmp_path: Path, number: int) -> None:
    server = start(tmp_path, server__shutdown_grace=60)
    family = psutil.Process(server.pid).children(recursive=True)
    assert family
    with address(server).session() as client:
        client.send(frontend.Query("SELECT COUNT(*) FROM endless WHERE rest = 3"))
        time.sleep(0.5)
        begin_stop(server)
        time.sleep(1)
        assert server.process.poll() is None
        asked = time.monotonic()
        assert server.stop(number) == 0
        assert time.monotonic() - asked < 30
        last = client.until(backend.ReadyForQuery)[-1:]
        assert [type(each) for each in last] in ([], [backend.ErrorResponse])
    until(lambda: not any(each.is_running() for each in family))


def test_statements_past_the_grace_are_told(tmp_path: Path) -> None:
    server = start(tmp_path, server__shutdown_grace=1)
    with address(server).session() as client, address(server).session() as other:
        client.send(frontend.Query("SELECT COUNT(*) FROM endless WHERE rest = 3"))
        other.send(frontend.Query("SELECT id, label FROM endless"))  # and never reads
        time.sleep(0.5)
        asked = time.monotonic()
        assert server.stop(signal.SIGTERM) == 0
        assert time.monotonic() - asked < 30
        last = client.until(backend.ReadyForQuery)[-1]
        assert isinstance(last, backend.ErrorResponse)
        assert last.fields["C"] == "57P01"


def test_logins_under_way_are_refused(tmp_path: Path) -> None:
    """A connection from before the signal that has not logged in yet."""
    server = start(tmp_path, server__shutdown_grace=60)
    with socket.create_connection((server.host, server.port), 10) as silent:
        time.sleep(0.3)
        asked = time.monotonic()
        assert server.stop(signal.SIGTERM) == 0
        assert time.monotonic() - asked < 30
        told = b""
        with contextlib.suppress(ConnectionResetError):
            while part := silent.recv(1000):
                told += part
    assert told == b"" or b"57P0" in told


def test_sigterm_right_after_the_start(tmp_path: Path) -> None:
    server = start(tmp_path)
    assert server.stop(signal.SIGTERM) == 0


@pytest.mark.parametrize("delay", [0.4, 0.9, 1.4])
def test_sigterm_while_it_starts(tmp_path: Path, delay: float) -> None:
    """Nothing of it stays."""
    config = configuration(tmp_path)
    command = [str(Path(sys.executable).parent / "cubewire"), "serve", "--config", str(config)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        time.sleep(delay)
        family = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        _, told = process.communicate(timeout=60)
    assert process.returncode in (0, -signal.SIGTERM)
    assert b"Traceback" not in told
    until(lambda: not any(each.is_running() for each in family))
