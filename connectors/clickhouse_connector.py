"""ClickHouse as a warehouse, over its HTTP interface.

Answers come as Arrow streams and are read as they are asked for. A statement that is stopped is
hung up on and killed in the server by its query_id.
"""

from __future__ import annotations

import asyncio
import re
import zoneinfo
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

import clickhouse_connect
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError

from connectors.base import BatchesOnly, BatchStream, Capabilities, Parameter, ProbedColumn
from connectors.clickhouse_errors import warehouse_error
from connectors.clickhouse_link import ClickHouseLink, Request
from connectors.clickhouse_placeholders import with_placeholders
from connectors.clickhouse_settings import STATEMENT_SETTINGS, timeout_settings
from connectors.clickhouse_statement import ClickHouseBatchStream, ClickHouseStatement
from connectors.clickhouse_types import bound_values, probed_column
from connectors.errors import WarehouseError, checked_text, opened
from connectors.links import CONTROL_LINKS, Links

_FIXED_ZONE = re.compile(r"<[+-]\d{2}(?::?\d{2})?>[+-]\d{1,2}(?::\d{2})?")
_SETTING = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class ClickHouseOptions:
    """Options of a ``clickhouse`` data source.

    Attributes:
        url: ``http://`` or ``https://``, host, port of the HTTP interface and database.
        username: the user; one in the URL goes before it.
        password: the user's password; one in the URL goes before it.
        pool_size: statements that run at once.
        queue_seconds: how long a statement may wait for a place before 53300.
        connect_seconds: how long one try to connect may take.
        retry_seconds: how long connecting is tried again at start, while the server is away.
        read_seconds: how long the server may be silent while it is waited for (08006).
        verify: whether the server's certificate is checked.
        ca_certificate: file of the authority that signed it; empty for the system's.
        client_certificate: file of the certificate to log in with.
        client_key: file of its key.
        application_name: what ``system.query_log`` shows as ``http_user_agent``.
        settings: further settings of every statement, such as ``max_memory_usage=10000000000``.
    """

    url: str = field(repr=False)
    username: str = "default"
    password: str = field(default="", repr=False)
    pool_size: int = 10
    queue_seconds: float = 30.0
    connect_seconds: float = 10.0
    retry_seconds: float = 3.0
    read_seconds: float = 300.0
    verify: bool = True
    ca_certificate: str = ""
    client_certificate: str = ""
    client_key: str = ""
    application_name: str = "cubewire"
    settings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("url must be like https://host:8443/database")
        if self.pool_size < 1:
            raise ValueError("pool_size must be at least 1")
        if min(self.queue_seconds, self.connect_seconds, self.read_seconds) <= 0:
            raise ValueError("queue_seconds, connect_seconds and read_seconds must be positive")
        for setting in self.settings:
            name, equals, _ = setting.partition("=")
            if not equals or _SETTING.fullmatch(name) is None:
                raise ValueError(f"a setting is written name=value, not {name!r}")
            if name in STATEMENT_SETTINGS:
                raise ValueError(f"the setting {name} is always {STATEMENT_SETTINGS[name]!r}")

    @property
    def own_settings(self) -> dict[str, str]:
        """``settings`` by name."""
        return dict(setting.split("=", 1) for setting in self.settings)


class ClickHouseConnector(BatchesOnly):
    """A ClickHouse server or cluster as a Connector."""

    dialect = "clickhouse"
    capabilities = Capabilities()

    def __init__(self, options: ClickHouseOptions) -> None:
        self._options = options
        self._settings = {**options.own_settings, **STATEMENT_SETTINGS}
        self._client: AsyncClient | None = None
        self._opening = asyncio.Lock()
        self._links: Links[ClickHouseLink, ClickHouseStatement] | None = None
        self._closed = False

    async def start(self) -> None:
        """Open the client and ask the server for its settings."""
        if self._links is not None:
            return
        options = self._options
        self._links = Links(
            ClickHouseStatement,
            self._connect,
            options.pool_size,
            options.queue_seconds,
            options.retry_seconds,
        )
        await self.health()

    async def close(self) -> None:
        """Stop running statements and close every connection."""
        self._closed = True
        if self._links is not None:
            await self._links.close()
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def execute(
        self,
        sql: str,
        parameters: Sequence[Parameter] = (),
        *,
        time_zone: str = "UTC",
        timeout: float | None = None,
    ) -> BatchStream:
        """Start one statement; return when its schema is known."""
        checked_text(sql)
        _check_zone(time_zone)
        settings = {**self._settings, **timeout_settings(timeout)}
        text = with_placeholders(sql, parameters)
        request = Request(text, bound_values(parameters), settings)
        statement = await self._open_links().statement(timeout)
        schema = await statement.open(request, time_zone)
        return ClickHouseBatchStream(statement, schema)

    async def probe(self, sql: str) -> tuple[ProbedColumn, ...]:
        """Column names and types of a SELECT, by describing it."""
        checked_text(sql)
        statement = await self._open_links().statement(self._options.connect_seconds, control=True)
        columns = await statement.columns(Request(sql, {}, self._settings))
        return tuple(probed_column(name, kind) for name, kind in columns)

    async def health(self) -> None:
        """Describe a constant, in a place kept for this."""
        await self.probe("SELECT 1")

    async def _connect(self) -> ClickHouseLink:
        async with self._opening:
            if self._client is None:
                self._client = await self._open_client()
        return ClickHouseLink(self._client)

    async def _open_client(self) -> AsyncClient:
        options, parts = self._options, urlsplit(self._options.url)
        try:
            return await clickhouse_connect.get_async_client(
                interface=parts.scheme,
                host=parts.hostname,
                port=parts.port or (8443 if parts.scheme == "https" else 8123),
                username=unquote(parts.username) if parts.username else options.username,
                password=unquote(parts.password) if parts.password else options.password,
                database=unquote(parts.path.strip("/")) or None,
                settings={},
                connect_timeout=options.connect_seconds,
                send_receive_timeout=options.read_seconds,
                # Every statement may have one beside it that describes or kills it.
                connector_limit=2 * (options.pool_size + CONTROL_LINKS),
                connector_limit_per_host=2 * (options.pool_size + CONTROL_LINKS),
                client_name=options.application_name,
                verify=options.verify,
                ca_cert=options.ca_certificate or None,
                client_cert=options.client_certificate or None,
                client_cert_key=options.client_key or None,
                autogenerate_session_id=False,
                compress=False,
                show_clickhouse_errors=True,
            )
        except (ClickHouseError, OSError) as error:
            raise warehouse_error(error) from error

    def _open_links(self) -> Links[ClickHouseLink, ClickHouseStatement]:
        return opened(self._links, closed=self._closed)


def _check_zone(name: str) -> None:
    """Refuse (22023) what is no time zone: Arrow would only find out at the first value."""
    if _FIXED_ZONE.fullmatch(name) is not None:
        return
    try:
        zoneinfo.ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise WarehouseError(
            "22023", f'invalid value for parameter "TimeZone": "{name}"', reached=False
        ) from None
