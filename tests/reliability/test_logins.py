"""Tests 6, 11 and 13 as far as they need the whole server: what a client can do before it is known.

Parts are tested in tests/auth; here is what many, slow, or dishonest clients get.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import socket
import ssl
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass

import psutil
import pytest

from proxy.wire import backend, frontend
from tests.auth.support import ScramClient
from tests.reliability.support import MB, address, processor_seconds, resident, serving, until
from tests.support.canary import Canary
from tests.support.raw_client import RawClient, StartupError
from tests.support.server import RunningServer

LOGIN_SECONDS = 6
STARTUP = frontend.StartupMessage(3, 0, {"user": "demo", "database": "cubewire"}).encode()


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("impatient")
    with serving(folder, server__authentication_timeout=LOGIN_SECONDS) as running:
        yield running


# ----------------------------------------------------------------------------------- slowloris


async def _hold(server: RunningServer, kind: str) -> tuple[float, bytes]:
    """One of five hundred: how long it was kept, and what it was told."""
    started = time.monotonic()
    reader, writer = await asyncio.open_connection(server.host, server.port)
    if kind == "asked":
        writer.write(STARTUP)

    async def drip() -> None:
        for byte in STARTUP[:-1]:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.5)

    dripping = asyncio.create_task(drip()) if kind == "dripping" else None
    told = b""
    with contextlib.suppress(ConnectionError):
        told = await reader.read()
    if dripping is not None:
        dripping.cancel()
    writer.close()
    return time.monotonic() - started, told


def _login_seconds(server: RunningServer) -> float:
    started = time.monotonic()
    with address(server).session():
        return time.monotonic() - started


async def test_five_hundred_that_never_log_in(impatient: RunningServer) -> None:
    with Canary(address(impatient)):
        await asyncio.sleep(2)  # what the first statements load is not the price of a connection
    before = resident(impatient)
    kinds = ("silent", "dripping", "asked")
    with Canary(address(impatient)) as canary:
        held = [asyncio.create_task(_hold(impatient, kinds[n % 3])) for n in range(500)]
        logins = []
        while not all(each.done() for each in held):
            logins.append(await asyncio.to_thread(_login_seconds, impatient))
            await asyncio.sleep(0.2)
    canary.check()
    assert max(logins) < 20
    assert len(logins) > 3
    for number, task in enumerate(held):
        seconds, told = task.result()
        assert LOGIN_SECONDS - 1 < seconds < LOGIN_SECONDS + 20
        if kinds[number % 3] == "asked":
            assert b"C57014\0" in told
            assert b"canceling authentication due to timeout" in told
        else:
            assert told == b""
    assert resident(impatient) - before < 32 * MB
    process = psutil.Process(impatient.pid)
    until(lambda: len(process.net_connections("tcp")) < 50)


def test_nothing_before_a_login_is_expensive(server: RunningServer) -> None:
    """Under 50 ms of processor time each, and no session."""
    openings = [
        STARTUP,
        STARTUP + os.urandom(5000),
        frontend.SSLRequest().encode() + os.urandom(5000),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(600),
        frontend.CancelRequest(1, os.urandom(256)).encode(),
        frontend.StartupMessage(3, 0, {"user": "x" * 9000}).encode(),
        frontend.StartupMessage(3, 0, {"user": "a", **{f"k{n}": "" for n in range(1500)}}).encode(),
        STARTUP + frontend.SASLInitialResponse("SCRAM-SHA-256", b"n,,n=,r=" + b"x" * 9000).encode(),
    ]
    for opening in openings:
        before = processor_seconds(server)
        for _ in range(20):
            with RawClient.connect(server.host, server.port) as client:
                client.send(opening)
                client.socket.shutdown(socket.SHUT_WR)
                with contextlib.suppress(Exception):
                    while client.socket.recv(10_000):
                        pass
        assert (processor_seconds(server) - before) / 20 < 0.05


def test_giant_lengths_of_a_login(server: RunningServer) -> None:
    """Test 7, with the header alone, in the middle of a message, and after the login began."""
    head = (2**31 - 1).to_bytes(4, "big") + b"\0\3\0\0"
    mega = b"p" + (2**30).to_bytes(4, "big")
    openings = (head, head + b"user\0" * 1000, STARTUP + mega, STARTUP + mega + b"x" * 9000)
    for opening in openings:  # warm
        _closed(server, opening)
    before = resident(server)
    for _ in range(25):
        for opening in openings:
            assert _closed(server, opening)
    assert resident(server) - before < 5 * MB


def _closed(server: RunningServer, opening: bytes) -> bool:
    with RawClient.connect(server.host, server.port) as client:
        with contextlib.suppress(ConnectionError):
            client.send(opening)
            while client.socket.recv(10_000):
                pass
        return True


def test_messages_that_promise_more_than_they_send(server: RunningServer) -> None:
    """Thirty clients announce 60 MiB each and send little of it: nothing is set aside for them."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(address(server).session()) for _ in range(30)]
        before = resident(server)
        for code in (b"Q", b"P", b"B") * 10:
            clients.pop().send(code + (60 * 2**20).to_bytes(4, "big") + b"x" * 1000)
        time.sleep(0.5)
        assert resident(server) - before < 5 * MB


