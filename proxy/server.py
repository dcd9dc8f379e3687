"""The server: listens, admits, keeps the table of connections, and stops without losing a row."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from proxy.admin import Readiness
from proxy.audit.trail import AuditTrail
from proxy.auth.authenticator import Authenticator
from proxy.auth.contexts import UserContexts
from proxy.auth.standing import Standing
from proxy.auth.tls import TlsContext
from proxy.cancellation import CancelRegistry
from proxy.config import Config
from proxy.connection import ClientConnection, shutdown_fields
from proxy.engine import Engine
from proxy.errors import SessionError, error_fields
from proxy.hosts.identity import Process
from proxy.hosts.opening import Hosts
from proxy.keepalive import KeepAlive
from proxy.kill_switch import REASON, KillSwitch
from proxy.login import Login, LoginConnection
from proxy.observability.log import ServerLog
from proxy.observability.metrics import Metrics
from proxy.observability.spans import Traces
from proxy.oversight import Oversight
from proxy.reload.reloader import Reloader
from proxy.reporting import audited_statement, login_attempt, statement_record
from proxy.session.backends import BackendFunctions
from proxy.session.impersonation import Impersonation
from proxy.session.opening import Identity, starting_settings
from proxy.session.records import StatementRecorder, StatementTimer
from proxy.session.replaying import Answers, Replayer
from proxy.session.runner import Runner
from proxy.session.session import Session
from proxy.session.state import SessionLimits, SessionState
from proxy.session.temporary import TemporaryLimits
from proxy.system_tables.history import History
from proxy.system_tables.local import LocalRows, OpenSession
from proxy.system_tables.peers import Peers
from proxy.system_tables.tables import SystemTables
from proxy.wire.connection import Phase, ServerConnection, WireLimits

logger = logging.getLogger("cubewire.server")

SWEEP_SECONDS = 1.0
"""How often timeouts of idle connections are checked: their precision, not their length."""

LISTEN_BACKLOG = 1024

GC_THRESHOLDS = (5_000, 20, 10)
"""Of Python's cyclic collector: syntax trees are cyclic garbage, but a look at many objects is a
pause for every client, so that is to be rare. All of them are looked at once a million are made,
and then only where a quarter of them is new; what stays from the start never is (see below)."""


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """What a server is built from."""

    config: Config
    engine: Engine
    authenticator: Authenticator
    tls_context: TlsContext | None
    log: ServerLog
    metrics: Metrics
    trail: AuditTrail
    kill_switch: KillSwitch
    process: Process
    run_directory: Path
    traces: Traces | None = None


class Server:
    """One process's server. Also what connections and logins see of it."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        config = parts.config.server
        self._config = parts.config
        self._engine = parts.engine
        self.authenticator = parts.authenticator
        self.tls_context = parts.tls_context
        self.tls_required = parts.config.tls.mode == "require"
        self.database = parts.config.database
        self.stopping = False
        self._leaving = False
        self.write_timeout = config.write_timeout
        self._limits = WireLimits(message_bytes=config.max_message_bytes)
        temporary = parts.config.temporary_tables
        self._session_limits = SessionLimits(
            config.max_prepared_statements,
            config.max_portals,
            config.max_cursor_bytes,
            TemporaryLimits(temporary.max_rows, temporary.max_bytes, config.max_cursor_bytes),
        )
        self._connections: dict[ClientConnection, float] = {}
        self._process_ids: dict[ClientConnection, int] = {}
        self.cancels = CancelRegistry(parts.process.worker, parts.run_directory)
        parts.metrics.cache = parts.engine.cached.results
        parts.metrics.warehouses = parts.engine.sources.opened
        self._answers = Answers(parts.engine.cached, parts.config.cache.memory_bytes // 8)
        self._listener: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self._keepalive = KeepAlive(config)
        self._suspects: set[ClientConnection] = set()
        self._standings: dict[ClientConnection, Standing] = {}
        self.reloader: Reloader | None = None
        granted = parts.config.system_tables
        self._history = History(granted.statements if granted.admit_somebody else 0)
        self.rows = LocalRows(
            parts.process,
            parts.engine,
            self.sessions,
            parts.kill_switch.running,
            self._history,
        )
        self._peers: Peers | None = None
        if config.workers > 1:
            self._peers = Peers(parts.process.worker, parts.run_directory, self.rows.of)
        self.tables = SystemTables(self.rows, self._peers)
        parts.engine.system_tables = self.tables
        self.hosts: Hosts | None = None

    # ------------------------------------------------------------------------- life

    async def start(self) -> tuple[str, int]:
        """Listen. Returns the address, with the port that was picked where 0 was asked for."""
        config = self._config.server
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(
            lambda: ClientConnection(self, ServerConnection(self._limits)),
            config.host,
            config.port,
            backlog=LISTEN_BACKLOG,
            reuse_port=config.workers > 1,
        )
        self.cancels.listen()
        if self._peers is not None:
            await self._peers.listen()
        self._sweeper = loop.create_task(self._sweep(), name="idle timeouts")
        address = self._listener.sockets[0].getsockname()
        self._parts.metrics.ready = True
        spare_what_stays()
        return str(address[0]), int(address[1])

    def readiness(self) -> Readiness:
        """Whether new sessions are taken."""
        problems = ("stopping",) if self._leaving else ()
        unaudited = self._parts.trail.stops_service
        if unaudited is not None:
            problems = (*problems, unaudited)
        reloader = self.reloader
        if reloader is None:
            return Readiness(problems)
        return Readiness(problems, reloader.loader.version, reloader.problems)

    def sessions(self) -> Iterator[OpenSession]:
        """The sessions that are open."""
        for connection, connected in self._connections.items():
            if connection.session is not None:
                yield OpenSession(
                    connection.session.state,
                    connection.peer,
                    connection.tls is not None,
                    connection.working,
                    connected,
                    connection.last_activity,
                )

    def join(self, hosts: Hosts | None) -> None:
        """Show what these have too, from now on."""
        self.hosts = hosts
        self.tables.hosts = None if hosts is None else hosts.board

    def end(self, which: str, ordered_by: str) -> bool:
        """End a statement by its id (``7-12``) with 57014, or a session (``7``) with 57P01.

        False where there is none of this id here.
        """
        running = self._parts.kill_switch.running.find(which)
        if running is not None:
            running.cancel(REASON)
        elif not which.isdigit() or not self._end_session(int(which)):
            return False
        self._parts.trail.administration("kill", login=ordered_by, target=which)
        return True

    def _end_session(self, process_id: int) -> bool:
        connection = self.cancels.find(process_id)
        if not isinstance(connection, ClientConnection):
            return False
        connection.fail(shutdown_fields())
        return True

    async def model_replaced(self) -> None:
        """Let sessions at rest take over the model in service, so that the former one can go.

        Those with temporary tables do so with their next statement, which may fail for it.
        """
        for connection in list(self._connections):
            session = connection.session
            if session is None or connection.working or session.state.temporary.exist:
                continue
            with suppress(SessionError):  # which the session's next statement is told
                await session.state.follow_model()
        spare_what_stays()

    async def stop(self, grace: float) -> None:
        """Take no more clients, end idle ones, let running statements finish, then end all.

        With a grace, clients are taken for ``server.shutdown_delay`` more: a balancer that has not
        looked yet would send them to where nobody listens.

        Args:
            grace: seconds that running statements get; each client is then sent 57P01.
        """
        self._leaving = True
        self._parts.metrics.ready = False
        if grace:
            await asyncio.sleep(self._config.server.shutdown_delay)
        self.stopping = True
        if self._listener is not None:
            self._listener.close()
        deadline = time.monotonic() + grace
        self._end_idle()
        while self._connections and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
            self._end_idle()
        for connection in list(self._connections):
            connection.fail(shutdown_fields())
        await asyncio.sleep(0)
        for connection in list(self._connections):
            connection.abort()
        self.cancels.close()
        if self._peers is not None:
            await self._peers.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._sweeper

    def _end_idle(self) -> None:
        for connection in list(self._connections):
            if not connection.working:
                connection.fail(shutdown_fields())

    async def _sweep(self) -> None:
        """End logins, sessions and transactions that have been silent for too long."""
        config = self._config.server
        looked = revalidated = time.monotonic()
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = time.monotonic()
            if now - revalidated >= self._config.auth.revalidate_seconds:
                revalidated = now
                await self.authenticator.users.refresh()
                self._end_invalid()
            if self._keepalive.silence and now - looked >= self._keepalive.look_seconds:
                looked = now
                self._end_vanished(now)
            for connection, since in list(self._connections.items()):
                session = connection.session
                if session is None:
                    if now - since > config.authentication_timeout:
                        _end_login(connection)
                    continue
                if connection.working:
                    continue
                self._end_if_silent(connection, session.state, now - connection.last_activity)

    def _end_invalid(self) -> None:
        """End sessions, also at work, whose login has expired, changed or been removed."""
        for connection, standing in list(self._standings.items()):
            objection = self.authenticator.objection(standing)
            if objection is not None:
                fields = {"peer": connection.peer, "user": standing.login, "reason": objection}
                logger.warning("session ended", extra={"fields": fields})
                self._parts.trail.administration(
                    objection,
                    login=standing.login,
                    target=str(self._process_ids.get(connection, "")),
                    address=connection.peer,
                )
                connection.fail(error_fields("28000", objection))
                del self._standings[connection]

    def _end_vanished(self, now: float) -> None:
        """End connections whose client's machine is no longer there."""
        silence = self._keepalive.silence
        quiet = [each for each in self._connections if now - each.last_activity > silence]
        suspects = {each for each in quiet if each.unanswered(self._keepalive)}
        for connection in suspects & self._suspects:
            connection.abort()
        self._suspects = suspects - self._suspects

    def _end_if_silent(
        self, connection: ClientConnection, state: SessionState, idle: float
    ) -> None:
        config = self._config.server
        if state.transaction.in_block:
            name, standard = (
                "idle_in_transaction_session_timeout",
                config.idle_in_transaction_timeout,
            )
            fields = _idle_fields("25P03", "idle-in-transaction")
        else:
            name, standard = "idle_session_timeout", config.idle_timeout
            fields = _idle_fields("57P05", "idle-session")
        if 0 < (state.seconds(name) or standard) < idle:
            connection.fail(fields)

    # ------------------------------------------------------------------------- ConnectionHost

    def new_login(self, connection: ClientConnection, wire: ServerConnection) -> Login:
        """See ConnectionHost."""
        return Login(self, connection, wire)

    def opened(self, connection: ClientConnection) -> bool:
        """See ConnectionHost."""
        admitted = len(self._connections) < self._config.server.max_connections
        self._connections[connection] = time.monotonic()
        if admitted:
            self._parts.metrics.connection_opened()
        else:
            self._parts.metrics.connection_refused()
        return admitted

    def closed(self, connection: ClientConnection) -> None:
        """See ConnectionHost."""
        self._connections.pop(connection, None)
        self._standings.pop(connection, None)
        process_id = self._process_ids.pop(connection, None)
        if process_id is not None:
            self.cancels.forget(process_id)
        if not connection.over_limit:
            self._parts.metrics.connection_closed()

    def login_ended(
        self,
        connection: ClientConnection,
        claimed: Mapping[str, str],
        outcome: Session | SessionError,
    ) -> None:
        """See ConnectionHost."""
        ended = outcome if isinstance(outcome, SessionError) else outcome.state
        encrypted = connection.tls is not None
        attempt = login_attempt(claimed, connection.peer, ended, encrypted=encrypted)
        self._parts.trail.login(attempt)

    def configure_socket(self, sock: socket.socket) -> None:
        """See ConnectionHost."""
        self._keepalive.configure(sock)

    # ------------------------------------------------------------------------- LoginHost

    def cancel(self, process_id: int, secret_key: bytes) -> None:
        """See LoginHost."""
        self.cancels.cancel(process_id, secret_key)

    def new_key(self, connection: LoginConnection, *, long: bool) -> tuple[int, bytes]:
        """See LoginHost."""
        assert isinstance(connection, ClientConnection)
        process_id, secret = self.cancels.register(connection, long=long)
        self._process_ids[connection] = process_id
        return process_id, secret

    def logged_in(self, *, success: bool) -> None:
        """See LoginHost."""
        self._parts.metrics.login(success=success)

    async def open_session(
        self, connection: LoginConnection, identity: Identity
    ) -> tuple[Session, dict[str, str]]:
        """See LoginHost."""
        assert isinstance(connection, ClientConnection)
        self._parts.trail.check("FATAL")
        serial = self._engine.scopes.serial
        scope = await self._engine.scopes.open(identity.security)
        settings = await starting_settings(self._engine, self._config, identity, scope)
        oversight = Oversight(self._parts.trail, self._parts.kill_switch, connection)
        recorder = StatementRecorder(identity.process_id, self._record, oversight)
        state = SessionState(
            process_id=identity.process_id,
            security=identity.security,
            scope=scope,
            scopes=self._engine.scopes,
            database=identity.database,
            settings=settings,
            limits=self._session_limits,
            recorder=recorder,
            measure_aggregates=self._measure_aggregates(identity),
            version=self._engine.catalog.version,
            serial=serial,
        )
        contexts = UserContexts(self.authenticator.users)
        impersonation = Impersonation(state, contexts, self._parts.trail)
        await impersonation.begin()
        runner = Runner(self._engine, state, BackendFunctions(self), impersonation)
        replayer = Replayer(state, self._answers)
        session = Session(connection, connection.wire, state, runner, replayer)
        self._standings[connection] = identity.standing
        return session, dict(state.changed_settings())

    def _measure_aggregates(self, identity: Identity) -> str:
        config = self._config.measure_aggregates
        by_user = config.by_user.get(identity.user)
        application = identity.parameters.get("application_name", "")
        return by_user or config.by_application.get(application) or config.default

    # ------------------------------------------------------------------------- Neighbours

    def cancel_backend(self, process_id: int, user: str) -> bool:
        """See Neighbours."""
        connection = self._of_user(process_id, user)
        if connection is not None:
            connection.cancel_statement()
        self._acted("pg_cancel_backend", process_id, user, done=connection is not None)
        return connection is not None

    def terminate_backend(self, process_id: int, user: str) -> bool:
        """See Neighbours."""
        connection = self._of_user(process_id, user)
        if connection is not None:
            connection.fail(shutdown_fields())
        self._acted("pg_terminate_backend", process_id, user, done=connection is not None)
        return connection is not None

    def _acted(self, action: str, process_id: int, user: str, *, done: bool) -> None:
        outcome: Literal["done", "failed"] = "done" if done else "failed"
        self._parts.trail.administration(
            action, login=user, target=str(process_id), outcome=outcome
        )

    def _of_user(self, process_id: int, user: str) -> ClientConnection | None:
        connection = self.cancels.find(process_id)
        if not isinstance(connection, ClientConnection) or connection.session is None:
            return None
        return connection if connection.session.state.user == user else None

    # ------------------------------------------------------------------------- records

    def _record(self, timer: StatementTimer) -> None:
        record = statement_record(timer)
        self._parts.metrics.statement(record)
        self._parts.metrics.dropped_lines = self._parts.log.writer.dropped
        self._parts.metrics.audit_lines = self._parts.trail.written
        self._parts.metrics.audit_missed = self._parts.trail.missed
        self._parts.log.statement(record)
        if self._parts.traces is not None:
            self._parts.traces.statement(record)
        if self._parts.trail.is_kept:
            self._parts.trail.statement(audited_statement(timer))
        self._history.add(record)


def spare_what_stays() -> None:
    """Take what stays out of the collector's sight: looking at it takes 0.1 s each time.

    A model that has been replaced was put there, and is looked at again.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def _end_login(connection: ClientConnection) -> None:
    """A login took too long. Who has not said who it is learns nothing, as with PostgreSQL."""
    if connection.wire.phase in (Phase.STARTED, Phase.AUTHENTICATION):
        connection.fail(error_fields("57014", "canceling authentication due to timeout"))
    else:
        connection.abort_after_flush()


def _idle_fields(sqlstate: str, which: str) -> dict[str, str]:
    return error_fields(sqlstate, f"terminating connection due to {which} timeout")
