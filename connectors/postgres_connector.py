"""PostgreSQL as a warehouse.

Connections are opened by asyncpg. Statements run in the extended protocol with their parameters
bound, and their rows are passed on as the server sends them, text or binary as the client asked:
no row is decoded, and text is PostgreSQL's own.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import pyarrow as pa

from connectors.base import (
    WAREHOUSE_TYPE,
    BatchStream,
    Capabilities,
    Estimate,
    Parameter,
    ProbedColumn,
    Reader,
    RowStream,
    SnapshotReader,
)
from connectors.errors import WarehouseError, checked_text, opened
from connectors.link_stream import LinkBatchStream
from connectors.links import Links, Start
from connectors.postgres_arrow import decode_rows
from connectors.postgres_hosts import STANDING, Host, Hosts, Standing, standing_of
from connectors.postgres_kin import check_engine
from connectors.postgres_link import PostgresLink, open_link
from connectors.postgres_listen import notifications
from connectors.postgres_messages import Field
from connectors.postgres_snapshot import OLDEST as OLDEST_WITH_SNAPSHOTS
from connectors.postgres_snapshot import begin_snapshot, check_snapshot, end_snapshot
from connectors.postgres_statement import PostgresRowStream, PostgresStatement
from connectors.postgres_types import (
    arrow_type,
    is_binary,
    parameter_oids,
    parameter_texts,
    type_name,
)
from connectors.snapshots import Snapshot
from connectors.tags import check_parts, commented

T = TypeVar("T")

CHECK_SECONDS = 10.0
"""How long it may take to see whether a snapshot has held."""

# Of the topmost node, which EXPLAIN names before those that it reads from.
_TOTAL_COST = re.compile(rb'"Total Cost": ([0-9.]+)')


@dataclass(frozen=True, slots=True)
class PostgresOptions:
    """Options of a ``postgres`` data source.

    Attributes:
        dsn: a ``postgresql://`` URL, with sslmode and the like as libpq has them.
        pool_size: statements that run at once.
        queue_seconds: how long a statement may wait for a connection before 53300.
        connect_seconds: how long one try to connect may take.
        retry_seconds: how long connecting is tried again while the server is away.
        application_name: what ``pg_stat_activity`` shows.
        comment: what is told of each statement by a comment behind it; nothing unless asked for,
            since a text that differs by user is prepared anew.
        search_path: schemas that unqualified names are looked up in; empty for the role's own.
        replicas: URLs of servers that replay what the one of ``dsn`` writes, or take its place.
        max_replica_lag: seconds by which a replica may lag and still be read from.
    """

    dsn: str
    pool_size: int = 10
    queue_seconds: float = 30.0
    connect_seconds: float = 10.0
    retry_seconds: float = 3.0
    application_name: str = "cubewire"
    comment: tuple[str, ...] = ()
    search_path: str = ""
    replicas: tuple[str, ...] = ()
    max_replica_lag: float = 10.0

    def __post_init__(self) -> None:
        check_parts(self.comment)
        if self.pool_size < 1:
            raise ValueError("pool_size must be at least 1")
        if min(self.queue_seconds, self.connect_seconds) <= 0 or self.retry_seconds < 0:
            raise ValueError("queue_seconds, connect_seconds and retry_seconds must be positive")
        if self.max_replica_lag < 0:
            raise ValueError("max_replica_lag cannot be negative")


class PostgresConnector:
    """A PostgreSQL server as a Connector."""

    dialect = "postgres"
    capabilities = Capabilities(
        encoded_rows=True, array_texts=True, estimates=frozenset(("cost",)), snapshots=True
    )

    def __init__(self, options: PostgresOptions) -> None:
        self._options = options
        self._hosts: Hosts | None = None
        self._closed = False

    async def start(self) -> None:
        """Open the pools and connect once."""
        if self._hosts is not None:
            return
        urls = (self._options.dsn, *self._options.replicas)
        hosts = [self._host(number, url) for number, url in enumerate(urls)]
        self._hosts = Hosts(hosts, self._look, self._options.max_replica_lag)
        await self._hosts.start()
        await self.health()
        async for batch in await self.execute("SELECT version()"):
            if check_engine(str(batch[0][0].as_py())) < OLDEST_WITH_SNAPSHOTS:
                self.capabilities = replace(self.capabilities, snapshots=False)

    async def close(self) -> None:
        """Stop running statements and close every connection."""
        self._closed = True
        hosts, self._hosts = self._hosts, None
        if hosts is not None:
            await hosts.close()

    async def execute(
        self,
        sql: str,
        parameters: Sequence[Parameter] = (),
        *,
        time_zone: str = "UTC",
        timeout: float | None = None,
    ) -> BatchStream:
        """Start one statement on the primary; return when its schema is known."""
        return await self.execute_on(
            sql, parameters, anywhere=False, time_zone=time_zone, timeout=timeout
        )

    async def execute_on(
        self,
        sql: str,
        parameters: Sequence[Parameter],
        *,
        anywhere: bool,
        time_zone: str,
        timeout: float | None,
    ) -> BatchStream:
        """The same, on a replica where that is allowed."""
        start = partial(self._new_statement, anywhere=anywhere)
        return await self._batches(start, sql, parameters, time_zone, timeout)

    def snapshot(
        self, *, timeout: float | None = None
    ) -> AbstractAsyncContextManager[SnapshotReader]:
        """See ``connectors.base.Snapshotter``. It is one of the primary."""
        return self.snapshot_on(anywhere=False, timeout=timeout)

    @asynccontextmanager
    async def snapshot_on(
        self, *, anywhere: bool, timeout: float | None
    ) -> AsyncIterator[SnapshotReader]:
        """The same, of a replica where that is allowed."""
        async with AsyncExitStack() as stack:

            async def enter(host: Host, left: float | None) -> Start[PostgresStatement]:
                transaction = host.links.snapshot(begin_snapshot, end_snapshot, left)
                return await stack.enter_async_context(transaction)

            start = await self._at_a_host(enter, timeout, anywhere=anywhere)
            yield Snapshot(partial(self._batches, start))
            await check_snapshot(await start(CHECK_SECONDS))

    async def _batches(
        self,
        start: Start[PostgresStatement],
        sql: str,
        parameters: Sequence[Parameter],
        time_zone: str,
        timeout: float | None,
    ) -> BatchStream:
        text, values = self._text(sql), parameter_texts(parameters)
        statement = await start(timeout)
        fields = await statement.describe(text, parameter_oids(parameters), time_zone)
        names = [type_name(field.type_oid) for field in fields]
        await statement.run_described(values, [int(is_binary(name)) for name in names])
        schema = pa.schema(
            [
                pa.field(field.name, arrow_type(name, time_zone), metadata={WAREHOUSE_TYPE: name})
                for field, name in zip(fields, names, strict=True)
            ]
        )

        def decode(run: tuple[bytes, int]) -> pa.RecordBatch:
            return decode_rows(*run, names, schema)

        return LinkBatchStream(statement, schema, statement.rows, decode)

    async def stream_rows(
        self,
        sql: str,
        parameters: Sequence[Parameter],
        result_formats: Sequence[int],
        *,
        time_zone: str = "UTC",
        timeout: float | None = None,
    ) -> RowStream:
        """Start one statement whose rows are passed on as the server encodes them."""
        return await self.stream_rows_on(
            sql, parameters, result_formats, anywhere=False, time_zone=time_zone, timeout=timeout
        )

    async def stream_rows_on(
        self,
        sql: str,
        parameters: Sequence[Parameter],
        result_formats: Sequence[int],
        *,
        anywhere: bool,
        time_zone: str,
        timeout: float | None,
    ) -> RowStream:
        """The same, on a replica where that is allowed."""
        text, values = self._text(sql), parameter_texts(parameters)
        statement = await self._new_statement(timeout, anywhere=anywhere)
        fields = await statement.run(
            text, parameter_oids(parameters), values, result_formats, time_zone
        )
        return PostgresRowStream(statement, fields)

    async def estimate(
        self,
        sql: str,
        parameters: Sequence[Parameter] = (),
        *,
        time_zone: str = "UTC",
        timeout: float | None = None,
    ) -> Estimate:
        """The planner's total cost."""
        explain = f"EXPLAIN (FORMAT JSON) {sql}"
        stream = await self.stream_rows(
            explain, parameters, (0,), time_zone=time_zone, timeout=timeout
        )
        try:
            text = b"".join([data async for data, _ in stream])
        finally:
            await stream.close()
        found = _TOTAL_COST.search(text)
        return Estimate(cost=float(found[1]) if found is not None else None)

    def sever(self) -> None:
        """End every running statement: the server has not answered for long."""
        for host in self._open_hosts().all:
            host.links.sever()

    def reader(self) -> Reader:
        """See ``connectors.base.Replicated``."""
        return PostgresReader(self)

    def written(self) -> None:
        """See ``connectors.base.Replicated``."""
        if self._hosts is not None:
            self._hosts.written()

    def copies(self) -> Mapping[str, int]:
        """See ``connectors.base.Replicated``."""
        return {} if self._hosts is None else self._hosts.copies()

    def _text(self, sql: str) -> bytes:
        wanted = self._options.comment
        return checked_text(commented(sql, wanted) if wanted else sql)

    async def probe(self, sql: str) -> tuple[ProbedColumn, ...]:
        """Column names and types of a SELECT, by describing it."""
        text = checked_text(sql)
        statement = await self._new_statement(self._options.connect_seconds, control=True)
        fields = await statement.describe(text, (), "UTC")
        statement.finish()
        return tuple(
            ProbedColumn(field.name, type_name(field.type_oid), _modifier(field))
            for field in fields
        )

    async def health(self) -> None:
        """Run an empty statement on a connection kept for this."""
        statement = await self._new_statement(
            self._options.connect_seconds, anywhere=True, control=True
        )
        await statement.run(b"", (), (), (), "UTC")
        await statement.rows()

    def notifications(self, channel: str) -> AsyncIterator[str | None]:
        """See ``connectors.base.Notifier``. Those of the primary that is configured as such."""
        options = self._options
        return notifications(
            options.dsn,
            channel,
            connect_seconds=options.connect_seconds,
            application_name=options.application_name,
        )

    def _host(self, number: int, url: str) -> Host:
        options = self._options
        settings = {"application_name": options.application_name}
        if options.search_path:
            settings["search_path"] = options.search_path

        async def connect() -> PostgresLink:
            return await open_link(url, options.connect_seconds, settings)

        # Of several servers the next one is tried at once, instead of the same one again.
        retry = 0.0 if options.replicas else options.retry_seconds
        limits = options.pool_size, options.queue_seconds, retry
        return Host(number, Links(PostgresStatement, connect, *limits))

    async def _look(self, host: Host) -> Standing:
        statement = await host.links.statement(None, control=True)
        await statement.run(STANDING, (), (), (0, 0), "UTC")
        run = await statement.rows()
        while await statement.rows() is not None:
            pass
        if run is None:
            raise WarehouseError("08006", "a server of the data source says nothing of itself")
        return standing_of(run[0])

    def _open_hosts(self) -> Hosts:
        return opened(self._hosts, closed=self._closed)

    async def _new_statement(
        self, timeout: float | None, *, anywhere: bool = False, control: bool = False
    ) -> PostgresStatement:
        """A statement with its link, of the first server that can be connected to."""

        async def start(host: Host, left: float | None) -> PostgresStatement:
            return await host.links.statement(left, control=control)

        return await self._at_a_host(start, timeout, anywhere=anywhere)

    async def _at_a_host(
        self,
        begin: Callable[[Host, float | None], Awaitable[T]],
        timeout: float | None,
        *,
        anywhere: bool,
    ) -> T:
        """What is begun at the first server that can be connected to, in ``timeout`` seconds."""
        hosts = self._open_hosts()
        loop = asyncio.get_running_loop()
        began = loop.time()
        *others, last = hosts.order(anywhere=anywhere)
        for host in others:
            try:
                return await begin(host, timeout)
            except WarehouseError as error:
                if error.reached or error.sqlstate == "57014":
                    raise
                hosts.suspect(host)
            if timeout is not None:
                timeout -= loop.time() - began
                began = loop.time()
        return await begin(last, timeout)


class PostgresReader:
    """The same source, with its statements on replicas where there are any."""

    def __init__(self, connector: PostgresConnector) -> None:
        self._connector = connector

    async def execute(
        self,
        sql: str,
        parameters: Sequence[Parameter] = (),
        *,
        time_zone: str = "UTC",
        timeout: float | None = None,
    ) -> BatchStream:
        """See ``Connector``."""
        return await self._connector.execute_on(
            sql, parameters, anywhere=True, time_zone=time_zone, timeout=timeout
        )

    def snapshot(
        self, *, timeout: float | None = None
    ) -> AbstractAsyncContextManager[SnapshotReader]:
        """See ``connectors.base.Snapshotter``."""
        return self._connector.snapshot_on(anywhere=True, timeout=timeout)

    async def stream_rows(
        self,
        sql: str,
        parameters: Sequence[Parameter],
        result_formats: Sequence[int],
        *,
        time_zone: str = "UTC",
        timeout: float | None = None,
    ) -> RowStream:
        """See ``Connector``."""
        return await self._connector.stream_rows_on(
            sql, parameters, result_formats, anywhere=True, time_zone=time_zone, timeout=timeout
        )


def _modifier(field: Field) -> int:
    return field.modifier if type_name(field.type_oid) != "text" else -1
