"""A statement on a MySQL: preparing it, running it, reading its rows."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from connectors.errors import WarehouseError
from connectors.link_statement import LinkStatement
from connectors.mysql_errors import server_error
from connectors.mysql_link import MySqlLink
from connectors.mysql_packets import (
    ERROR,
    Field,
    Prepared,
    Received,
    Value,
    close_statement,
    count_of,
    error_of,
    execute,
    field_of,
    ping,
    prepare,
    prepared,
    query,
)


class MySqlStatement(LinkStatement[MySqlLink]):
    """One statement on a MySQL."""

    _prepared: Prepared | None = None

    async def prepare(self, sql: bytes) -> tuple[Field, ...]:
        """Prepare the statement and return its columns, without running it."""
        self._send(self._live(), prepare(sql))
        made = self._prepared = prepared((await self._next()).payload)
        await self._fields(made.parameters)
        fields = await self._fields(made.columns)
        if not fields:
            self.done()
            raise WarehouseError("42501", "only SELECT is run in a data source")
        return fields

    async def run(self, values: Sequence[Value]) -> tuple[Field, ...]:
        """Run what ``prepare`` has prepared; return its columns when they arrive."""
        made = self._prepared
        if made is None or made.parameters != len(values):
            self.done()
            raise WarehouseError("42P02", "the statement has another number of parameters")
        self._send(self._live(), execute(made.statement_id, values))
        return await self._fields(count_of((await self._next()).payload))

    async def rows(self) -> Received | None:
        """The next run of rows; None at the end, when the link has been given back."""
        while not self.ended:
            packet = await self._next()
            if not packet.is_eof:
                return packet
            self.done()
        self._check()
        return None

    async def ping(self) -> None:
        """One round trip."""
        self._send(self._live(), ping())
        await self._next()
        self.finish()

    async def command(self, sql: bytes) -> None:
        """Run a statement that has no rows."""
        self._send(self._live(), query(sql))
        await self._next()
        self.finish()

    def done(self) -> None:
        """Forget what was prepared and give the link back, which awaits the next command."""
        made, self._prepared = self._prepared, None
        if made is not None and self._link is not None:
            self._send(self._link, close_statement(made.statement_id))
        self.finish()

    async def _fields(self, count: int) -> tuple[Field, ...]:
        """Column definitions, which an EOF packet ends where there are any."""
        fields = [field_of((await self._next()).payload) for _ in range(count)]
        if count:
            await self._next()
        return tuple(fields)

    async def _next(self) -> Received:
        link = self._live()
        try:
            packet = await link.next()
        except asyncio.CancelledError:
            self.stop("user")
            raise
        except WarehouseError:
            self._drop()
            self._check()
            raise
        if packet.kind != ERROR:
            return packet
        error = server_error(*error_of(packet.data))
        if error.sqlstate.startswith(("57P", "08")):
            self._drop()  # the server ends the connection
        else:
            self.done()
        raise error
