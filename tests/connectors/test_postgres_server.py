"""The PostgreSQL connector and its server: restart, refusal, silence, TLS."""

from __future__ import annotations

import asyncio
import datetime
import os
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import uvloop

from connectors.errors import WarehouseError
from connectors.postgres_connector import PostgresConnector, PostgresOptions
from proxy.auth.certificate import self_signed
from tests.conftest import free_port
from tests.connectors.support import fetch
from tests.support.oracle import OraclePostgres, binaries, start_oracle


def _launch(server: OraclePostgres, options: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
    """Start the server's cluster again, as ``start_oracle`` did."""
    owner = server.directory.stat()
    identity = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}
    return subprocess.Popen(
        [str(binaries() / "postgres"), "-D", str(server.directory / "data"), "-p", str(server.port),
         "-h", "127.0.0.1", "-k", str(server.directory), "-c", "fsync=off",
         *[part for option in options for part in ("-c", option)]],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=server.directory,
        env={"PATH": os.environ["PATH"], "TZ": "UTC", "LC_ALL": "C"},
        **(identity if os.geteuid() == 0 else {}),
    )  # fmt: skip


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


@pytest.fixture
def own_server() -> Iterator[OraclePostgres]:
    """A server that a test may kill."""
    server = start_oracle(free_port())
    yield server
    server.stop()


@pytest.mark.slow
async def test_restart_of_the_server(own_server: OraclePostgres) -> None:
    connector = PostgresConnector(PostgresOptions(dsn=own_server.dsn))
    await connector.start()
    running = [asyncio.create_task(fetch(connector, "SELECT pg_sleep(30) AS a")) for _ in range(3)]
    await asyncio.sleep(0.3)
    # Immediate shutdown, as a crash: backends get SIGQUIT and say 57P02 or nothing.
    own_server.process.kill()
    own_server.process.wait()
    results = await asyncio.wait_for(asyncio.gather(*running, return_exceptions=True), 25)
    for result in results:
        assert isinstance(result, WarehouseError)
        assert result.sqlstate in {"08006", "57P01", "57P02"}
    with pytest.raises(WarehouseError) as caught:
        await connector.health()
    if caught.value.sqlstate == "57P01":
        # An idle process of the server may outlive it by a moment, and says so when asked.
        with pytest.raises(WarehouseError) as caught:
            await connector.health()
    assert caught.value.sqlstate == "08006"
    assert not caught.value.reached
    restarted = _launch(own_server)
    try:
        started = time.monotonic()
        faults = []
        while True:
            try:
                assert await fetch(connector, "SELECT 42 AS a") == [[b"42"]]
                break
            except WarehouseError as error:
                faults.append(error)
        assert all(error.sqlstate in {"08006", "57P03"} for error in faults)
        assert not any(error.reached for error in faults)
        assert time.monotonic() - started < 30
        await connector.health()
        await connector.close()
    finally:
        restarted.terminate()
        restarted.wait(20)


async def test_statements_wait_for_a_server_that_starts(own_server: OraclePostgres) -> None:
    connector = PostgresConnector(PostgresOptions(dsn=own_server.dsn, retry_seconds=30))
    await connector.start()
    own_server.process.send_signal(signal.SIGINT)  # fast shutdown
    await asyncio.to_thread(own_server.process.wait, 20)
    waiting = asyncio.create_task(fetch(connector, "SELECT 42 AS a"))
    await asyncio.sleep(0.5)
    assert not waiting.done()
    restarted = _launch(own_server)
    try:
        assert await asyncio.wait_for(waiting, 40) == [[b"42"]]
        await connector.close()
    finally:
        restarted.terminate()
        restarted.wait(20)


async def test_nobody_listens() -> None:
    dsn = f"postgresql://oracle@127.0.0.1:{free_port()}/postgres"
    connector = PostgresConnector(PostgresOptions(dsn=dsn, retry_seconds=0.2))
    started = time.monotonic()
    with pytest.raises(WarehouseError) as caught:
        await connector.start()
    assert caught.value.sqlstate == "08006"
    assert time.monotonic() - started < 15
    await connector.close()


GREETING = (
    _message(b"R", struct.pack("!i", 0))
    + _message(b"S", b"server_version\0" + b"16.4\0")
    + _message(b"S", b"client_encoding\0" + b"UTF8\0")
    + _message(b"K", struct.pack("!ii", 1, 2))
    + _message(b"Z", b"I")
)
FAREWELL = _message(b"E", b"SFATAL\0C57P01\0Mterminating connection\0\0")


