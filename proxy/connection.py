"""One client's TCP connection: bytes to messages to the session and back, with TLS and limits.

An asyncio protocol rather than streams: an idle connection has no task and no buffer of its own,
and a task runs only while there are messages to handle.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Mapping
from typing import Protocol, cast

from proxy.auth.tls import TlsError, TlsSession
from proxy.errors import SessionError, error_fields, flatten, let_go
from proxy.keepalive import KeepAlive
from proxy.login import Login, LoginDone
from proxy.session.replaying import LONGEST_ANSWER, may_be_remembered
from proxy.session.session import Session
from proxy.wire.backend import ErrorResponse
from proxy.wire.connection import Phase, ServerConnection
from proxy.wire.errors import ProtocolViolation
from proxy.wire.frontend import FrontendMessage, Terminate

logger = logging.getLogger("cubewire.connection")

WRITE_HIGH_BYTES = 256 * 1024
WRITE_LOW_BYTES = 64 * 1024

TURN_SECONDS = 0.005
"""How long one client's messages are handled before the others get their turn."""


def shutdown_fields() -> dict[str, str]:
    """What a client is told when the server, or an administrator, ends its session."""
    return error_fields("57P01", "terminating connection due to administrator command")


class ConnectionHost(Protocol):
    """What a connection needs of the server."""

    write_timeout: float
    stopping: bool

    def new_login(self, connection: ClientConnection, wire: ServerConnection) -> Login:
        """The exchange up to the first ReadyForQuery."""

    def opened(self, connection: ClientConnection) -> bool:
        """Count a connection. False where the limit is reached."""

    def closed(self, connection: ClientConnection) -> None:
        """Forget a connection."""

    def login_ended(
        self,
        connection: ClientConnection,
        claimed: Mapping[str, str],
        outcome: Session | SessionError,
    ) -> None:
        """A login succeeded or failed; ``claimed`` is what the startup packet says."""

    def configure_socket(self, sock: socket.socket) -> None:
        """Set keepalive and no-delay."""


