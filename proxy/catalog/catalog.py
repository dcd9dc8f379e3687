"""The catalog: a PostgreSQL that shows the model, types statements and answers introspection."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from proxy.catalog.analysis import Analyst
from proxy.catalog.backend import CatalogBackend, Lease
from proxy.catalog.cluster import EmbeddedServer
from proxy.catalog.connection import Address, ChildConnection, connect
from proxy.catalog.deploy import deploy
from proxy.catalog.errors import CatalogError, ConnectionLostError
from proxy.catalog.external import ExternalServer
from proxy.catalog.lockdown import membership
from proxy.catalog.options import CatalogOptions
from proxy.catalog.pool import Pool
from proxy.catalog.private import PrivateBackend
from proxy.catalog.protocol import identifier
from proxy.catalog.quota import PrivateQuota
from proxy.catalog.results import CatalogAnalysis
from semantic.model.published import PublishedModel

logger = logging.getLogger("cubewire.catalog")

RETRY_PAUSE = 0.02
_STARTING = frozenset({"57P03", "53300", "57P01", "57P02", "08006"})
_NO_ROLE = "28000"
_ROLE_EXISTS = "42710"
_RESERVED_NAME = "42939"
NO_ROLE = "none"
"""What the setting ``role`` is where there is none."""
MAX_ROLE_BYTES = 63
OWNER_ATTEMPTS = 4
SWEEP_SECONDS = 600.0
"""How often what temporary tables leave in the system catalogs is cleared away."""
_SWEEP = (
    "VACUUM (SKIP_LOCKED, TRUNCATE false) pg_catalog.pg_attribute, pg_catalog.pg_class, "
    "pg_catalog.pg_type, pg_catalog.pg_depend, pg_catalog.pg_index, pg_catalog.pg_attrdef, "
    "pg_catalog.pg_constraint, pg_catalog.pg_statistic, pg_catalog.pg_shdepend"
)

_T = TypeVar("_T")


class Server(Protocol):
    """Where the catalog runs: a child process, or somebody's PostgreSQL."""

    database: str
    owner: str
    analyst: str
    markers: str
    roles_on_demand: bool
    superuser: bool

    def address_of(self, user: str) -> Address:
        """Where and how to log in as ``user``."""

    async def start(self) -> None:
        """Make it ready."""

    async def wait_ready(self) -> None:
        """Wait while it is being restarted."""

    def temporary_bytes(self, schema: str) -> int | None:
        """Bytes on disk of what is in a temporary schema; None where that cannot be seen."""

    async def close(self) -> None:
        """Stop it, if it is ours."""


