"""The server's end of one connection, without any I/O: bytes in, messages out.

The caller feeds what it received, takes messages one by one and tells what it answered::

    connection.feed(data)
    while (message := connection.next_event()) is not None:
        ...                        # answer; then, where ReadyForQuery was sent:
        connection.ready()

A `ProtocolViolation` leaves the connection in the phase from which PostgreSQL would go on. After
a fatal one that is ``CLOSED``. Else the caller sends the ErrorResponse, lets the transaction fail,
and if the phase is ``ANSWERING`` sends ReadyForQuery and calls `ready`; if it is ``SKIPPING``, it
goes on taking messages, of which the next is the Sync (or Terminate).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache

from proxy.wire import frontend
from proxy.wire.backend import NegotiateProtocolVersion
from proxy.wire.buffer import ReceiveBuffer
from proxy.wire.codec import HEADER, INT32, VERSION
from proxy.wire.errors import ProtocolViolation
from proxy.wire.frontend import FrontendMessage, StartupMessage
from proxy.wire.limits import DEFAULT_LIMITS, WireLimits
from proxy.wire.states import TABLE, Move, Phase, after_fault, drops, step

__all__ = ["DEFAULT_LIMITS", "Phase", "ServerConnection", "WireLimits"]

_LIMIT_NAMES: Mapping[type[FrontendMessage], str] = {
    frontend.AuthenticationResponse: "authentication_bytes",
    frontend.Query: "message_bytes",
    frontend.Parse: "message_bytes",
    frontend.Bind: "message_bytes",
    frontend.FunctionCall: "message_bytes",
    frontend.CopyData: "message_bytes",
}
_CONFIGURED = {"message_bytes": "server.max_message_bytes"}
"""What the limits that can be changed are called where they are."""
_SMALLEST_STARTUP = 8
"""A length and a version."""


@dataclass(frozen=True, slots=True)
class _Route:
    """What a type byte means in one phase, looked up once per message."""

    message: type[FrontendMessage]
    decode: Callable[[bytes], FrontendMessage] | None
    limit: int
    limit_name: str
    phase: Phase
    routes: dict[int, _Route] = field(repr=False)


@cache
def _routing(limits: WireLimits) -> Mapping[Phase, dict[int, _Route]]:
    """The table by type byte. A phase that holds the client, or is before the session, has none."""
    routing: dict[Phase, dict[int, _Route]] = {phase: {} for phase in Phase}
    for phase, row in TABLE.items():
        for message in row:
            if isinstance(message, Move) or message.code == 0:
                continue
            name = _LIMIT_NAMES.get(message, "command_bytes")
            target = step(phase, message)
            routing[phase][message.code] = _Route(
                message,
                None if drops(phase, message) else message.decode,
                int(getattr(limits, name)),
                name,
                target,
                routing[target],
            )
    return routing


_OPENING_PHASES = frozenset(phase for phase, row in TABLE.items() if StartupMessage in row)


class ServerConnection:
    """One client's protocol state.

    Attributes:
        phase: where the connection stands; changed by `next_event` and by the moves.
        negotiation: what to send before anything else in answer to StartupMessage, if the client
            asked for more than this server speaks.
        protocol_minor: the minor version in force: 0, or 2 with its longer cancel keys.
    """

    __slots__ = (
        "_buffer",
        "_limits",
        "_routes",
        "_routing",
        "negotiation",
        "phase",
        "protocol_minor",
    )

    def __init__(self, limits: WireLimits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._routing = _routing(limits)
        self._buffer = ReceiveBuffer()
        self.phase = Phase.STARTUP
        self._routes = self._routing[Phase.STARTUP]
        self.negotiation: NegotiateProtocolVersion | None = None
        self.protocol_minor = 0

    @property
    def buffered(self) -> int:
        """Bytes fed and not yet consumed."""
        return len(self._buffer)

    @property
    def full(self) -> bool:
        """Whether reading from the client should pause: enough whole messages wait already."""
        buffer = self._buffer
        waiting = len(buffer)
        if waiting <= self._limits.backlog_bytes:
            return False
        if not self._routes:
            return True
        _, length = HEADER.unpack_from(buffer.data, buffer.start)
        return waiting > int(length)

    def feed(self, data: bytes) -> None:
        """Add what was received. Once the connection is closed it is thrown away."""
        if self.phase is not Phase.CLOSED:
            self._buffer.append(data)

    @property
    def idle(self) -> bool:
        """Whether the client owes us the next move, and no byte of it has come."""
        return self.phase is Phase.READY and not len(self._buffer)

    def next_event(self) -> FrontendMessage | None:
        """The next message; None while it is incomplete or our side has to move first.

        Raises:
            ProtocolViolation: see the module's text for how to go on.
        """
        buffer = self._buffer
        while routes := self._routes:
            data, start = buffer.data, buffer.start
            available = len(data) - start
            if available < 5:
                if available and data[start] not in routes:
                    raise self._unexpected(data[start])
                return None
            code, length = HEADER.unpack_from(data, start)
            route = routes.get(code)
            if route is None:
                raise self._unexpected(code)
            if not 4 <= length <= route.limit:
                raise self._bad_length(length, route)
            if available <= length:
                return None
            end = buffer.start = start + length + 1
            if route.decode is None:
                continue
            phase = self.phase
            self.phase = route.phase
            self._routes = route.routes
            try:
                return route.decode(bytes(data[start + 5 : end]))
            except ProtocolViolation:
                self._enter(after_fault(phase, route.message))
                raise
        return self._opening() if self.phase in _OPENING_PHASES else None

    def encryption_declined(self) -> None:
        """We answered ``N`` to SSLRequest or GSSENCRequest.

        Raises:
            ProtocolViolation: the client did not wait for the answer. PostgreSQL ends it too.
        """
        self._move(Move.DECLINE_ENCRYPTION)
        self._refuse_stuffed("encryption")

    def tls_started(self) -> None:
        """We answered ``S``, or TLS began without a request. Feed only decrypted bytes from here.

        Raises:
            ProtocolViolation: bytes in the clear wait behind the request; taking them for what came
                through TLS would be CVE-2021-23214.
        """
        self._move(Move.START_TLS)
        self._refuse_stuffed("SSL")

    def authentication_started(self) -> None:
        """We asked for a password or a SASL exchange."""
        self._move(Move.START_AUTHENTICATION)

    def authenticated(self) -> None:
        """The client is known. `ready` follows, after the messages that open the session."""
        self._move(Move.AUTHENTICATE)

    def skip_until_sync(self) -> None:
        """An extended message failed and its ErrorResponse was sent."""
        self._move(Move.SKIP_UNTIL_SYNC)

    def ready(self) -> None:
        """ReadyForQuery was sent."""
        self._move(Move.READY)

    def close(self) -> None:
        """We are done with this client; its bytes are forgotten."""
        self._move(Move.CLOSE)
        self._buffer.clear()

    def _move(self, move: Move) -> None:
        self._enter(step(self.phase, move))

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self._routes = self._routing[phase]

    def _ended(self, sqlstate: str, message: str, detail: str | None = None) -> ProtocolViolation:
        self.close()
        return ProtocolViolation(sqlstate, message, fatal=True, detail=detail)

    def _unexpected(self, code: int) -> ProtocolViolation:
        message = frontend.MESSAGES.get(code)
        where = f"in phase {self.phase.value}"
        if message is None:
            return self._ended("08P01", f"invalid frontend message type {code} {where}")
        return self._ended("08P01", f"unexpected {message.__name__} {where}")

    def _bad_length(self, length: int, route: _Route) -> ProtocolViolation:
        message = f"invalid length {length} of {route.message.__name__}"
        if length > route.limit:
            name = _CONFIGURED.get(route.limit_name, route.limit_name)
            message += f": limit {name} is {route.limit}"
        return self._ended("08P01", message)

    def _refuse_stuffed(self, asked: str) -> None:
        """Bytes sent before our answer to a request for encryption end the connection."""
        if len(self._buffer):
            detail = (
                "This could be either a client-software bug"
                " or evidence of an attempted man-in-the-middle attack."
            )
            raise self._ended("08P01", f"received unencrypted data after {asked} request", detail)

    def _opening(self) -> FrontendMessage | None:
        """A message without a type byte: its version number says which it is."""
        buffer = self._buffer
        if len(buffer) < 4:
            return None
        (length,) = INT32.unpack_from(buffer.data, buffer.start)
        limit = self._limits.startup_bytes
        if not _SMALLEST_STARTUP <= length <= limit + 4:
            message = f"invalid length of startup packet: limit startup_bytes is {limit}"
            raise self._ended("08P01", message)
        if len(buffer) < length:
            return None
        body = bytes(buffer.data[buffer.start + 4 : buffer.start + length])
        buffer.start += length
        try:
            return self._open(body)
        except ProtocolViolation as violation:
            raise self._ended(violation.sqlstate, violation.message) from None

    def _open(self, body: bytes) -> FrontendMessage:
        major, minor = VERSION.unpack_from(body)
        kind = frontend.REQUESTS.get((major, minor), StartupMessage)
        following = step(self.phase, kind)
        if kind is StartupMessage and major != frontend.PROTOCOL_MAJOR:
            message = (
                f"unsupported frontend protocol {major}.{minor}:"
                f" server supports 3.0 to 3.{frontend.NEWEST_MINOR}"
            )
            raise ProtocolViolation("0A000", message)
        opening = kind.decode(body)
        if isinstance(opening, StartupMessage):
            self._negotiate(opening)
        self._enter(following)
        return opening

    def _negotiate(self, startup: StartupMessage) -> None:
        if not startup.parameters.get("user"):
            raise ProtocolViolation("28000", "no PostgreSQL user name specified in startup packet")
        self.protocol_minor = min(startup.minor, frontend.NEWEST_MINOR)
        if startup.minor > frontend.NEWEST_MINOR or startup.unknown_options:
            self.negotiation = NegotiateProtocolVersion(
                self.protocol_minor, startup.unknown_options
            )
