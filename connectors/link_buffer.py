"""The receiving side of a link: what has arrived and was not asked for yet, within a bound."""

from __future__ import annotations

import asyncio
import select
import socket
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from connectors.errors import WarehouseError

# Reading from the server stops above the first and goes on below the second: bytes received but not
# asked for. The server then waits in its send, which is what keeps memory flat.
PAUSE_BYTES = 256 * 1024
RESUME_BYTES = 64 * 1024


class Message(Protocol):
    """Something received."""

    @property
    def data(self) -> bytes:
        """Its bytes."""


MessageT = TypeVar("MessageT", bound=Message)


class BufferedLink(asyncio.Protocol, ABC, Generic[MessageT]):
    """The protocol of a connection's transport, which one statement at a time reads."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._received: deque[MessageT] = deque()
        self._buffered = 0
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._failure: WarehouseError | None = None
        transport.set_protocol(self)

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

    async def next(self) -> MessageT:
        """The next message; rows that have arrived together come as one run."""
        while not self._received:
            if self._failure is not None:
                raise self._failure
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        taken = [self._received.popleft()]
        while self._received and self._is_row(taken[0]) and self._is_row(self._received[0]):
            taken.append(self._received.popleft())
        self._buffered -= sum(len(message.data) for message in taken)
        if self._paused and self._buffered < RESUME_BYTES:
            self._paused = False
            self._transport.resume_reading()
        return taken[0] if len(taken) == 1 else self._joined(taken)

    def fail(self, error: WarehouseError) -> None:
        """Make whoever waits for a message get ``error``; the link is of no more use."""
        if self._failure is None:
            self._failure = error
        self._wake()

    def terminate(self) -> None:
        """Close the connection at once."""
        self.fail(WarehouseError("08006", "the connection to the data source is closed"))
        self._received.clear()
        self._abort()

    def data_received(self, data: bytes) -> None:
        """Bytes of the server."""
        for message in self._split(data):
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
        self._abort()

    @abstractmethod
    def _split(self, data: bytes) -> Sequence[MessageT]:
        """The messages that ``data`` completes."""

    @staticmethod
    @abstractmethod
    def _is_row(message: MessageT) -> bool:
        """Whether a message is a run of rows, which may be joined with the next."""

    @staticmethod
    @abstractmethod
    def _joined(runs: Sequence[MessageT]) -> MessageT:
        """Runs of rows as one."""

    @abstractmethod
    def _abort(self) -> None:
        """Close the transport. May be called again."""

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def keep_alive(transport: asyncio.Transport) -> None:
    """Have the system find out that the server's machine is gone, within about 30 seconds."""
    peer = transport.get_extra_info("socket")
    if peer is None or peer.family == socket.AF_UNIX:
        return
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, seconds in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):
            peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), seconds)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000)