@pytest.mark.parametrize("last_words", [b"", FAREWELL], ids=["silently", "with a farewell"])
async def test_server_that_goes_as_soon_as_it_is_connected_to(last_words: bytes) -> None:
    """Nothing has reached it, so that connecting is tried again, which ends with 08006."""
    tries = 0

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal tries
        tries += 1
        length = int.from_bytes(await reader.readexactly(4), "big")
        await reader.readexactly(length - 4)
        writer.write(GREETING + last_words)
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        dsn = f"postgresql://oracle@127.0.0.1:{port}/postgres?sslmode=disable"
        connector = PostgresConnector(PostgresOptions(dsn=dsn, retry_seconds=0.2))
        with pytest.raises(WarehouseError) as caught:
            await connector.start()
        await connector.close()
    assert caught.value.sqlstate == "08006"
    assert not caught.value.reached
    assert tries > 1


async def test_server_that_never_answers() -> None:
    silent = socket.create_server(("127.0.0.1", 0))
    dsn = f"postgresql://oracle@127.0.0.1:{silent.getsockname()[1]}/postgres"
    connector = PostgresConnector(PostgresOptions(dsn=dsn, connect_seconds=0.5, retry_seconds=0.1))
    with pytest.raises(WarehouseError) as caught:
        await connector.start()
    assert caught.value.sqlstate in {"08006", "57014"}
    await connector.close()
    silent.close()


@pytest.mark.parametrize(
    ("path", "sqlstate"), [("/no_such_database", "3D000"), ("/postgres", "28000")]
)
async def test_refused_login(postgres_server: OraclePostgres, path: str, sqlstate: str) -> None:
    user = "oracle" if sqlstate == "3D000" else "no_such_role"
    dsn = f"postgresql://{user}@{postgres_server.host}:{postgres_server.port}{path}"
    connector = PostgresConnector(PostgresOptions(dsn=dsn))
    with pytest.raises(WarehouseError) as caught:
        await connector.start()
    assert caught.value.sqlstate == sqlstate
    await connector.close()


class TlsRelay(threading.Thread):
    """Speaks TLS in front of a PostgreSQL that was built without it."""

    def __init__(self, server: OraclePostgres, directory: Path) -> None:
        super().__init__(daemon=True)
        now = datetime.datetime.now(datetime.UTC)
        certificate, key = self_signed(directory, ("localhost",), now)
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(certificate, key)
        self._server = server
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._ready = threading.Event()
        self.port = 0
        self.start()
        self._ready.wait(10)

    def run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self.join(10)

    async def _serve(self) -> None:
        relay = await asyncio.start_server(self._client, "127.0.0.1", 0)
        self.port = relay.sockets[0].getsockname()[1]
        self._ready.set()
        await self._end.wait()
        relay.close()
        pending = asyncio.all_tasks() - {asyncio.current_task()}
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(8) == bytes.fromhex("0000000804d2162f")  # SSLRequest
        writer.write(b"S")
        await writer.start_tls(self._context)
        behind = await asyncio.open_connection(self._server.host, self._server.port)
        ways = [
            asyncio.create_task(self._copy(reader, behind[1])),
            asyncio.create_task(self._copy(behind[0], writer)),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for end in (writer, behind[1]):
            end.transport.abort()
        await asyncio.gather(*ways, return_exceptions=True)

    @staticmethod
    async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            target.write(data)
            await target.drain()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_tls_and_scram(own_server: OraclePostgres, tmp_path: Path, loop: str) -> None:
    with psycopg.connect(own_server.dsn, autocommit=True) as admin:
        admin.execute("ALTER ROLE oracle PASSWORD 'secret'")
        rules = own_server.directory / "data" / "pg_hba.conf"
        rules.write_text("host all all all scram-sha-256\n")
        admin.execute("SELECT pg_reload_conf()")
    relay = TlsRelay(own_server, tmp_path / "tls")
    dsn = f"postgresql://oracle:secret@127.0.0.1:{relay.port}/postgres?sslmode=require"

    async def main() -> None:
        connector = PostgresConnector(PostgresOptions(dsn=dsn))
        await connector.start()
        rows = await fetch(connector, "SELECT generate_series(1, 200000) AS i")
        assert len(rows) == 200_000
        stream = await connector.stream_rows("SELECT generate_series(1, 1000000000)", (), (0,))
        await anext(aiter(stream))
        await asyncio.sleep(0.2)
        await stream.close()
        with pytest.raises(WarehouseError) as caught:
            await connector.stream_rows("SELECT pg_sleep(30) AS a", (), (0,), timeout=0.3)
        assert caught.value.sqlstate == "57014"
        assert await fetch(connector, "SELECT 42 AS a") == [[b"42"]]
        await connector.close()
        wrong = PostgresConnector(PostgresOptions(dsn=dsn.replace("secret", "wrong")))
        with pytest.raises(WarehouseError) as caught:
            await wrong.start()
        assert caught.value.sqlstate == "28P01"
        await wrong.close()
        # asyncpg says goodbye in TLS after a refused login, which takes a moment.
        await asyncio.sleep(0.2)

    try:
        (uvloop.run if loop == "uvloop" else asyncio.run)(main())
    finally:
        relay.stop()
