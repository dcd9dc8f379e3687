"""Logins against the server itself: psql with and without channel binding, TLS, brute force.

Each server has a state folder of its own, so that the certificate and the secret are made here.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import statistics
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from tests.support.canary import slowness
from tests.support.server import RunningServer, start_server

SSL_REQUEST = struct.pack("!ii", 8, 80877103)
needs_psql = pytest.mark.skipif(shutil.which("psql") is None, reason="psql is not installed")


def start(folder: Path, **environment: str) -> RunningServer:
    values = {"CUBEWIRE_STATE_DIRECTORY": str(folder), **environment}
    return start_server(["--demo", "--port", "0"], values)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def server(state: Path) -> Iterator[RunningServer]:
    running = start(state)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def strict(state: Path, server: RunningServer) -> Iterator[RunningServer]:
    running = start(state, CUBEWIRE_TLS__MODE="require")
    yield running
    running.stop()


def psql(server: RunningServer, options: str, sql: str = "SELECT 1") -> tuple[int, str]:
    text = f"host=localhost port={server.port} dbname=cubewire user=demo password=demo {options}"
    done = subprocess.run(
        ["psql", "-XAtc", sql, text], capture_output=True, text=True, timeout=30, check=False
    )
    return done.returncode, done.stdout + done.stderr


@needs_psql
@pytest.mark.parametrize(
    "options",
    [
        "sslmode=disable",
        "sslmode=prefer",
        "sslmode=require",
        "sslmode=require channel_binding=require",
        "sslmode=require channel_binding=disable",
        "sslmode=require ssl_min_protocol_version=TLSv1.3",
        "sslmode=require ssl_max_protocol_version=TLSv1.2 channel_binding=require",
    ],
)
def test_psql_logs_in(server: RunningServer, options: str) -> None:
    assert psql(server, options) == (0, "1\n")


@needs_psql
def test_psql_verifies_the_certificate_it_was_given(server: RunningServer, state: Path) -> None:
    (root,) = (path for path in state.rglob("*.pem"))
    assert psql(server, f"sslmode=verify-full sslrootcert={root}") == (0, "1\n")


@needs_psql
@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ("password=nope", 'password authentication failed for user "demo"'),
        ("user=nobody", 'password authentication failed for user "nobody"'),
        ("dbname=other", 'database "other" does not exist'),
        ("sslmode=disable channel_binding=require", "channel binding"),
        ("sslmode=require ssl_min_protocol_version=TLSv1 ssl_max_protocol_version=TLSv1.1", "SSL"),
    ],
)
def test_psql_is_refused(server: RunningServer, options: str, complaint: str) -> None:
    code, text = psql(server, options)
    assert code == 2
    assert complaint in text


@needs_psql
def test_required_tls(strict: RunningServer) -> None:
    assert psql(strict, "sslmode=require") == (0, "1\n")
    code, text = psql(strict, "sslmode=disable")
    assert code == 2
    assert "requires TLS" in text


def startup(user: str = "demo", database: str = "cubewire") -> bytes:
    body = struct.pack("!i", 196608) + f"user\0{user}\0database\0{database}\0\0".encode()
    return struct.pack("!i", len(body) + 4) + body


def everything(link: socket.socket) -> bytes:
    data = b""
    link.settimeout(10)
    try:
        while part := link.recv(65536):
            data += part
    except (ConnectionError, ssl.SSLError):
        pass
    return data


def test_plaintext_where_tls_is_required_is_28000(strict: RunningServer) -> None:
    with socket.create_connection((strict.host, strict.port)) as link:
        link.sendall(startup())
        answer = everything(link)
    assert answer[:1] == b"E"
    assert b"C28000\0" in answer
    assert b"SFATAL\0" in answer


@pytest.mark.parametrize("stuffed", [startup(), b"Q\0\0\0\x0dSELECT 1\0", b"\x16\x03\x01"])
def test_bytes_stuffed_behind_the_request_are_never_read(
    server: RunningServer, stuffed: bytes
) -> None:
    with socket.create_connection((server.host, server.port)) as link:
        link.sendall(SSL_REQUEST + stuffed)
        answer = everything(link)
    assert b"R\0\0\0" not in answer
    assert answer[:1] in {b"", b"S", b"E"}


def context(*protocols: str) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    if protocols:
        made.set_alpn_protocols(list(protocols))
    return made


def test_direct_tls_with_alpn(server: RunningServer) -> None:
    raw = socket.create_connection((server.host, server.port))
    with context("postgresql").wrap_socket(raw) as link:
        assert link.selected_alpn_protocol() == "postgresql"
        link.sendall(startup())
        link.settimeout(10)
        answer = link.recv(1000)
    assert answer[:1] == b"R"
    assert b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0" in answer


@pytest.mark.parametrize("protocols", [(), ("http/1.1",)])
def test_direct_tls_without_alpn_is_closed(
    server: RunningServer, protocols: tuple[str, ...]
) -> None:
    raw = socket.create_connection((server.host, server.port))
    try:
        with context(*protocols).wrap_socket(raw) as link:
            link.sendall(startup())
            assert everything(link) == b""
    except (ssl.SSLError, ConnectionError):
        pass


def test_plus_is_not_offered_outside_tls(server: RunningServer) -> None:
    with socket.create_connection((server.host, server.port)) as link:
        link.sendall(startup())
        link.settimeout(10)
        answer = link.recv(1000)
    assert b"SCRAM-SHA-256\0" in answer
    assert b"PLUS" not in answer


async def attempt(server: RunningServer, user: str, password: str) -> str:
    try:
        connection = await asyncpg.connect(
            host=server.host,
            port=server.port,
            user=user,
            password=password,
            database="cubewire",
            ssl=False,
        )
    except asyncpg.PostgresError as error:
        return str(error.sqlstate)
    try:
        await connection.fetchval("SELECT 1")
    finally:
        await connection.close()
    return "ok"


async def test_brute_force_slows_itself_and_nobody_else(state: Path, server: RunningServer) -> None:
    """Test 14: a thousand wrong logins, 50 at a time, while others come and go."""
    password = "wr0ng-and-never-logged"
    outcomes: list[str] = []
    slots = asyncio.Semaphore(50)

    async def attack() -> None:
        async with slots:
            outcomes.append(await attempt(server, "victim", password))

    async def others() -> list[float]:
        times = []
        for _ in range(20):
            started = time.monotonic()
            assert await attempt(server, "demo", "demo") == "ok"
            times.append(time.monotonic() - started)
            await asyncio.sleep(0.1)
        return times

    attacks = [asyncio.create_task(attack()) for _ in range(1000)]
    times = await others()
    await asyncio.gather(*attacks)
    # One of them may meet a busy machine.
    assert statistics.median(times) < slowness()
    assert set(outcomes) == {"28P01", "28000"}
    assert outcomes.count("28P01") < 100
    text = "".join(server.log)
    assert password not in text
    assert "login refused" in text