class Catalog:
    """Supervises the server, and pools its backends.

    Attributes:
        server_version: as the server reports it (``16.14``).
        version: as ``version()`` reports it.
        parameters: ParameterStatus values of a fresh backend.
        model: what has been deployed.
    """

    def __init__(
        self, options: CatalogOptions | None = None, quota: PrivateQuota | None = None
    ) -> None:
        self.options = options or CatalogOptions()
        self._quota = quota or PrivateQuota(self.options.private_backends)
        self.server_version = ""
        self.version = ""
        self.parameters: dict[str, str] = {}
        self.model: PublishedModel | None = None
        dsn = self.options.dsn
        self._server: Server = (
            EmbeddedServer(self.options, self._died, self._rebuilt)
            if dsn is None
            else ExternalServer(dsn)
        )
        self._admin: ChildConnection | None = None
        self._admin_lock = asyncio.Lock()
        self._roles: set[str] = set()
        self._members: set[tuple[str, str]] = set()
        self._private: set[ChildConnection] = set()
        self._unswept = False
        self._sweeper: asyncio.Task[None] | None = None
        limits = self.options
        self._pool = Pool(
            self._connect_client, limits.backends, limits.lease_timeout, limits.idle_timeout
        )
        self._analysts = Pool(
            self._connect, limits.analysis_backends, limits.lease_timeout, limits.idle_timeout
        )
        self._analyst = Analyst(self._analysts, self._server.analyst, limits.analysis_deadline)

    async def start(self) -> None:
        """Start the server. Raises CatalogError where that cannot be done."""
        await self._server.start()
        probe = await self._connect(self._server.analyst)
        self.parameters = dict(probe.parameters)
        self.server_version = self.parameters.get("server_version", "")
        self.version = (await probe.execute("SELECT version()"))[0][0] or ""
        probe.close()

    async def close(self) -> None:
        """Close connections and stop the server."""
        await self._pool.close()
        await self._analysts.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in self._private:
            connection.close()
        if self._admin is not None:
            self._admin.close()
            self._admin = None
        await self._server.close()

    async def deploy(self, model: PublishedModel) -> int:
        """Show a model to clients; in place, so that OIDs survive. Idempotent.

        Returns:
            The number of statements it took.
        """
        return 0 if self.model == model else await self.restore(model)

    async def restore(self, model: PublishedModel) -> int:
        """The same where it is not known what the catalog shows."""
        server = self._server

        async def publish(admin: ChildConnection) -> int:
            count = await deploy(admin, model, server.markers, superuser=server.superuser)
            self.model = model
            return count

        return await self._as_owner(publish)

    async def analyse(
        self,
        sql: str,
        parameter_oids: Sequence[int],
        settings: Mapping[str, str],
        user: str,
        position: Callable[[int], int] | None = None,
    ) -> CatalogAnalysis:
        """Parameter types and result columns of one statement, which is not run.

        Args:
            sql: one statement.
            parameter_oids: types the client has given to its parameters, 0 for unknown.
            settings: the session's overlay.
            user: the client's user; nothing in an analysis depends on it yet.
            position: from a position in ``sql`` to one in the client's statement, for errors.

        Raises:
            CatalogError: PostgreSQL's own error.
        """
        del user
        try:
            return await self._analyst.analyse(sql, parameter_oids, settings)
        except CatalogError as error:
            if position is not None and error.position is not None:
                raise error.moved(position(error.position)) from None
            raise

    def lease(
        self, user: str, settings: Mapping[str, str], extra: Mapping[str, str] | None = None
    ) -> Lease:
        """A backend of ``user`` with exactly these settings, for ``async with``.

        Args:
            user: the client's user; a role of that name is made if there is none.
            settings: the session's overlay over a fresh backend's settings. A ``role`` among them
                is made one that the user may be set to.
            extra: further settings that are not the session's (``cubewire.backend_pid``).
        """
        role = settings.get("role")
        if role is None or role == NO_ROLE:
            before = None
        elif self._server.roles_on_demand:
            before = self._membership(user, role)
        else:
            before = None
            settings = {name: value for name, value in settings.items() if name != "role"}
        backend = CatalogBackend(self._pool, user, settings, extra or {}, self.options.deadline)
        return Lease(backend, before)

    async def open_private(
        self, user: str, backend_pid: int, role: str | None = None
    ) -> PrivateBackend:
        """A backend of ``user`` for one session alone; its user closes it.

        Args:
            user: as in ``lease``.
            backend_pid: what pg_backend_pid() shall answer.
            role: that the backend will be set to.

        Raises CatalogError 53300 where there are as many as there may be.
        """
        async with self._quota.place() as taken:
            connection = await self._connect_client(user)
            try:
                if role is not None and self._server.roles_on_demand:
                    await self.ensure_member(user, role)
                backend = PrivateBackend(
                    connection, self.options.deadline, roles=self._server.roles_on_demand
                )
                await backend.start(backend_pid)
            except BaseException:
                connection.abort()
                raise
            taken.add(connection)
        self._private = {item for item in self._private if not item.closed}
        self._private.add(connection)
        self._unswept = True
        if self._sweeper is None and self.options.dsn is None:
            self._sweeper = asyncio.create_task(self._keep_sweeping(), name="catalog sweeper")
        return backend

    async def _keep_sweeping(self) -> None:
        """Do what autovacuum does elsewhere: the child has none, and needs it for this alone."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            if self._unswept:
                self._unswept = self.has_private
                with contextlib.suppress(CatalogError):  # the next time will do
                    await self._as_owner(lambda admin: admin.execute(_SWEEP))

    @property
    def has_private(self) -> bool:
        """Whether a session has a backend of its own here."""
        return not all(connection.closed for connection in self._private)

    def temporary_bytes(self, schema: str) -> int | None:
        """Bytes on disk of all that is temporary in a backend; None where that cannot be seen."""
        return self._server.temporary_bytes(schema)

    async def ensure_role(self, user: str) -> None:
        """Make the login role of a client's user, if there is none yet."""
        if user in self._roles or not self._server.roles_on_demand:
            return
        if not 0 < len(user.encode()) <= MAX_ROLE_BYTES or user.startswith("pg_"):
            raise CatalogError(_NO_ROLE, f'role "{user}" cannot log in')

        async def create(admin: ChildConnection) -> None:
            try:
                await admin.execute(f"CREATE ROLE {identifier(user)} LOGIN")
            except CatalogError as error:
                if error.sqlstate == _RESERVED_NAME:
                    raise CatalogError(_NO_ROLE, f'role "{user}" cannot log in') from None
                if error.sqlstate != _ROLE_EXISTS:
                    raise
            self._roles.add(user)

        await self._as_owner(create)

    def _membership(self, user: str, role: str) -> Callable[[], Awaitable[None]]:
        async def ensure() -> None:
            await self.ensure_member(user, role)

        return ensure

    async def ensure_member(self, user: str, role: str) -> None:
        """Let a user be set to another's role, of which they inherit nothing.

        Whether they may is for the session to know. That it stays so gives nothing: what a role may
        do here, all may.
        """
        if user == role or (user, role) in self._members:
            return
        await self.ensure_role(user)
        await self.ensure_role(role)

        async def give(admin: ChildConnection) -> None:
            await admin.execute(membership(user, role))
            self._members.add((user, role))

        await self._as_owner(give)

    async def _connect_client(self, user: str) -> ChildConnection:
        await self.ensure_role(user)
        login = user if self._server.roles_on_demand else self._server.analyst
        return await self._connect(login)

    async def _connect(self, user: str) -> ChildConnection:
        server = self._server
        try:
            async with asyncio.timeout(self.options.restart_timeout):
                while True:
                    await server.wait_ready()
                    try:
                        return await connect(server.address_of(user), user, server.database)
                    except OSError as error:
                        logger.debug("connecting to the catalog: %s", error)
                    except CatalogError as error:
                        if error.sqlstate not in _STARTING:
                            raise
                    await asyncio.sleep(RETRY_PAUSE)
        except TimeoutError:
            raise CatalogError(
                "57P03", "the catalog is starting up", hint="Run the statement again."
            ) from None

    async def _as_owner(self, action: Callable[[ChildConnection], Awaitable[_T]]) -> _T:
        """Do something on the owner's connection, again where the server died meanwhile.

        What is done there is either a transaction or can be done twice.
        """
        async with self._admin_lock:
            for attempt in range(1, OWNER_ATTEMPTS + 1):
                if self._admin is None or self._admin.closed:
                    self._admin = await self._connect(self._server.owner)
                try:
                    return await action(self._admin)
                except ConnectionLostError:
                    if attempt == OWNER_ATTEMPTS:
                        raise
                    await asyncio.sleep(RETRY_PAUSE)
                finally:
                    if self._admin.outstanding:
                        self._admin.abort()
                    elif not self.options.keep_owner:
                        self._admin.close()
            raise ConnectionLostError

    def _died(self) -> None:
        """The postmaster is gone: end the backends it left, which hold its shared memory.

        A backend whose socket is open is alive, so its process id is still its own.
        """
        pools = (self._pool, self._analysts)
        connections = [item for pool in pools for item in pool.connections()]
        connections += self._private
        if self._admin is not None:
            connections.append(self._admin)
        for connection in connections:
            if not connection.closed:
                with contextlib.suppress(OSError):
                    os.kill(connection.process_id, signal.SIGQUIT)
                connection.abort()

    async def _rebuilt(self) -> None:
        """The server was made anew and is empty: fill it before anybody is let in."""
        self._roles.clear()
        self._members.clear()
        if self.model is None:
            return
        server = self._server
        admin = await connect(server.address_of(server.owner), server.owner, server.database)
        try:
            await deploy(admin, self.model, server.markers)
        except ConnectionLostError as error:
            raise CatalogError(error.sqlstate, error.message) from error
        finally:
            admin.close()
