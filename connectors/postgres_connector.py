"""PostgreSQL as a warehouse.

Connections are opened by asyncpg. Statements run in the extended protocol with their parameters
bound, and their rows are passed on as the server sends them, text or binary as the client asked:
no row is decoded, and text is PostgreSQL's own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from connectors.base import (
    WAREHOUSE_TYPE,
    BatchStream,
    Capabilities,
    Parameter,
    ProbedColumn,
    RowStream,
)
from connectors.errors import WarehouseError, checked_text, stop_error
from connectors.link_pool import LinkPool
from connectors.link_statement import LinkStatement
from connectors.link_stream import LinkBatchStream
from connectors.postgres_arrow import decode_rows
from connectors.postgres_link import PostgresLink, open_link
from connectors.postgres_listen import notifications
from connectors.postgres_messages import Field
from connectors.postgres_statement import PostgresRowStream, PostgresStatement
from connectors.postgres_types import (
    arrow_type,
    is_binary,
    parameter_oids,
    parameter_texts,
    type_name,
)

# Links kept for probing and health, so that neither waits behind statements.
CONTROL_LINKS = 2


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
        search_path: schemas that unqualified names are looked up in; empty for the role's own.
    """

    dsn: str
    pool_size: int = 10
    queue_seconds: float = 30.0
    connect_seconds: float = 10.0
    retry_seconds: float = 3.0
    application_name: str = "cubewire"
    search_path: str = ""

    def __post_init__(self) -> None:
        if self.pool_size < 1:
            raise ValueError("pool_size must be at least 1")
        if min(self.queue_seconds, self.connect_seconds) <= 0 or self.retry_seconds < 0:
            raise ValueError("queue_seconds, connect_seconds and retry_seconds must be positive")


class PostgresConnector:
    """A PostgreSQL server as a Connector."""

    dialect = "postgres"
    capabilities = Capabilities(encoded_rows=True, array_texts=True)

    def __init__(self, options: PostgresOptions) -> None:
        self._options = options
        self._data: LinkPool[PostgresLink] | None = None
        self._control: LinkPool[PostgresLink] | None = None
        self._statements: set[LinkStatement[PostgresLink]] = set()
        self._closed = False

    async def start(self) -> None:
        """Open the pools and connect once."""
        if self._data is not None:
            return
        options = self._options
        self._data = LinkPool(
            self._connect, options.pool_size, options.queue_seconds, options.retry_seconds
        )
        self._control = LinkPool(
            self._connect, CONTROL_LINKS, options.queue_seconds, options.retry_seconds
        )
        await self.health()

    async def close(self) -> None:
        """Stop running statements and close every connection."""
        self._closed = True
        for pool in (self._data, self._control):
            if pool is not None:
                pool.close()
        statements = list(self._statements)
        for statement in statements:
            statement.stop("shutdown")
        for statement in statements:
            await statement.closed()

    async def execute(
        self,
        sql: str,
        parameters: Sequence[Parameter] = (),
        *,
        time_zone: str = "UTC",
        timeout: float | None = None,
    ) -> BatchStream:
        """Start one statement; return when its schema is known."""
        text, values = checked_text(sql), parameter_texts(parameters)
        statement = await self._new_statement(self._data, timeout)
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
        text, values = checked_text(sql), parameter_texts(parameters)
        statement = await self._new_statement(self._data, timeout)
        fields = await statement.run(
            text, parameter_oids(parameters), values, result_formats, time_zone
        )
        return PostgresRowStream(statement, fields)

    async def probe(self, sql: str) -> tuple[ProbedColumn, ...]:
        """Column names and types of a SELECT, by describing it."""
        statement = await self._new_statement(self._control, self._options.connect_seconds)
        fields = await statement.describe(checked_text(sql), (), "UTC")
        statement.finish()
        return tuple(
            ProbedColumn(field.name, type_name(field.type_oid), _modifier(field))
            for field in fields
        )

    async def health(self) -> None:
        """Run an empty statement on a connection kept for this."""
        statement = await self._new_statement(self._control, self._options.connect_seconds)
        await statement.run(b"", (), (), (), "UTC")
        await statement.rows()

    def notifications(self, channel: str) -> AsyncIterator[str | None]:
        """See ``connectors.base.Notifier``."""
        options = self._options
        return notifications(
            options.dsn,
            channel,
            connect_seconds=options.connect_seconds,
            application_name=options.application_name,
        )

    async def _connect(self) -> PostgresLink:
        options = self._options
        settings = {"application_name": options.application_name}
        if options.search_path:
            settings["search_path"] = options.search_path
        return await open_link(options.dsn, options.connect_seconds, settings)

    async def _new_statement(
        self, pool: LinkPool[PostgresLink] | None, timeout: float | None
    ) -> PostgresStatement:
        if self._closed:
            raise stop_error("shutdown")
        if pool is None:
            raise WarehouseError("08003", "the data source is not open", reached=False)
        statement = PostgresStatement(pool, self._statements.discard)
        self._statements.add(statement)
        statement.arm(timeout)
        await statement.take_link()
        return statement


def _modifier(field: Field) -> int:
    return field.modifier if type_name(field.type_oid) != "text" else -1
