"""A client of the protocol that sends what it is told, message by message, and shows the answers.

Blocking, and free of any driver's opinion: what a test sends is what goes over the wire.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Protocol, Self

from scramp import ScramClient

from proxy.wire import backend, frontend
from proxy.wire.backend import BackendMessage
from proxy.wire.buffer import ReceiveBuffer
from proxy.wire.codec import HEADER
from proxy.wire.message import Message

CHUNK = 65536


class BackendStream:
    """Bytes of a server in, messages out."""

    def __init__(self) -> None:
        self._buffer = ReceiveBuffer()

    def feed(self, data: bytes) -> None:
        self._buffer.append(data)

    def next_message(self) -> BackendMessage | None:
        buffer = self._buffer
        if len(buffer) < 5:
            return None
        code, length = HEADER.unpack_from(buffer.data, buffer.start)
        if len(buffer) <= length:
            return None
        body = bytes(buffer.data[buffer.start + 5 : buffer.start + 1 + length])
        buffer.start += length + 1
        return backend.decode_message(code, body)


class Wire(Protocol):
    """As much of a socket as is needed, so that a server in memory will do."""

    def sendall(self, data: bytes, /) -> None: ...
    def recv(self, size: int, /) -> bytes: ...
    def settimeout(self, seconds: float | None, /) -> None: ...
    def shutdown(self, how: int, /) -> None: ...
    def close(self) -> None: ...


class StartupError(Exception):
    """The server answered the start of a session with an error."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__(f"{fields.get('C')}: {fields.get('M')}")
        self.fields = fields


class RawClient:
    """One connection.

    Attributes:
        parameters: what ParameterStatus said last, by name.
        key: what a CancelRequest must repeat.
    """

    def __init__(self, connected: Wire) -> None:
        self.socket = connected
        self._stream = BackendStream()
        self.parameters: dict[str, str] = {}
        self.key: backend.BackendKeyData | None = None

    @classmethod
    def connect(cls, host: str, port: int, timeout: float = 10.0) -> Self:
        """A client on a new TCP connection on which nothing was sent yet."""
        connected = socket.create_connection((host, port), timeout)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(connected)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.socket.close()

    def send(self, *messages: Message | bytes) -> None:
        """Send all in one write."""
        parts = [part if isinstance(part, bytes) else part.encode() for part in messages]
        self.socket.sendall(b"".join(parts))

    def receive_byte(self) -> bytes:
        """One byte outside any message: the answer to SSLRequest and GSSENCRequest."""
        return self.socket.recv(1)

    def receive(self) -> BackendMessage | None:
        """The next message, None once the server has closed the connection."""
        while True:
            message = self._stream.next_message()
            if message is not None:
                if isinstance(message, backend.ParameterStatus):
                    self.parameters[message.name] = message.value
                elif isinstance(message, backend.BackendKeyData):
                    self.key = message
                return message
            try:
                data = self.socket.recv(CHUNK)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self._stream.feed(data)

    def until(self, *last: type[BackendMessage]) -> list[BackendMessage]:
        """Messages up to and including the first of one of these classes, or the end."""
        messages: list[BackendMessage] = []
        while (message := self.receive()) is not None:
            messages.append(message)
            if isinstance(message, last):
                break
        return messages

    def ready(self) -> list[BackendMessage]:
        """Messages up to ReadyForQuery."""
        return self.until(backend.ReadyForQuery)

    def exchange(self, *messages: Message | bytes) -> list[BackendMessage]:
        """Send these, return the answers up to ReadyForQuery."""
        self.send(*messages)
        return self.ready()

    def query(self, sql: str) -> list[BackendMessage]:
        """A simple query's answers."""
        return self.exchange(frontend.Query(sql))

    def startup(
        self,
        user: str,
        database: str,
        password: str = "",
        *,
        minor: int = 0,
        options: Iterable[tuple[str, str]] = (),
    ) -> list[BackendMessage]:
        """Open a session: trust, cleartext or SCRAM-SHA-256. Returns all the server said.

        Raises StartupError where it refuses.
        """
        parameters = {"user": user, "database": database, **dict(options)}
        self.send(frontend.StartupMessage(3, minor, parameters))
        said: list[BackendMessage] = []
        scram: ScramClient | None = None
        while (message := self.receive()) is not None:
            said.append(message)
            if isinstance(message, backend.AuthenticationCleartextPassword):
                self.send(frontend.PasswordMessage(password))
            elif isinstance(message, backend.AuthenticationSASL):
                scram = ScramClient(["SCRAM-SHA-256"], user, password)
                first = scram.get_client_first().encode()
                self.send(frontend.SASLInitialResponse("SCRAM-SHA-256", first))
            elif isinstance(message, backend.AuthenticationSASLContinue):
                assert scram is not None
                scram.set_server_first(message.data.decode())
                self.send(frontend.SASLResponse(scram.get_client_final().encode()))
            elif isinstance(message, backend.AuthenticationSASLFinal):
                assert scram is not None
                scram.set_server_final(message.data.decode())
            elif isinstance(message, backend.ErrorResponse):
                raise StartupError(message.fields)
            elif isinstance(message, backend.ReadyForQuery):
                return said
        raise ConnectionError(f"closed during startup, after {said}")

    def close(self) -> None:
        """Say goodbye and hang up."""
        with contextlib.suppress(OSError):
            self.send(frontend.Terminate())
        self.socket.close()