class ClientConnection(asyncio.Protocol):
    """Carries one session.

    Attributes:
        session: None until the login has succeeded.
        last_activity: monotonic seconds of the last message handled.
        peer: the client's address, for logs and the throttle of wrong passwords.
    """

    __slots__ = (
        "__weakref__",
        "_closing",
        "_flush_scheduled",
        "_heard",
        "_held",
        "_host",
        "_login",
        "_loop",
        "_out",
        "_reading_paused",
        "_resumed",
        "_said",
        "_task",
        "_tls",
        "_transport",
        "_turn",
        "_wire",
        "last_activity",
        "over_limit",
        "peer",
        "session",
    )

    def __init__(self, host: ConnectionHost, wire: ServerConnection) -> None:
        self._host = host
        self._wire = wire
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._tls: TlsSession | None = None
        self._task: asyncio.Task[None] | None = None
        self._login: Login | None = None
        self._out: list[bytes | memoryview] = []
        self._heard: bytes | None = None
        self._said = bytearray()
        self._flush_scheduled = False
        self._held = False
        self._resumed: asyncio.Future[None] | None = None
        self._reading_paused = False
        self._closing = False
        self._turn = 0.0
        self.session: Session | None = None
        self.last_activity = time.monotonic()
        self.over_limit = False
        self.peer = ""

    # ------------------------------------------------------------------------- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        transport = cast("asyncio.Transport", transport)  # uvloop has classes of its own
        self._transport = transport
        transport.set_write_buffer_limits(high=WRITE_HIGH_BYTES, low=WRITE_LOW_BYTES)
        name = transport.get_extra_info("peername")
        self.peer = str(name[0]) if isinstance(name, tuple) else "local"
        sock = transport.get_extra_info("socket")
        if sock is not None:
            self._host.configure_socket(sock)
        self.over_limit = not self._host.opened(self)
        self._login = self._host.new_login(self, self._wire)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol: whatever runs for this client stops."""
        self._closing = True
        self._transport = None
        self._host.closed(self)
        if self._resumed is not None and not self._resumed.done():
            self._resumed.set_result(None)
        if self._task is not None:
            self._task.cancel()
        else:
            self._free()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self._tls is not None:
            decrypted = self._decrypt(data)
            if decrypted is None:
                return
            data = decrypted
        elif self._login is not None and self._login.expects_tls(data):
            self.start_tls(direct=True)
            self.data_received(data)
            return
        if self._task is None and self.session is not None and self._answered_at_once(data):
            return
        if self._task is not None:
            self._remember()  # where the answer is complete, its task is but taking a breath
        if data:
            self._wire.feed(data)
        if self._task is None:
            self._start_task()
        elif self._wire.full and not self._reading_paused:
            self._reading_paused = True
            if self._transport is not None:
                self._transport.pause_reading()

    def _answered_at_once(self, data: bytes) -> bool:
        """Answer what came from what is remembered; else begin to listen for the answer to it."""
        session, wire = self.session, self._wire
        self._heard = None
        if not data or not wire.idle or not may_be_remembered(data) or self._is_held_up():
            return False
        assert session is not None
        now = time.monotonic()
        recalled = session.recall(data, now)
        if recalled is not None:
            self.last_activity = now
            if self._tls is None and not self._out and self._transport is not None:
                self._transport.write(recalled.data)
            else:
                self._out.append(recalled.data)
                self.flush()
            recalled.record.finish()  # which the client does not wait for
            return True
        if session.listen():
            self._heard, self._said = data, bytearray()
        return False

    def _is_held_up(self) -> bool:
        """Whether the client does not read what it is sent, or is about to be told to go."""
        waits = self._resumed is not None and not self._resumed.done()
        return waits or self._closing or self._host.stopping

    def eof_received(self) -> bool:
        """See asyncio.Protocol. A client that closes its half has gone."""
        return False

    def pause_writing(self) -> None:
        """See asyncio.Protocol: the client reads slower than rows come."""
        if self._resumed is None or self._resumed.done():
            self._resumed = self._loop.create_future()

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        if self._resumed is not None and not self._resumed.done():
            self._resumed.set_result(None)

    # ------------------------------------------------------------------------- TLS

    @property
    def tls(self) -> TlsSession | None:
        """The TLS session, if the client asked for one."""
        return self._tls

    def start_tls(self, *, direct: bool) -> None:
        """From here on, what is read and written is TLS records."""
        login = self._login
        if login is None or login.tls_context is None:
            raise SessionError("08P01", "TLS is not available", severity="FATAL")
        self.flush()
        self._tls = TlsSession(login.tls_context, direct=direct)
        self._wire.tls_started()

    def _decrypt(self, data: bytes) -> bytes | None:
        tls = self._tls
        assert tls is not None
        try:
            plain = tls.feed(data)
        except TlsError as error:
            logger.info("TLS failed", extra={"fields": {"peer": self.peer, "reason": str(error)}})
            self._write_raw(tls.outgoing())
            self.abort_after_flush()
            return None
        self._write_raw(tls.outgoing())
        if tls.closed and not plain:
            self.abort_after_flush()
            return None
        return plain if plain else None

    # ------------------------------------------------------------------------- Client

    def send(self, data: bytes | memoryview) -> None:
        """Queue whole messages; they leave with the next flush, or when the task next waits."""
        self._out.append(data)
        if self._heard is not None:
            if len(self._said) + len(data) > LONGEST_ANSWER:
                self._heard = None
            else:
                self._said += data
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush_unless_held)

    def hold(self) -> None:
        """More follows at once: what is queued waits for it."""
        self._held = True

    def _flush_unless_held(self) -> None:
        self._flush_scheduled = False
        if not self._held:
            self.flush()

    def flush(self) -> None:
        """Hand what is queued to the transport."""
        self._held = False
        out = self._out
        if not out:
            return
        self._out = []
        data = out[0] if len(out) == 1 else b"".join(out)
        if self._tls is not None:
            try:
                self._tls.write(data)
            except TlsError:
                self.abort_after_flush()
                return
            data = self._tls.outgoing()
        self._write_raw(data)

    def _write_raw(self, data: bytes | memoryview) -> None:
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    async def drain(self) -> None:
        """Flush and wait until the client has read enough; let others have their turn.

        Raises ConnectionError when it has gone, or has read nothing for the write timeout.
        """
        self.flush()
        resumed = self._resumed
        if resumed is not None and not resumed.done():
            try:
                async with asyncio.timeout(self._host.write_timeout or None):
                    await asyncio.shield(resumed)
            except TimeoutError:
                logger.warning("client stopped reading", extra={"fields": {"peer": self.peer}})
                self.abort()
                raise ConnectionResetError("client stopped reading") from None
        else:
            await self._share()
        if self._closing:
            raise ConnectionResetError("client has gone")

    async def _share(self) -> None:
        """Let other connections have their turn, if this one's has been long."""
        now = time.monotonic()
        if now - self._turn > TURN_SECONDS:
            await asyncio.sleep(0)
            self._turn = time.monotonic()

    # ------------------------------------------------------------------------- messages

    def _start_task(self) -> None:
        self._task = self._loop.create_task(self._run(), name=f"connection {self.peer}")

    async def _run(self) -> None:
        """Handle every complete message, then end: the next bytes start another task."""
        self._turn = time.monotonic()
        try:
            while (message := await self._next_message()) is not None:
                self.last_activity = time.monotonic()
                await self._share()
                if isinstance(message, Terminate):
                    self.abort_after_flush()
                    break
                if self.session is not None:
                    await self.session.handle(message)
                else:
                    await self._log_in(message)
                if self._reading_paused and not self._wire.full:
                    self._resume_reading()
                if self._resumed is not None and not self._resumed.done():
                    await self.drain()
                if self._host.stopping and self._wire.phase is Phase.READY:
                    self.fail(shutdown_fields())
                if self._closing:
                    break
        except BaseException as error:  # noqa: BLE001 - none is of use to anybody behind this
            self._ended_by(error)
        finally:
            self._task = None
            self._remember()
            self._resume_reading()
            if self._closing:
                self._free()
            self.last_activity = time.monotonic()

    def _ended_by(self, error: BaseException) -> None:
        """End the connection, and tell the client why where it is still there."""
        if isinstance(error, ConnectionError | asyncio.CancelledError):
            self.abort_after_flush()
        elif isinstance(error, ProtocolViolation | SessionError):
            self.fail(flatten(error))
        elif isinstance(error, Exception):
            logger.error("internal error", exc_info=error, extra={"fields": {"peer": self.peer}})
            self.fail(error_fields("XX000", "internal error", severity="FATAL"))
        else:
            raise error
        let_go(error)

    def _remember(self) -> None:
        heard, self._heard = self._heard, None
        said, self._said = self._said, bytearray()
        if heard is not None and self.session is not None and self._wire.idle:
            self.session.remember(heard, bytes(said))

    async def _next_message(self) -> FrontendMessage | None:
        """The next message that can be read; a malformed one is answered on the way."""
        while True:
            try:
                return self._wire.next_event()
            except ProtocolViolation as error:
                if error.fatal or self.session is None:
                    raise
                await self.session.refuse(error)

    def _resume_reading(self) -> None:
        if self._reading_paused and not self._closing and self._transport is not None:
            self._reading_paused = False
            self._transport.resume_reading()

    async def _log_in(self, message: FrontendMessage) -> None:
        login = self._login
        assert login is not None
        try:
            done = await login.receive(message)
        except SessionError as error:
            self._host.login_ended(self, login.claimed, error)
            raise
        if isinstance(done, LoginDone):
            self.session = done.session
            self._login = None
            self._host.login_ended(self, login.claimed, done.session)

    # ------------------------------------------------------------------------- ends

    def unanswered(self, keepalive: KeepAlive) -> bool:
        """Whether the client's machine has long answered nothing."""
        sock = self._transport.get_extra_info("socket") if self._transport is not None else None
        return sock is not None and keepalive.unanswered(sock)

    @property
    def wire(self) -> ServerConnection:
        """The protocol state, which the session moves on."""
        return self._wire

    @property
    def working(self) -> bool:
        """Whether a message is being handled, or rows still wait for the client to read them."""
        if self._task is not None or self._wire.phase is Phase.EXTENDED:
            return True
        return self._transport is not None and self._transport.get_write_buffer_size() > 0

    def cancel_statement(self, reason: str = "user request") -> None:
        """A request to cancel: interrupt the statement that runs, if one does."""
        if self.session is not None and self.session.busy and self._task is not None:
            self.session.state.cancel_requested = True
            self.session.state.cancel_reason = reason
            self._task.cancel()

    def fail(self, fields: dict[str, str]) -> None:
        """Send a last error and close."""
        fields["S"] = fields["V"] = "FATAL"
        self.send(ErrorResponse(fields).encode())
        self.abort_after_flush()

    def abort_after_flush(self) -> None:
        """Close once what is queued has been sent."""
        self._closing = True
        self.flush()
        if self._tls is not None:
            self._tls.close()
            self._write_raw(self._tls.outgoing())
        if self._resumed is not None and not self._resumed.done():
            self._resumed.set_result(None)  # who waits to send more learns that it is over
        if self._transport is not None:
            self._transport.close()
            self._watch_flush()

    def _watch_flush(self) -> None:
        """Close at once where the client reads nothing of the rest for the write timeout."""
        transport, seconds = self._transport, self._host.write_timeout
        left = transport.get_write_buffer_size() if transport is not None else 0
        if not left or not seconds:
            return

        def look() -> None:
            if self._transport is None:
                return
            if self._transport.get_write_buffer_size() < left:
                self._watch_flush()
            else:
                self._transport.abort()

        self._loop.call_later(seconds, look)

    def abort(self) -> None:
        """Close at once."""
        self._closing = True
        if self._transport is not None:
            self._transport.abort()

    def _free(self) -> None:
        session, self.session = self.session, None
        self._login = None
        if session is not None and session.state.holds_resources():
            self._loop.create_task(session.close(), name=f"close {self.peer}")
