"""One connection to a PostgreSQL, opened by asyncpg and then read here message by message.

asyncpg knows everything about connecting (DSN, TLS, SCRAM, several hosts) but decodes every row.
What is wanted here is the rows as they were sent, so once the connection stands, its transport is
given to ``PostgresLink``: rows then cost one look at each header. This is the one module that
touches attributes of asyncpg that are not public.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
from collections import deque
from collections.abc import Mapping

import asyncpg
from asyncpg import connect_utils

from connectors.errors import WarehouseError
from connectors.postgres_messages import (
    DATA_ROW,
    PARAMETER_STATUS,
    MessageSplitter,
    Received,
    parameter_of_status,
)

# Reading from the server stops above the first and goes on below the second: bytes received but not
# asked for. The server then waits in its send, which is what keeps memory flat.
PAUSE_BYTES = 256 * 1024
RESUME_BYTES = 64 * 1024

CANCEL_SECONDS = 2.0
CLIENT_CHECK_SINCE = (14, 0)

# Results are relayed as text, so whatever changes the text is fixed for every connection.
_SETTINGS = {
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "client_min_messages": "error",
    "default_transaction_read_only": "on",
}

# Reported by the server when they change; a statement that changes another than the time zone must
# not leave it to the next one.
_FIXED = ("DateStyle", "IntervalStyle", "client_encoding", "default_transaction_read_only")


class PostgresLink(asyncio.Protocol):
    """A connection that is only ever used by one statement at a time."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._transport: asyncio.Transport = connection._transport
        self._secret: int = connection._protocol.backend_secret
        self._process_id: int = connection.get_server_pid()
        self._splitter = MessageSplitter()
        self._received: deque[Received] = deque()
        self._buffered = 0
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._failure: WarehouseError | None = None
        self.time_zone = "UTC"
        self.altered = False
        self._transport.set_protocol(self)

    @property
    def lost(self) -> bool:
        """Whether the connection is of no more use."""
        return self._failure is not None

    def idle_alive(self) -> bool:
        """Whether nothing has come from the server while the link was idle, such as its end."""
        if self.lost or self._transport.is_closing() or self._received:
            return False
        peer = self._transport.get_extra_info("socket")
        poll = select.poll()
        poll.register(peer.fileno(), select.POLLIN)
        return not poll.poll(0)

    def send(self, data: bytes) -> None:
        """Write to the server. Raises WarehouseError where the connection is already lost."""
        if self._failure is not None or self._transport.is_closing():
            raise WarehouseError(
                "08006", "the connection to the data source is closed", reached=False
            )
        self._transport.write(data)

    async def next(self) -> Received:
        """The next message; rows that have arrived together come as one run."""
        while not self._received:
            if self._failure is not None:
                raise self._failure
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        first = self._received.popleft()
        if first.kind == DATA_ROW and self._received and self._received[0].kind == DATA_ROW:
            run = [first]
            while self._received and self._received[0].kind == DATA_ROW:
                run.append(self._received.popleft())
            first = Received(
                DATA_ROW, b"".join(item.data for item in run), sum(item.rows for item in run)
            )
        self._buffered -= len(first.data)
        if self._paused and self._buffered < RESUME_BYTES:
            self._paused = False
            self._transport.resume_reading()
        return first

    def fail(self, error: WarehouseError) -> None:
        """Make whoever waits for a message get ``error``; the link is of no more use."""
        if self._failure is None:
            self._failure = error
        self._wake()

    async def cancel(self) -> None:
        """Send a CancelRequest for the running statement and wait until the server has taken it."""
        connection = self._connection
        with contextlib.suppress(OSError, asyncpg.PostgresError, TimeoutError):
            async with asyncio.timeout(CANCEL_SECONDS):
                await connect_utils._cancel(
                    loop=asyncio.get_running_loop(),
                    addr=connection._addr,
                    params=connection._params,
                    backend_pid=self._process_id,
                    backend_secret=self._secret,
                )

    def terminate(self) -> None:
        """Close the connection at once."""
        self.fail(WarehouseError("08006", "the connection to the data source is closed"))
        self._received.clear()
        # asyncpg is told too, so that it does not warn of a connection left open.
        self._connection.terminate()

    def data_received(self, data: bytes) -> None:
        """Bytes of the server."""
        for message in self._splitter.feed(data):
            if message.kind == PARAMETER_STATUS:
                self._note(*parameter_of_status(message.data))
                continue
            self._received.append(message)
            self._buffered += len(message.data)
        if self._buffered > PAUSE_BYTES and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        if self._received:
            self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """The server is gone."""
        self.fail(
            WarehouseError(
                "08006",
                "the connection to the data source was lost",
                detail=str(exc) if exc is not None else None,
            )
        )
        self._connection.terminate()

    def _note(self, name: str, value: str) -> None:
        if name == "TimeZone":
            self.time_zone = value
        elif name in _FIXED:
            self.altered = True

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


async def open_link(
    dsn: str, connect_seconds: float, settings: Mapping[str, str] | None = None
) -> PostgresLink:
    """Connect once. Raises WarehouseError (08006, or the server's own code)."""
    try:
        connection = await asyncpg.connect(
            dsn, timeout=connect_seconds, statement_cache_size=0, command_timeout=connect_seconds
        )
    except asyncpg.PostgresError as error:
        raise WarehouseError(
            error.sqlstate or "08006",
            str(error),
            detail=error.detail,
            hint=error.hint,
            reached=False,
        ) from error
    except TimeoutError:
        raise WarehouseError(
            "08006", "timeout while connecting to the data source", reached=False
        ) from None
    except (OSError, asyncpg.InterfaceError, ValueError) as error:
        raise WarehouseError(
            "08006",
            "could not connect to the data source",
            detail=str(error),
            reached=False,
        ) from error
    try:
        await _configure(connection, settings or {})
    except BaseException as error:
        connection.terminate()
        if isinstance(error, asyncpg.PostgresError):
            raise WarehouseError(
                error.sqlstate or "08006", str(error), detail=error.detail, reached=False
            ) from error
        if isinstance(error, OSError | TimeoutError | asyncpg.InterfaceError):
            raise WarehouseError(
                "08006", "could not set up the connection to the data source", reached=False
            ) from error
        raise
    return PostgresLink(connection)


async def _configure(connection: asyncpg.Connection, settings: Mapping[str, str]) -> None:
    wanted = _SETTINGS | dict(settings)
    version = connection.get_server_version()
    if (version.major, version.minor) >= CLIENT_CHECK_SINCE:
        # A statement whose client has vanished ends by itself instead of running to its end.
        wanted["client_connection_check_interval"] = "5s"
    # `SELECT set_config` in one statement: SET takes no parameters.
    calls = ", ".join(
        f"set_config(${2 * index + 1}, ${2 * index + 2}, false)" for index in range(len(wanted))
    )
    arguments = [text for pair in wanted.items() for text in pair]
    await connection.execute(f"SELECT {calls}", *arguments)
    peer = connection._transport.get_extra_info("socket")
    if peer is not None and peer.family != socket.AF_UNIX:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, seconds in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
            if hasattr(socket, option):
                peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), seconds)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000)
