from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from proxy import admin as admin_module
from proxy.admin import AdminServer, Readiness
from proxy.observability.metrics import Metrics


class Subject:
    def __init__(self) -> None:
        self.state = Readiness()
        self.server = AdminServer(Metrics("1"), lambda: self.state)
        self.port = 0

    async def ask(self, data: bytes) -> tuple[int, bytes, bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            answer = await asyncio.wait_for(reader.read(), 30)
        finally:
            writer.close()
            await writer.wait_closed()
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split(b" ")[1]) if head else 0, head, body

    async def get(self, path: str) -> tuple[int, bytes, bytes]:
        return await self.ask(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())


@pytest.fixture
async def subject() -> AsyncIterator[Subject]:
    made = Subject()
    made.port = await made.server.start("127.0.0.1", 0)
    yield made
    await made.server.close()


async def test_health_and_metrics(subject: Subject) -> None:
    assert (await subject.get("/healthz"))[::2] == (200, b"ok\n")
    status, head, body = await subject.get("/metrics?x=1")
    assert status == 200
    assert b"text/plain; version=0.0.4" in head
    assert b"cubewire_ready 1.0" in body
    assert f"Content-Length: {len(body)}".encode() in head


async def test_readiness(subject: Subject) -> None:
    status, _, body = await subject.get("/readyz")
    assert (status, json.loads(body)) == (200, {"ready": True, "problems": []})
    subject.state = Readiness(("stopping",))
    status, _, body = await subject.get("/readyz")
    assert (status, json.loads(body)) == (503, {"ready": False, "problems": ["stopping"]})
    assert b"cubewire_ready 0.0" in (await subject.get("/metrics"))[2]


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 404),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", 405),
        (b"HEAD /healthz HTTP/1.0\r\n\r\n", 200),
        (b"GET /healthz\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"GET /healthz HTTP/2\r\n\r\n", 400),
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"\x16\x03\x01\r\n\r\n", 400),
    ],
)
async def test_other_requests(subject: Subject, request_bytes: bytes, status: int) -> None:
    assert (await subject.ask(request_bytes))[0] == status


async def test_head_has_no_body(subject: Subject) -> None:
    status, head, body = await subject.ask(b"HEAD /healthz HTTP/1.1\r\n\r\n")
    assert (status, body) == (200, b"")
    assert b"Content-Length: 3" in head


async def test_silent_peers_are_dropped(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin_module, "_SECONDS", 0.2)
    assert await subject.ask(b"GET /healthz HTTP/1.1\r\n") == (0, b"", b"")


async def test_many_peers_are_bounded(subject: Subject) -> None:
    pairs = [await asyncio.open_connection("127.0.0.1", subject.port) for _ in range(64)]
    reader, writer = await asyncio.open_connection("127.0.0.1", subject.port)
    assert await asyncio.wait_for(reader.read(), 30) == b""
    for _, each in [*pairs, (reader, writer)]:
        each.close()
    await asyncio.sleep(0.05)
    assert (await subject.get("/healthz"))[0] == 200


async def test_close_drops_what_is_open() -> None:
    subject = Subject()
    subject.port = await subject.server.start("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", subject.port)
    await asyncio.sleep(0.05)
    await asyncio.wait_for(subject.server.close(), 30)
    assert await reader.read() == b""
    writer.close()
    await subject.server.close()
