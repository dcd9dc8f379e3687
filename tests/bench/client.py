"""Clients that cost little, so that what is measured is the server.

They speak just enough of the protocol for trusted logins. A reply only counts when it holds the
rows it should: an error or an empty answer is never a fast query.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import time
from dataclasses import dataclass

RECEIVE_BYTES = 1024 * 1024
TAIL_BYTES = 512
HEAD_BYTES = 16_384
VERSION_3_0 = 196608
_READY = frozenset({b"Z\0\0\0\5I", b"Z\0\0\0\5T", b"Z\0\0\0\5E"})
_SELECTED = re.compile(rb"SELECT (\d+)\x00Z\x00\x00\x00\x05I\Z")


class ReplyError(Exception):
    """The server answered with an error, or with other rows than expected."""


def message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def text(value: str) -> bytes:
    return value.encode() + b"\0"


def startup(user: str, database: str) -> bytes:
    pairs = text("user") + text(user) + text("database") + text(database)
    body = struct.pack("!i", VERSION_3_0) + pairs + b"\0"
    return struct.pack("!i", len(body) + 4) + body


def simple(sql: str) -> bytes:
    """A Query message."""
    return message(b"Q", text(sql))


def parse(sql: str, statement: str = "") -> bytes:
    """Parse and Sync."""
    return message(b"P", text(statement) + text(sql) + struct.pack("!h", 0)) + message(b"S")


def execute(statement: str = "", *, binary: bool = False) -> bytes:
    """Bind, Execute and Sync."""
    formats = struct.pack("!hh", 1, 1) if binary else struct.pack("!h", 0)
    bind = text("") + text(statement) + struct.pack("!hh", 0, 0) + formats
    return message(b"B", bind) + message(b"E", text("") + struct.pack("!i", 0)) + message(b"S")


def whole(sql: str, *, binary: bool = False) -> bytes:
    """A query in the extended protocol, in one packet as drivers send it."""
    unsynced = parse(sql)[: -len(message(b"S"))]
    bind = execute(binary=binary)
    described = message(b"D", b"P" + text(""))
    split = len(bind) - len(message(b"E", text("") + struct.pack("!i", 0)) + message(b"S"))
    return unsynced + bind[:split] + described + bind[split:]


def complaint(body: bytes) -> str:
    """An ErrorResponse in words."""
    fields = {part[:1]: part[1:].decode(errors="replace") for part in body.split(b"\0") if part}
    return f"{fields.get(b'C', '?')} {fields.get(b'M', '?')}"


def count_rows(reply: bytes | bytearray) -> int:
    """DataRows of a whole reply. Raises ReplyError for an ErrorResponse."""
    at = rows = 0
    while at < len(reply):
        length = int.from_bytes(reply[at + 1 : at + 5], "big") + 1
        if reply[at] == ord("D"):
            rows += 1
        elif reply[at] == ord("E"):
            raise ReplyError(complaint(bytes(reply[at + 5 : at + length])))
        at += length
    return rows


def has_row(head: bytes) -> bool:
    """Whether a DataRow has begun to arrive."""
    at = 0
    while at + 5 <= len(head):
        if head[at] == ord("D"):
            return True
        at += int.from_bytes(head[at + 1 : at + 5], "big") + 1
    return False


def is_ready(data: bytes | bytearray) -> bool:
    return bytes(data[-6:]) in _READY


@dataclass(frozen=True, slots=True)
class Streamed:
    """One large result, read to its end."""

    rows: int
    size: int
    seconds: float
    first_row_seconds: float


class BlockingClient:
    """One connection on a blocking socket."""

    def __init__(self, host: str, port: int, user: str, database: str) -> None:
        self._socket = socket.create_connection((host, port), timeout=120)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(startup(user, database))
        count_rows(self._reply())

    def close(self) -> None:
        self._socket.close()

    def ask(self, data: bytes, rows: int | None = None) -> float:
        """Send, read the reply. Returns seconds."""
        began = time.perf_counter()
        self._socket.sendall(data)
        reply = self._reply()
        seconds = time.perf_counter() - began
        got = count_rows(reply)
        if rows is not None and got != rows:
            raise ReplyError(f"{got} rows instead of {rows}")
        return seconds

    def reply_to(self, data: bytes) -> bytes:
        """Send, return the whole reply."""
        self._socket.sendall(data)
        return bytes(self._reply())

    def stream(self, data: bytes, rows: int | None = None) -> Streamed:
        """Send, and read a large result without looking at it, but for its command tag."""
        buffer = bytearray(RECEIVE_BYTES)
        view = memoryview(buffer)
        size, first, tail, head = 0, 0.0, b"", b""  # head: until the first row was seen
        began = time.perf_counter()
        self._socket.sendall(data)
        while True:
            got = self._socket.recv_into(view)
            if not first:
                head += view[: min(got, HEAD_BYTES)]
                if has_row(head):
                    first = time.perf_counter()
            if not got:
                raise ReplyError("the server closed the connection")
            size += got
            tail = (tail + bytes(view[max(0, got - TAIL_BYTES) : got]))[-TAIL_BYTES:]
            if is_ready(tail):
                break
        seconds = time.perf_counter() - began
        found = _SELECTED.search(tail)
        if found is None:
            count_rows(head)
            raise ReplyError(f"no command tag at the end: {tail[-80:]!r}")
        if rows is not None and int(found[1]) != rows:
            raise ReplyError(f"{int(found[1])} rows instead of {rows}")
        return Streamed(int(found[1]), size, seconds, first - began)

    def _reply(self) -> bytearray:
        reply = bytearray()
        while not is_ready(reply):
            data = self._socket.recv(65536)
            if not data:
                raise ReplyError(complaint(bytes(reply[5:])) if reply[:1] == b"E" else "closed")
            reply += data
        return reply


class AsyncClient(asyncio.Protocol):
    """One connection in an event loop; asks the same thing again and again, or idles."""

    def __init__(self, user: str, database: str) -> None:
        self._hello = startup(user, database)
        self._buffer = bytearray()
        self._waiting: asyncio.Future[bytearray] | None = None
        self._transport: asyncio.Transport | None = None
        self._request = b""
        self._expected = 0
        self._until = 0.0
        self._began = 0.0
        self._sink: list[float] = []

    @classmethod
    async def connect(cls, host: str, port: int, user: str, database: str) -> AsyncClient:
        loop = asyncio.get_running_loop()
        _, client = await loop.create_connection(lambda: cls(user, database), host, port)
        count_rows(await client._next(client._hello))
        return client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(ReplyError(f"connection lost: {exc or 'closed'}"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        buffer = self._buffer
        if not is_ready(buffer):
            if buffer[:1] == b"E" and not self._request:
                self._fail(ReplyError(complaint(bytes(buffer[5:]))))
            return
        if not self._request:
            self._buffer = bytearray()
            if self._waiting is not None and not self._waiting.done():
                self._waiting.set_result(buffer)
            return
        now = time.perf_counter()
        self._sink.append(now - self._began)
        if len(buffer) != self._expected or buffer[0] == ord("E"):
            self._fail(ReplyError("a reply differs from the first one"))
            return
        buffer.clear()
        if now >= self._until:
            self._request = b""
            if self._waiting is not None:
                self._waiting.set_result(buffer)
            return
        self._began = now
        self._transport.write(self._request)  # type: ignore[union-attr]

    async def ask(self, request: bytes, rows: int | None = None) -> bytearray:
        """Send once, and check the number of rows."""
        reply = await self._next(request)
        got = count_rows(reply)
        if rows is not None and got != rows:
            raise ReplyError(f"{got} rows instead of {rows}")
        return reply

    async def repeat(self, request: bytes, rows: int, until: float, sink: list[float]) -> None:
        """Send, wait for the reply, send again, until a time; seconds of each go to ``sink``."""
        self._expected = len(await self.ask(request, rows))
        self._until, self._sink = until, sink
        self._waiting = asyncio.get_running_loop().create_future()
        self._request = request
        self._began = time.perf_counter()
        self._transport.write(request)  # type: ignore[union-attr]
        await self._waiting

    def finish(self) -> None:
        """Say goodbye."""
        if self._transport is not None:
            self._transport.write(message(b"X"))
            self._transport.close()

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()

    async def _next(self, request: bytes) -> bytearray:
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)  # type: ignore[union-attr]
        return await self._waiting

    def _fail(self, error: ReplyError) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)