# ----------------------------------------------------------------------------------- TLS


def _context(version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    if version is not None:
        made.set_ciphers("ALL:@SECLEVEL=0")
        made.minimum_version = made.maximum_version = version
    return made


@pytest.mark.parametrize(
    ("version", "accepted"),
    [("TLSv1", False), ("TLSv1_1", False), ("TLSv1_2", True), ("TLSv1_3", True)],
)
@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_versions(server: RunningServer, version: str, accepted: bool, direct: bool) -> None:
    context = _context(ssl.TLSVersion[version])
    if direct:
        context.set_alpn_protocols(["postgresql"])
    with socket.create_connection((server.host, server.port), 10) as raw:
        if not direct:
            raw.sendall(frontend.SSLRequest().encode())
            assert raw.recv(1) == b"S"
        if not accepted:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                context.wrap_socket(raw)
            return
        with context.wrap_socket(raw) as link:
            assert link.version() == version.replace("_", ".")
            assert link.session is None or not link.session_reused
            client = RawClient(link)
            client.startup("demo", "cubewire", "demo")
            assert backend.DataRow((b"1",)) in client.query("SELECT 1")


def test_weak_ciphers_are_refused(server: RunningServer) -> None:
    context = _context(ssl.TLSVersion.TLSv1_2)
    for name in ("NULL", "EXPORT", "RC4", "3DES", "MD5", "aNULL"):
        try:
            context.set_ciphers(f"{name}:@SECLEVEL=0")
        except ssl.SSLError:
            continue  # not even in this client
        with socket.create_connection((server.host, server.port), 10) as raw:
            raw.sendall(frontend.SSLRequest().encode())
            assert raw.recv(1) == b"S"
            with pytest.raises((ssl.SSLError, ConnectionError)):
                context.wrap_socket(raw)


def test_stuffed_login_is_never_executed(server: RunningServer) -> None:
    """CVE-2021-23214: what came in the clear must not be read as if it had come through TLS."""
    cancelled = address(server).session()
    assert cancelled.key is not None
    cancelled.send(frontend.Query("SELECT COUNT(*) FROM endless WHERE rest = 3"))
    time.sleep(0.3)
    key = cancelled.key
    stuffed = frontend.CancelRequest(key.process_id, key.secret_key).encode()
    for request in (frontend.SSLRequest().encode(), frontend.GSSENCRequest().encode()):
        with socket.create_connection((server.host, server.port), 10) as raw:
            raw.sendall(request + stuffed)
            told = b""
            with contextlib.suppress(ConnectionError):
                while part := raw.recv(1000):
                    told += part
            assert b"R\0\0\0" not in told
    cancelled.socket.settimeout(0.7)
    with pytest.raises(TimeoutError):
        cancelled.receive()
    cancelled.close()


def test_plaintext_after_the_handshake_ends_it(server: RunningServer) -> None:
    raw = socket.create_connection((server.host, server.port), 10)
    raw.sendall(frontend.SSLRequest().encode())
    assert raw.recv(1) == b"S"
    plain = socket.socket(fileno=os.dup(raw.fileno()))
    with _context().wrap_socket(raw) as link, plain:
        client = RawClient(link)
        client.startup("demo", "cubewire", "demo")
        plain.sendall(frontend.Query("SELECT 1").encode())
        told = b""
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            told = link.recv(1000)
        assert b"D\0\0" not in told


def test_half_a_handshake_is_dropped(impatient: RunningServer) -> None:
    with socket.create_connection((impatient.host, impatient.port), 30) as raw:
        raw.sendall(frontend.SSLRequest().encode() + b"")
        assert raw.recv(1) == b"S"
        raw.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01")
        started = time.monotonic()
        with contextlib.suppress(ConnectionError):
            assert raw.recv(1) == b""
        assert time.monotonic() - started < LOGIN_SECONDS + 20


# ----------------------------------------------------------------------------------- SCRAM


@dataclass(frozen=True)
class Refusal:
    """What a client sees of a login that fails."""

    steps: tuple[str, ...]
    code: str
    message: str
    seconds: float


def _refused(server: RunningServer, user: str, scram: ScramClient) -> Refusal:
    steps: list[str] = []
    started = time.monotonic()
    with address(server).connect() as client:
        client.send(frontend.StartupMessage(3, 0, {"user": user, "database": "cubewire"}))
        while (message := client.receive()) is not None:
            steps.append(type(message).__name__)
            if isinstance(message, backend.AuthenticationSASL):
                client.send(frontend.SASLInitialResponse("SCRAM-SHA-256", scram.first()))
            elif isinstance(message, backend.AuthenticationSASLContinue):
                client.send(frontend.SASLResponse(scram.final(message.data)))
            elif isinstance(message, backend.ErrorResponse):
                text = message.fields["M"].replace(user, "USER")
                seconds = time.monotonic() - started
                return Refusal(tuple(steps), message.fields["C"], text, seconds)
    raise AssertionError(steps)


def test_unknown_user_and_wrong_password_are_one(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("patient")
    with serving(folder, auth__failure_delay=0, auth__failure_limit=1000) as server:
        seen: dict[str, list[Refusal]] = {"demo": [], "nobody": []}
        for _ in range(60):
            for user, refusals in seen.items():
                refusals.append(_refused(server, user, ScramClient("wrong")))
    shapes = {(each.steps, each.code, each.message) for every in seen.values() for each in every}
    assert len(shapes) == 1
    times = {user: statistics.median(each.seconds for each in seen[user]) for user in seen}
    ratio = times["demo"] / times["nobody"]
    assert 0.5 < ratio < 2.0  # 20 % and a noisy machine


def _challenge(server: RunningServer, user: str) -> dict[str, str]:
    with address(server).connect() as client:
        client.send(frontend.StartupMessage(3, 0, {"user": user, "database": "cubewire"}))
        client.until(backend.AuthenticationSASL)
        first = ScramClient("x").first()
        client.send(frontend.SASLInitialResponse("SCRAM-SHA-256", first))
        message = client.receive()
        assert isinstance(message, backend.AuthenticationSASLContinue)
        return dict(part.split("=", 1) for part in message.data.decode().split(","))


def test_salts_are_stable_across_a_restart(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Otherwise a user that does not exist is told by its salt."""
    folder = tmp_path_factory.mktemp("restarted")
    users = ("demo", "nobody", "somebody", "Demo", "demo ")
    seen = []
    for _ in range(2):
        with serving(folder) as server:
            seen.append([_challenge(server, user) for user in users for _ in range(2)])
    salts = [[each["s"] for each in run] for run in seen]
    assert salts[0] == salts[1]
    assert len(set(salts[0])) == len(users)
    assert {len(base64.b64decode(salt)) for salt in salts[0]} == {16}
    assert all(int(each["i"]) >= 4096 for run in seen for each in run)
    nonces = [each["r"] for run in seen for each in run]
    assert len(set(nonces)) == len(nonces)


@pytest.mark.parametrize(
    ("header", "wrong"),
    [("y,,", "downgrade"), ("n,,", "nonce"), ("n,,", "binding"), ("p=tls-unique,,", "kind")],
)
def test_dishonest_clients(server: RunningServer, header: str, wrong: str) -> None:
    """Inside TLS, where SCRAM-SHA-256-PLUS is on offer; the password is right every time."""
    with socket.create_connection((server.host, server.port), 10) as raw:
        raw.sendall(frontend.SSLRequest().encode())
        assert raw.recv(1) == b"S"
        with _context().wrap_socket(raw) as link:
            client = RawClient(link)
            client.send(STARTUP)
            offered = client.receive()
            assert isinstance(offered, backend.AuthenticationSASL)
            assert "SCRAM-SHA-256-PLUS" in offered.mechanisms
            scram = ScramClient("demo", header)
            name = "SCRAM-SHA-256-PLUS" if wrong == "kind" else "SCRAM-SHA-256"
            client.send(frontend.SASLInitialResponse(name, scram.first()))
            answer = client.receive()
            if isinstance(answer, backend.AuthenticationSASLContinue):
                nonce = "somethingelse" if wrong == "nonce" else None
                cbind = b"y,," if wrong == "binding" else None
                final = scram.final(answer.data, nonce=nonce, cbind=cbind)
                client.send(frontend.SASLResponse(final))
                answer = client.receive()
            assert isinstance(answer, backend.ErrorResponse)
            assert answer.fields["S"] == "FATAL"
            assert answer.fields["C"][:2] in ("08", "28")
            assert client.receive() is None


def test_the_honest_one_gets_in(server: RunningServer) -> None:
    with address(server).session() as client:
        assert backend.DataRow((b"demo",)) in client.query("SELECT current_user")
    with pytest.raises(StartupError) as caught, address(server).connect() as client:
        client.startup("demo", "cubewire", "wrong")
    assert caught.value.fields["C"] == "28P01"
