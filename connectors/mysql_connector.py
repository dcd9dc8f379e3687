"""MySQL and MariaDB as warehouses.

Connections are opened by aiomysql. Statements are prepared, their parameters bound, and their rows
come in binary, so that no number passes through a text of fewer digits than it has.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pyarrow as pa

from connectors.announcements import announced
from connectors.base import (
    BatchesOnly,
    BatchStream,
    Capabilities,
    Parameter,
    ProbedColumn,
    SnapshotReader,
)
from connectors.errors import WarehouseError, checked_text, opened
from connectors.link_pool import LinkPool
from connectors.link_stream import LinkBatchStream
from connectors.links import Links, Start
from connectors.mysql_flavours import DORIS, MARIADB, MYSQL, STARROCKS, Flavour
from connectors.mysql_link import MySqlLink, open_link
from connectors.mysql_packets import Received
from connectors.mysql_rows import decode_rows
from connectors.mysql_statement import MySqlStatement
from connectors.mysql_types import (
    column_type,
    parameter_values,
    shown_types,
    with_markers,
)
from connectors.snapshots import Snapshot

# Links kept for killing, so that it does not wait behind statements.
KILLER_LINKS = 2

_BEGIN = b"START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"
_END = b"ROLLBACK"

DISABLED = "disabled"
REQUIRED = "required"
VERIFY_CA = "verify-ca"
VERIFY_IDENTITY = "verify-identity"
SSL_MODES = (DISABLED, REQUIRED, VERIFY_CA, VERIFY_IDENTITY)


@dataclass(frozen=True, slots=True)
class MySqlOptions:
    """Options of a ``mysql`` or ``mariadb`` data source.

    Attributes:
        host: name or address of the server.
        port: its port.
        socket: path of its socket on this machine, instead of host and port.
        user: who logs in; should be granted SELECT and nothing else.
        password: the password.
        database: where names without a database are looked up.
        ssl_mode: ``disabled``, ``required`` (encrypted), ``verify-ca`` or ``verify-identity``.
        ssl_ca: file of the authorities that may sign the server's certificate; empty for the
            system's.
        ssl_cert: file of a certificate to log in with.
        ssl_key: file of its key.
        pool_size: statements that run at once.
        queue_seconds: how long a statement may wait for a connection before 53300.
        connect_seconds: how long one try to connect may take.
        retry_seconds: how long connecting is tried again while the server is away.
    """

    host: str = "127.0.0.1"
    port: int = 3306
    socket: str = ""
    user: str = ""
    password: str = ""
    database: str = ""
    ssl_mode: str = REQUIRED
    ssl_ca: str = ""
    ssl_cert: str = ""
    ssl_key: str = ""
    pool_size: int = 10
    queue_seconds: float = 30.0
    connect_seconds: float = 10.0
    retry_seconds: float = 3.0

    def __post_init__(self) -> None:
        if self.pool_size < 1:
            raise ValueError("pool_size must be at least 1")
        if min(self.queue_seconds, self.connect_seconds) <= 0 or self.retry_seconds < 0:
            raise ValueError("queue_seconds, connect_seconds and retry_seconds must be positive")
        if self.ssl_mode not in SSL_MODES:
            raise ValueError(f"ssl_mode must be one of {', '.join(SSL_MODES)}")

    def __repr__(self) -> str:
        return f"MySqlOptions(host={self.host!r}, port={self.port}, user={self.user!r})"


class MySqlConnector(BatchesOnly):
    """A MySQL server as a Connector."""

    flavour: Flavour = MYSQL
    capabilities = Capabilities(snapshots=True)

    def __init__(self, options: MySqlOptions) -> None:
        self._options = options
        self._tls: ssl.SSLContext | None = None
        self._links: Links[MySqlLink, MySqlStatement] | None = None
        self._killers: LinkPool[MySqlLink] | None = None
        self._closed = False

    @property
    def dialect(self) -> str:
        """The dialect of its SQL."""
        return self.flavour.kind

    async def start(self) -> None:
        """Open the pools and connect once."""
        if self._links is not None:
            return
        options = self._options
        self._tls = _tls_context(options)
        waits = options.queue_seconds, options.retry_seconds
        self._links = Links(MySqlStatement, self._connect, options.pool_size, *waits)
        self._killers = LinkPool(self._connect, KILLER_LINKS, *waits)
        await self.health()

    async def close(self) -> None:
        """Stop running statements and close every connection."""
        self._closed = True
        if self._links is not None:
            await self._links.close()
        if self._killers is not None:
            self._killers.close()

    def sever(self) -> None:
        """End every running statement: the server has not answered for long."""
        if self._links is not None:
            self._links.sever()

    async def execute(
        self,
        sql: str,
        parameters: Sequence[Parameter] = (),
        *,
        time_zone: str = "UTC",
        timeout: float | None = None,
    ) -> BatchStream:
        """Start one statement; return when its schema is known.

        The session is always in UTC: the server's data of time zones may be missing or old.
        """
        start = self._open_links().statement
        return await self._batches(start, sql, parameters, time_zone, timeout)

    @asynccontextmanager
    async def snapshot(self, *, timeout: float | None = None) -> AsyncIterator[SnapshotReader]:
        """See ``connectors.base.Snapshotter``.

        It is one of InnoDB's tables. Where one of them is emptied or changed meanwhile, the server
        says so (40001); where tables exchange their names, it does not.
        """
        transaction = self._open_links().snapshot(
            lambda statement: statement.command(_BEGIN),
            lambda statement: statement.command(_END),
            timeout,
        )
        async with transaction as start:
            yield Snapshot(partial(self._batches, start))

    async def _batches(
        self,
        start: Start[MySqlStatement],
        sql: str,
        parameters: Sequence[Parameter],
        time_zone: str,
        timeout: float | None,
    ) -> BatchStream:
        _check_zone(time_zone)
        text, ordered = with_markers(sql, parameters)
        encoded, values = checked_text(text), parameter_values(ordered)
        statement = await start(timeout)
        await statement.prepare(encoded)
        fields = await statement.run(values)
        try:
            types = [column_type(field) for field in fields]
            shown = shown_types(types, announced(sql))
        except WarehouseError:
            statement.stop("user")
            raise
        schema = pa.schema(
            [kind.field(field.name) for field, kind in zip(fields, shown, strict=True)]
        )

        def decode(run: Received) -> pa.RecordBatch:
            return decode_rows(run.data, run.starts, fields, types, schema)

        return LinkBatchStream(statement, schema, statement.rows, decode)

    async def probe(self, sql: str) -> tuple[ProbedColumn, ...]:
        """Column names and types of a SELECT, by preparing it."""
        statement = await self._control_statement()
        fields = await statement.prepare(checked_text(sql))
        statement.done()
        kinds = [column_type(field) for field in fields]
        return tuple(
            ProbedColumn(field.name, kind.name, kind.modifier)
            for field, kind in zip(fields, kinds, strict=True)
        )

    async def health(self) -> None:
        """Ping on a connection kept for this."""
        statement = await self._control_statement()
        await statement.ping()

    async def _connect(self) -> MySqlLink:
        options = self._options
        address: dict[str, object] = {"host": options.host, "port": options.port}
        if options.socket:
            address["unix_socket"] = options.socket
        return await open_link(
            address=address,
            user=options.user,
            password=options.password,
            database=options.database,
            tls=self._tls,
            flavour=self.flavour,
            connect_seconds=options.connect_seconds,
            kill=self._kill,
        )

    async def _kill(self, thread_id: int) -> None:
        """From a link of its own, and also while the connector is being closed."""
        if self._killers is None:
            return
        statement = MySqlStatement(self._killers, lambda _: None)
        await statement.take_link()
        await statement.command(b"KILL %d" % thread_id)

    async def _control_statement(self) -> MySqlStatement:
        return await self._open_links().statement(self._options.connect_seconds, control=True)

    def _open_links(self) -> Links[MySqlLink, MySqlStatement]:
        return opened(self._links, closed=self._closed)


class MariaDbConnector(MySqlConnector):
    """A MariaDB server as a Connector."""

    flavour = MARIADB


class StarRocksConnector(MySqlConnector):
    """A StarRocks as a Connector."""

    flavour = STARROCKS
    capabilities = Capabilities()


class DorisConnector(MySqlConnector):
    """An Apache Doris as a Connector."""

    flavour = DORIS
    capabilities = Capabilities()


def _tls_context(options: MySqlOptions) -> ssl.SSLContext | None:
    if options.socket or options.ssl_mode == DISABLED:
        return None
    try:
        context = ssl.create_default_context(cafile=options.ssl_ca or None)
        if options.ssl_cert:
            context.load_cert_chain(options.ssl_cert, options.ssl_key or None)
    except OSError as error:  # ssl.SSLError is one
        raise WarehouseError(
            "08001",
            "the certificates of the data source cannot be read",
            detail=str(error),
            reached=False,
        ) from error
    context.check_hostname = options.ssl_mode == VERIFY_IDENTITY
    if options.ssl_mode == REQUIRED:
        context.verify_mode = ssl.CERT_NONE
    return context


def _check_zone(name: str) -> None:
    if name.startswith("<"):
        return  # an offset, as PostgreSQL writes it
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise WarehouseError(
            "22023", f'invalid value for parameter "TimeZone": "{name}"', reached=False
        ) from None
