"""One connection to a PostgreSQL server, at the level of whole messages.

Bytes are cut into messages and nothing more: consecutive DataRow (or CopyData) messages are handed
on as one piece with their number, so that rows pass through undecoded. A reader that falls behind
stops the socket (back-pressure).
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple, cast

from proxy.catalog import authentication, protocol
from proxy.catalog.errors import CatalogError, ConnectionLostError

AUTHENTICATION = ord("R")
BACKEND_KEY_DATA = ord("K")
BIND_COMPLETE = ord("2")
COMMAND_COMPLETE = ord("C")
COPY_DATA = ord("d")
COPY_IN_RESPONSE = ord("G")
COPY_OUT_RESPONSE = ord("H")
DATA_ROW = ord("D")
EMPTY_QUERY_RESPONSE = ord("I")
ERROR_RESPONSE = ord("E")
NO_DATA = ord("n")
NOTICE_RESPONSE = ord("N")
PARAMETER_DESCRIPTION = ord("t")
PARAMETER_STATUS = ord("S")
PARSE_COMPLETE = ord("1")
PORTAL_SUSPENDED = ord("s")
READY_FOR_QUERY = ord("Z")
ROW_DESCRIPTION = ord("T")

HIGH_WATER = 256 * 1024
"""Bytes waiting to be read at which the socket is stopped."""

CANCEL_TIMEOUT = 5.0
"""Seconds a CancelRequest may take."""


class Message(NamedTuple):
    """A message, or a run of DataRow or CopyData messages.

    Attributes:
        kind: the type byte.
        body: without header; of a run, the whole messages with their headers.
        number: how many messages this is.
    """

    kind: int
    body: bytes
    number: int


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens and how to log in there.

    Attributes:
        socket: path of a Unix socket; None for TCP.
        host: name or address, for TCP.
        port: for TCP.
        password: for servers that ask.
        tls: whether to ask for TLS first, and how: ``disable``, ``require``, ``verify-full``.
    """

    socket: str | None = None
    host: str = "localhost"
    port: int = 5432
    password: str | None = None
    tls: str = "disable"


