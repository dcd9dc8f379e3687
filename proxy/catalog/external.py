"""An external PostgreSQL as the catalog, given by its DSN.

The DSN's user owns what is deployed into schema ``public`` of the DSN's database, and nothing else
may live there. Clients' statements run as one role, ``cubewire_reader``, which is made if the user
may make roles. Limits, compared with the child process:

* ``current_user`` is ``cubewire_reader``; the databases listed are the server's own;
* ``pg_backend_pid()`` is the server's own number;
* the size of temporary tables is looked at after each statement only, not while it runs;
* what PUBLIC may call there stays callable: waiting, locks and large objects are not revoked;
* the server is not restarted by us; statements wait for it as long as for a child.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from dataclasses import replace
from urllib.parse import parse_qs, unquote, urlsplit

from proxy.catalog import lockdown
from proxy.catalog.connection import Address, connect
from proxy.catalog.errors import CatalogError
from proxy.catalog.protocol import identifier, literal

READER = "cubewire_reader"
MARKERS = "public"
TLS_MODES = {
    "disable": "disable",
    "allow": "disable",
    "prefer": "disable",
    "require": "require",
    "verify-ca": "verify-full",
    "verify-full": "verify-full",
}
START_TIMEOUT = 20.0


class ExternalServer:
    """Somebody's PostgreSQL; see ``cluster.EmbeddedServer`` for the attributes."""

    markers = MARKERS
    analyst = READER
    roles_on_demand = False
    superuser = False

    def __init__(self, dsn: str) -> None:
        self._owner_address, self.owner, self.database = parse_dsn(dsn)
        self._reader_address = replace(
            self._owner_address, password=reader_password(self._owner_address.password)
        )

    def address_of(self, user: str) -> Address:
        """Where and how to log in as ``user``."""
        return self._owner_address if user == self.owner else self._reader_address

    async def start(self) -> None:
        """Make the reader and the marker functions."""
        try:
            async with asyncio.timeout(START_TIMEOUT):
                await self._prepare()
        except (OSError, TimeoutError) as error:
            raise CatalogError(
                "08001", f"the external catalog cannot be reached: {error}"
            ) from error

    async def wait_ready(self) -> None:
        """Nothing is known of its restarts; connecting is tried again instead."""

    def temporary_bytes(self, schema: str) -> int | None:
        """Its files are not to be seen from here."""
        del schema
        return None

    async def close(self) -> None:
        """It is not ours to stop."""

    async def _prepare(self) -> None:
        owner = await connect(self._owner_address, self.owner, self.database)
        try:
            reader = identifier(READER)
            password = self._reader_address.password
            secret = "" if password is None else f" PASSWORD {literal(password)}"
            found = await owner.execute(
                f"SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = {literal(READER)}"
            )
            verb = "ALTER" if found else "CREATE"
            try:
                await owner.execute(f"{verb} ROLE {reader} LOGIN{secret}")
            except CatalogError as error:
                if not found:
                    raise CatalogError(
                        error.sqlstate,
                        f'the external catalog\'s user may not make the role "{READER}"',
                        hint="Make it, with LOGIN and without other rights, or grant CREATEROLE.",
                    ) from error
            await owner.execute(f"GRANT USAGE ON SCHEMA public TO {reader}")
            await owner.execute(lockdown.marker_functions(MARKERS))
        finally:
            owner.close()


def reader_password(password: str | None) -> str | None:
    """The reader's password: the same for every process that knows the owner's."""
    if password is None:
        return None
    return hmac.new(password.encode(), READER.encode(), hashlib.sha256).hexdigest()


def parse_dsn(dsn: str) -> tuple[Address, str, str]:
    """A URL ``postgresql://user:password@host:port/database?sslmode=require`` in parts.

    A socket's directory is given as ``?host=/directory``.

    Returns:
        The address, the user and the database.
    """
    parts = urlsplit(dsn)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    unknown = options.keys() - {"host", "port", "sslmode"}
    if parts.scheme not in ("postgresql", "postgres") or not parts.username or unknown:
        raise CatalogError(
            "22023",
            "the catalog's DSN is not understood",
            hint="Write postgresql://user:password@host:port/database, with sslmode as an option.",
        )
    mode = options.get("sslmode", "disable")
    if mode not in TLS_MODES:
        raise CatalogError("22023", f'the catalog\'s DSN has an unknown sslmode "{mode}"')
    user = unquote(parts.username)
    port = int(options.get("port", parts.port or 5432))
    host = options.get("host", parts.hostname or "localhost")
    address = Address(
        socket=f"{host}/.s.PGSQL.{port}" if host.startswith("/") else None,
        host=host,
        port=port,
        password=unquote(parts.password) if parts.password else None,
        tls=TLS_MODES[mode],
    )
    return address, user, unquote(parts.path.lstrip("/")) or user
