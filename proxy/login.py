"""From the first byte to the first ReadyForQuery: encryption, startup packet, authentication.

Nothing here costs a session: the session is made when the login has succeeded.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Protocol

from proxy.auth.attempt import Attempt
from proxy.auth.authenticator import Authenticator
from proxy.auth.errors import AuthenticationFailed
from proxy.auth.request import LoginRequest
from proxy.auth.standing import Standing
from proxy.auth.tls import TlsContext, TlsSession
from proxy.errors import SessionError
from proxy.session.opening import Identity
from proxy.session.session import Session
from proxy.wire.backend import BackendKeyData, ParameterStatus, ReadyForQuery
from proxy.wire.connection import ServerConnection
from proxy.wire.frontend import (
    AuthenticationResponse,
    CancelRequest,
    GSSENCRequest,
    SSLRequest,
    StartupMessage,
)
from semantic.security.context import SecurityContext

logger = logging.getLogger("cubewire.login")

TLS_HANDSHAKE = 0x16
"""First byte of a TLS record that begins a handshake: a direct TLS connection."""


@dataclass(frozen=True, slots=True, eq=False)
class LoginDone:
    """The login has succeeded."""

    session: Session


class LoginConnection(Protocol):
    """The connection under the login."""

    peer: str
    over_limit: bool

    @property
    def tls(self) -> TlsSession | None:
        """The TLS session, if one has begun."""

    def send(self, data: bytes) -> None:
        """Queue bytes."""

    def flush(self) -> None:
        """Send what is queued."""

    def start_tls(self, *, direct: bool) -> None:
        """Switch to TLS."""

    def abort_after_flush(self) -> None:
        """Close."""


class LoginHost(Protocol):
    """What a login needs of the server."""

    authenticator: Authenticator
    tls_context: TlsContext | None
    tls_required: bool
    database: str
    stopping: bool

    def cancel(self, process_id: int, secret_key: bytes) -> None:
        """A CancelRequest has come."""

    async def open_session(
        self, connection: LoginConnection, identity: Identity
    ) -> tuple[Session, dict[str, str]]:
        """Make the session; its reported settings come with it."""

    def new_key(self, connection: LoginConnection, *, long: bool) -> tuple[int, bytes]:
        """A process id and a secret for BackendKeyData."""

    def logged_in(self, *, success: bool) -> None:
        """Count a login."""


class Login:
    """The exchange before a session exists; one per connection."""

    def __init__(
        self, host: LoginHost, connection: LoginConnection, wire: ServerConnection
    ) -> None:
        self._host = host
        self._connection = connection
        self._wire = wire
        self._startup: StartupMessage | None = None
        self._attempt: Attempt | None = None
        self._first_bytes = True

    @property
    def tls_context(self) -> TlsContext | None:
        """The server's certificate, None where TLS is off."""
        return self._host.tls_context

    @property
    def claimed(self) -> dict[str, str]:
        """The parameters of the startup packet: what a client says of itself."""
        return {} if self._startup is None else dict(self._startup.parameters)

    def expects_tls(self, data: bytes) -> bool:
        """Whether these, the connection's first bytes, begin a direct TLS connection."""
        first, self._first_bytes = self._first_bytes, False
        return first and self._host.tls_context is not None and data[0] == TLS_HANDSHAKE

    async def receive(self, message: object) -> LoginDone | None:
        """Take one message of the login.

        Raises SessionError of severity FATAL, after which the connection ends.
        """
        if isinstance(message, SSLRequest):
            self._answer_ssl()
            return None
        if isinstance(message, GSSENCRequest):
            self._connection.send(b"N")
            self._connection.flush()
            self._wire.encryption_declined()
            return None
        if isinstance(message, CancelRequest):
            self._host.cancel(message.process_id, message.secret_key)
            self._connection.abort_after_flush()
            return None
        if isinstance(message, StartupMessage):
            return await self._start(message)
        if isinstance(message, AuthenticationResponse):
            return await self._answer(message)
        raise SessionError(
            "08P01", f"unexpected message {type(message).__name__}", severity="FATAL"
        )

    def _answer_ssl(self) -> None:
        if self._host.tls_context is None or self._connection.tls is not None:
            self._connection.send(b"N")
            self._connection.flush()
            self._wire.encryption_declined()
            return
        self._connection.send(b"S")
        self._connection.start_tls(direct=False)

    async def _start(self, message: StartupMessage) -> LoginDone | None:
        if self._wire.negotiation is not None:
            self._connection.send(self._wire.negotiation.encode())
        self._startup = message
        self._check_admission(message)
        try:
            attempt = await self._host.authenticator.begin(self._request(message))
            outcome = attempt.outcome() if attempt.done else None
        except AuthenticationFailed as error:
            await self._refuse(error)
            raise
        self._attempt = attempt
        for reply in attempt.first():
            self._connection.send(reply.encode())
        if outcome is not None:
            return await self._finish(message, *outcome)
        self._wire.authentication_started()
        self._connection.flush()
        return None

    def _request(self, message: StartupMessage) -> LoginRequest:
        user = message.parameters.get("user", "")
        tls = self._connection.tls
        return LoginRequest(
            user,
            _database(message),
            self._connection.peer,
            message.parameters.get("application_name", ""),
            encrypted=tls is not None,
            channel=tls.channel_binding() if tls is not None else None,
            certificate=tls.client_certificate() if tls is not None else None,
        )

    def _check_admission(self, message: StartupMessage) -> None:
        host = self._host
        if host.stopping:
            raise SessionError("57P03", "the database system is shutting down", severity="FATAL")
        if self._connection.over_limit:
            raise SessionError("53300", "sorry, too many clients already", severity="FATAL")
        if host.tls_required and self._connection.tls is None:
            raise SessionError(
                "28000",
                "connection requires TLS",
                hint="Connect with sslmode=require.",
                severity="FATAL",
            )
        if not message.parameters.get("user"):
            raise SessionError(
                "28000",
                "no PostgreSQL user name specified in startup packet",
                severity="FATAL",
            )
        if message.parameters.get("replication", "false") not in ("false", "off", "no", "0"):
            raise SessionError("0A000", "replication is not supported", severity="FATAL")

    async def _answer(self, message: AuthenticationResponse) -> LoginDone | None:
        attempt, startup = self._attempt, self._startup
        if attempt is None or startup is None:
            raise SessionError("08P01", "unexpected password message", severity="FATAL")
        try:
            step = await attempt.receive(message.body)
            # Before the client is told that it is in: it may be found that it is not.
            outcome = attempt.outcome() if step.done else None
        except AuthenticationFailed as error:
            await self._refuse(error)
            raise
        for reply in step.messages:
            self._connection.send(reply.encode())
        if outcome is not None:
            return await self._finish(startup, *outcome)
        self._connection.flush()
        return None

    async def _refuse(self, error: AuthenticationFailed) -> None:
        """Count and log a failed login, and hold back its answer."""
        self._host.logged_in(success=False)
        claimed = self._startup.parameters.get("user", "") if self._startup is not None else ""
        fields = {"peer": self._connection.peer, "user": claimed, "reason": error.reason}
        logger.warning("login refused", extra={"fields": fields})
        if error.delay:
            await asyncio.sleep(error.delay)

    async def _finish(
        self, startup: StartupMessage, security: SecurityContext, standing: Standing
    ) -> LoginDone:
        database = _database(startup)
        if database != self._host.database:
            raise SessionError(
                "3D000",
                f'database "{database}" does not exist',
                hint=f"This server's only database is {self._host.database}.",
                severity="FATAL",
            )
        long = self._wire.protocol_minor >= 2
        process_id, secret = self._host.new_key(self._connection, long=long)
        parameters = {
            name: value
            for name, value in startup.parameters.items()
            if name not in ("user", "database", "replication") and not name.startswith("_pq_.")
        }
        identity = Identity(security, standing, database, parameters, process_id, secret)
        session, reported = await self._host.open_session(self._connection, identity)
        self._wire.authenticated()
        connection = self._connection
        for name, value in reported.items():
            connection.send(ParameterStatus(name, value).encode())
        connection.send(BackendKeyData(process_id, secret).encode())
        connection.send(ReadyForQuery("I").encode())
        self._wire.ready()
        connection.flush()
        self._host.logged_in(success=True)
        return LoginDone(session)


def _database(startup: StartupMessage) -> str:
    return startup.parameters.get("database") or startup.parameters.get("user", "")
