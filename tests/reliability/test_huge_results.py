"""Test 35: results of ten million rows stream: all of them arrive, and none are piled up.

``make test`` reads a tenth of it; HUGE_RESULTS=1 reads it all.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator

import pytest

from proxy.wire import backend, frontend
from proxy.wire.codec import HEADER
from tests.reliability.support import HUGE, MB, address, resident
from tests.support.canary import Canary, slowness
from tests.support.raw_client import RawClient
from tests.support.server import RunningServer

WHOLE = os.environ.get("HUGE_RESULTS") == "1"
ROWS = HUGE if WHOLE else HUGE // 10
DISTANT_ROWS = ROWS // 5
RSS = 300 * MB
FIRST_ROW_SECONDS = 1.0

SQL = f"SELECT id, bucket, ratio, label, even FROM numbers LIMIT {ROWS}"
DISTANT = f"SELECT id, label FROM distant_numbers LIMIT {DISTANT_ROWS}"
CATALOG = f"SELECT generate_series(1, {DISTANT_ROWS}) AS i, 'label' AS label"


class Counter:
    """Counts messages by type in what arrives, without looking into them.

    Attributes:
        counts: messages by type byte.
        tag: of the last CommandComplete.
        first_row: seconds until the first DataRow.
        idle: resident bytes of the server before.
        peak: the same at most, since.
    """

    def __init__(self, client: RawClient, server: RunningServer) -> None:
        self._client = client
        self._server = server
        self._started = time.monotonic()
        self._looked = 0.0
        self._rest = b""
        self.counts = dict.fromkeys(b"CDEGHNSTZcdnst123", 0)
        self.tag = ""
        self.first_row = 0.0
        self.idle = self.peak = resident(server)

    def until(self, code: bytes) -> None:
        """Read up to and including a message of this type."""
        wanted = code[0]
        while True:
            data, position, end = self._rest, 0, len(self._rest)
            while end - position >= 5:
                kind, length = HEADER.unpack_from(data, position)
                if end - position <= length:
                    break
                self.counts[kind] += 1
                if kind != 0x44:
                    self._look_at(kind, data[position + 5 : position + 1 + length])
                elif not self.first_row:
                    self.first_row = time.monotonic() - self._started
                position += length + 1
                if kind == wanted:
                    self._rest = data[position:]
                    return
            part = self._client.socket.recv(1 << 20)
            assert part, "closed"
            self._rest = data[position:] + part
            self._measure()

    def _look_at(self, kind: int, body: bytes) -> None:
        if kind == 0x43:
            self.tag = body.rstrip(b"\0").decode()
        assert kind != 0x45, backend.ErrorResponse.decode(body)

    def _measure(self) -> None:
        now = time.monotonic()
        if now - self._looked > 0.05:
            self._looked = now
            self.peak = max(self.peak, resident(self._server))


@pytest.fixture
def counter(server: RunningServer) -> Iterator[Counter]:
    with address(server).session() as client:
        client.socket.settimeout(60)
        client.query("SELECT COUNT(*) FROM tiny")
        yield Counter(client, server)


def check(counter: Counter, rows: int, more: int = 0) -> None:
    assert counter.counts[0x44] == rows
    assert counter.peak < max(RSS, counter.idle + 100 * MB) + more
    assert counter.first_row < FIRST_ROW_SECONDS * slowness()


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("sql", "rows"),
    [(SQL, ROWS), (DISTANT, DISTANT_ROWS), (CATALOG, DISTANT_ROWS)],
    ids=["duckdb", "postgres", "catalog"],
)
@pytest.mark.parametrize("format", [0, 1], ids=["text", "binary"])
def test_at_once(counter: Counter, sql: str, rows: int, format: int) -> None:
    run = frontend.Bind("", "", (), (), (format,)), frontend.Execute("", 0), frontend.Sync()
    counter._client.send(frontend.Parse("", sql), *run)
    counter.until(b"Z")
    check(counter, rows)
    assert counter.tag == f"SELECT {rows}"


@pytest.mark.timeout(600)
def test_simple(server: RunningServer, counter: Counter) -> None:
    with Canary(address(server)) as canary:
        counter._client.send(frontend.Query(SQL))
        counter.until(b"Z")
    check(counter, ROWS)
    assert counter.tag == f"SELECT {ROWS}"
    canary.check()


@pytest.mark.timeout(600)
def test_copy(counter: Counter) -> None:
    counter._client.send(frontend.Query(f"COPY ({SQL}) TO STDOUT WITH (FORMAT csv, HEADER)"))
    counter.until(b"Z")
    assert counter.tag == f"COPY {ROWS}"
    counter.first_row = 0
    check(counter, 0)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("sync", [False, True], ids=["flush", "sync in a block"])
def test_a_thousand_at_a_time(counter: Counter, sync: bool) -> None:
    client = counter._client
    client.query("BEGIN")
    rows = ROWS // 2
    sql = f"SELECT id, bucket, ratio, label, even FROM numbers LIMIT {rows}"
    client.send(frontend.Parse("", sql), frontend.Bind("portal", ""))
    more = frontend.Execute("portal", 1000), frontend.Sync() if sync else frontend.Flush()
    portions = 0
    while not counter.tag:
        client.send(*more)
        if sync:
            counter.until(b"Z")
        elif counter.counts[0x44] + 1000 > rows:
            counter.until(b"C")
        else:
            counter.until(b"s")
        portions += 1
    client.send(frontend.Sync())
    counter.until(b"Z")
    check(counter, rows)
    assert counter.tag == f"SELECT {rows - rows // 1000 * 1000}"
    assert portions == rows // 1000 + 1


@pytest.mark.timeout(600)
@pytest.mark.parametrize("scroll", ["", "NO SCROLL"])
def test_cursor(counter: Counter, scroll: str) -> None:
    client = counter._client
    client.query("BEGIN")
    client.query(f"DECLARE c {scroll} CURSOR FOR {SQL}")
    fetched = 0
    while counter.tag != "FETCH 0":
        client.send(frontend.Query("FETCH 50000 FROM c"))
        counter.until(b"Z")
        fetched += int(counter.tag.split()[1])
    assert fetched == ROWS
    # One that may turn back keeps max_cursor_bytes of rows.
    check(counter, ROWS, 0 if scroll else 64 * 2**20)


async def test_many_streams_at_once(server: RunningServer) -> None:
    """Eight at once share the memory of one, more or less."""

    async def stream() -> tuple[int, int]:
        def read() -> tuple[int, int]:
            with address(server).session() as client:
                counter = Counter(client, server)
                client.send(frontend.Query(f"SELECT id, label FROM numbers LIMIT {ROWS // 10}"))
                counter.until(b"Z")
                return counter.counts[0x44], counter.peak

        return await asyncio.to_thread(read)

    results = await asyncio.gather(*[stream() for _ in range(8)])
    assert {rows for rows, _ in results} == {ROWS // 10}
    assert max(peak for _, peak in results) < RSS + 100 * MB