class ChildConnection(asyncio.Protocol):
    """A logged-in connection. Its user sees to it that one request is under way at a time.

    Attributes:
        parameters: ParameterStatus values, current.
        process_id: of BackendKeyData.
        status: of the last ReadyForQuery: I, T or E.
        outstanding: how many ReadyForQuery are still to be read.
    """

    def __init__(self) -> None:
        self.parameters: dict[str, str] = {}
        self.process_id = 0
        self.status = "I"
        self.outstanding = 0
        self._secret_key = b""
        self._address = Address()
        self._transport: asyncio.Transport | None = None
        self._partial = bytearray()
        self._needed = 5
        self._queue: deque[Message] = deque()
        self._queued = 0
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._lost = False

    @property
    def closed(self) -> bool:
        """Whether nothing more can be sent or read."""
        return self._lost

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        transport = cast("asyncio.Transport", transport)  # uvloop has classes of its own
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._lost = True
        self._writable.set()
        self._wake()

    def pause_writing(self) -> None:
        """See asyncio.Protocol: the server reads slower than it is sent to."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        """Cut the bytes into messages and wake the reader."""
        if self._partial:
            self._partial += data
            if len(self._partial) < self._needed:
                return
            data = bytes(self._partial)
            self._partial.clear()
        consumed = self._cut(data)
        if consumed < len(data):
            rest = memoryview(data)[consumed:]
            self._partial += rest
            self._needed = 1 + int.from_bytes(rest[1:5]) if len(rest) >= 5 else 5
        if self._queue:
            self._wake()
            if self._queued > HIGH_WATER and not self._paused and self._transport is not None:
                self._paused = True
                self._transport.pause_reading()

    def _cut(self, data: bytes) -> int:
        position, end = 0, len(data)
        run_kind, run_start, run_count = 0, 0, 0
        while end - position >= 5:
            kind = data[position]
            after = position + 1 + int.from_bytes(data[position + 1 : position + 5])
            if after > end:
                break
            if kind == run_kind:
                run_count += 1
            else:
                if run_kind:
                    self._push(Message(run_kind, data[run_start:position], run_count))
                    run_kind = 0
                if kind in (DATA_ROW, COPY_DATA):
                    run_kind, run_start, run_count = kind, position, 1
                else:
                    self._push(Message(kind, data[position + 5 : after], 1))
            position = after
        if run_kind:
            self._push(Message(run_kind, data[run_start:position], run_count))
        return position

    def _push(self, message: Message) -> None:
        self._queue.append(message)
        self._queued += len(message.body)

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # requests

    def send(self, data: bytes, answers: int = 0) -> None:
        """Send whole messages, which will be answered by so many ReadyForQuery."""
        if self._transport is None or self._lost:
            raise ConnectionLostError
        self.outstanding += answers
        self._transport.write(data)

    async def writable(self) -> None:
        """Wait while the server does not take what was sent."""
        await self._writable.wait()

    async def receive(self) -> Message:
        """The next message, in order. Raises ConnectionLostError when there will be none."""
        while not self._queue:
            if self._lost:
                raise ConnectionLostError
            if self._paused and self._transport is not None:
                self._paused = False
                self._transport.resume_reading()
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        message = self._queue.popleft()
        self._queued -= len(message.body)
        if message.kind == READY_FOR_QUERY:
            self.outstanding -= 1
            self.status = chr(message.body[0])
        return message

    def note_status(self, body: bytes) -> tuple[str, str]:
        """Take a ParameterStatus into ``parameters`` and return its name and value."""
        name, value = body[:-1].split(b"\x00", 1)
        pair = (name.decode(), value.decode())
        self.parameters[pair[0]] = pair[1]
        return pair

    async def skip_to_ready(self) -> CatalogError | None:
        """Read up to ReadyForQuery and return the first error met on the way."""
        problem: CatalogError | None = None
        while True:
            message = await self.receive()
            if message.kind == READY_FOR_QUERY:
                return problem
            if message.kind == PARAMETER_STATUS:
                self.note_status(message.body)
            elif message.kind == ERROR_RESPONSE and problem is None:
                problem = CatalogError.from_fields(protocol.fields_of(message.body))

    async def execute(self, sql: str) -> list[tuple[str | None, ...]]:
        """Run statements of ours by the simple protocol; the rows, as text, of all of them."""
        self.send(protocol.query(sql), 1)
        rows: list[tuple[str | None, ...]] = []
        problem: CatalogError | None = None
        while True:
            message = await self.receive()
            if message.kind == DATA_ROW:
                rows += decode_rows(message.body)
            elif message.kind == ERROR_RESPONSE:
                problem = CatalogError.from_fields(protocol.fields_of(message.body))
            elif message.kind == PARAMETER_STATUS:
                self.note_status(message.body)
            elif message.kind == READY_FOR_QUERY:
                if problem is not None:
                    raise problem
                return rows

    async def cancel(self) -> None:
        """Ask the server to cancel what runs here. It may come too late; nothing says so."""
        try:
            async with asyncio.timeout(CANCEL_TIMEOUT):
                await send_cancel(self._address, self.process_id, self._secret_key)
        except (OSError, TimeoutError):
            return

    def close(self) -> None:
        """Say goodbye and close. Idempotent."""
        if self._transport is not None and not self._lost:
            self._lost = True
            self._transport.write(protocol.TERMINATE)
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._lost = True
            self._transport.abort()
        self._wake()

    # login

    async def _log_in(self, address: Address, user: str, database: str) -> None:
        self._address = address
        greeting = {"user": user, "database": database, "client_encoding": "UTF8"}
        self.send(protocol.startup(greeting), 1)
        login = authentication.Login(user, address.password)
        while True:
            message = await self.receive()
            if message.kind == AUTHENTICATION:
                answer = login.answer(message.body)
                if answer is not None:
                    self.send(answer)
            elif message.kind == ERROR_RESPONSE:
                raise CatalogError.from_fields(protocol.fields_of(message.body))
            elif message.kind == PARAMETER_STATUS:
                self.note_status(message.body)
            elif message.kind == BACKEND_KEY_DATA:
                self.process_id = int.from_bytes(message.body[:4])
                self._secret_key = message.body[4:]
            elif message.kind == READY_FOR_QUERY:
                return


async def connect(address: Address, user: str, database: str) -> ChildConnection:
    """Open a connection and log in. Raises OSError, CatalogError or ConnectionLostError."""
    loop = asyncio.get_running_loop()
    connection: ChildConnection
    if address.socket is not None:
        _, connection = await loop.create_unix_connection(ChildConnection, address.socket)
    else:
        sock, context = await authentication.open_tcp(address.host, address.port, address.tls)
        _, connection = await loop.create_connection(
            ChildConnection,
            sock=sock,
            ssl=context,
            server_hostname=None if context is None else address.host,
        )
    try:
        await connection._log_in(address, user, database)
    except BaseException:
        connection.abort()
        raise
    return connection


async def send_cancel(address: Address, process_id: int, secret_key: bytes) -> None:
    """Send a CancelRequest and wait until the server has closed the connection."""
    if address.socket is not None:
        reader, writer = await asyncio.open_unix_connection(address.socket)
    else:
        reader, writer = await asyncio.open_connection(address.host, address.port)
    try:
        writer.write(protocol.cancel_request(process_id, secret_key))
        await reader.read()
    finally:
        writer.close()


def decode_rows(data: bytes) -> list[tuple[str | None, ...]]:
    """The rows of a run of DataRow messages in text format. For statements of our own only."""
    rows: list[tuple[str | None, ...]] = []
    position = 0
    while position < len(data):
        after = position + 1 + int.from_bytes(data[position + 1 : position + 5])
        count = int.from_bytes(data[position + 5 : position + 7])
        cursor = position + 7
        values: list[str | None] = []
        for _ in range(count):
            length = int.from_bytes(data[cursor : cursor + 4], signed=True)
            cursor += 4
            values.append(None if length < 0 else data[cursor : cursor + length].decode())
            cursor += max(length, 0)
        rows.append(tuple(values))
        position = after
    return rows
