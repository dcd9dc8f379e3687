"""A statement on a PostgreSQL: sending it, reading its messages, stopping it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from connectors.errors import WarehouseError
from connectors.link_statement import LinkStatement
from connectors.postgres_link import PostgresLink
from connectors.postgres_messages import (
    COMMAND_COMPLETE,
    DATA_ROW,
    DESCRIBE_PORTAL,
    DESCRIBE_STATEMENT,
    EMPTY_QUERY,
    ERROR,
    EXECUTE,
    NO_DATA,
    READY,
    ROW_DESCRIPTION,
    SYNC,
    Field,
    Received,
    bind,
    fields_of_description,
    fields_of_error,
    parse,
)
from connectors.streams import Stream


def server_error(fields: dict[str, str]) -> WarehouseError:
    """The WarehouseError of an ErrorResponse."""
    error = WarehouseError(
        fields.get("C", "XX000"),
        fields.get("M", "the data source reported an error"),
        detail=fields.get("D"),
        hint=fields.get("H"),
    )
    position = fields.get("P", "")
    error.position = int(position) if position.isdigit() else None
    return error


def _set_time_zone(name: str) -> bytes:
    literal = name.replace("'", "''").encode()
    return parse(b"SET TimeZone = '" + literal + b"'") + bind((), ()) + EXECUTE


class PostgresStatement(LinkStatement[PostgresLink]):
    """One statement on a PostgreSQL."""

    async def describe(
        self, sql: bytes, parameter_oids: Sequence[int], time_zone: str
    ) -> tuple[Field, ...]:
        """Parse the statement and return its columns, without running it."""
        link = self._live()
        zone = _set_time_zone(time_zone) if time_zone != link.time_zone else b""
        self._send(link, zone + parse(sql, parameter_oids) + DESCRIBE_STATEMENT + SYNC)
        fields: tuple[Field, ...] = ()
        while (message := await self._next()).kind != READY:
            if message.kind == ROW_DESCRIPTION:
                fields = fields_of_description(message.data)
        return fields

    async def run_described(
        self, values: Sequence[bytes | None], result_formats: Sequence[int]
    ) -> None:
        """Run what ``describe`` has parsed."""
        self._send(self._live(), bind(values, result_formats) + EXECUTE + SYNC)

    async def run(
        self,
        sql: bytes,
        parameter_oids: Sequence[int],
        values: Sequence[bytes | None],
        result_formats: Sequence[int],
        time_zone: str,
    ) -> tuple[Field, ...]:
        """Run the statement in one flight; return its columns when they arrive."""
        link = self._live()
        zone = _set_time_zone(time_zone) if time_zone != link.time_zone else b""
        self._send(
            link,
            zone
            + parse(sql, parameter_oids)
            + bind(values, result_formats)
            + DESCRIBE_PORTAL
            + EXECUTE
            + SYNC,
        )
        while True:
            message = await self._next()
            if message.kind == ROW_DESCRIPTION:
                return fields_of_description(message.data)
            if message.kind == NO_DATA:
                return ()

    async def command(self, sql: bytes) -> None:
        """Run a statement that has no rows."""
        await self.run(sql, (), (), (), self._live().time_zone)
        await self.rows()

    async def rows(self) -> tuple[bytes, int] | None:
        """The next run of DataRow messages; None at the end, when the link has been given back."""
        while not self.ended:
            message = await self._next()
            if message.kind == DATA_ROW:
                return message.data, message.rows
            if message.kind in (COMMAND_COMPLETE, EMPTY_QUERY):
                await self._until_ready()
                self.finish()
        self._check()
        return None

    async def _next(self) -> Received:
        link = self._live()
        try:
            message = await link.next()
        except asyncio.CancelledError:
            self.stop("user")
            raise
        except WarehouseError:
            self._drop()
            self._check()
            raise
        if message.kind != ERROR:
            return message
        error = server_error(fields_of_error(message.data))
        try:
            await self._until_ready()
        except WarehouseError:
            # The server ended the connection after its error (57P01): the error says why.
            self._drop()
        else:
            self.finish()
        raise error

    async def _until_ready(self) -> None:
        link = self._live()
        try:
            while (await link.next()).kind != READY:
                pass
        except asyncio.CancelledError:
            self.stop("user")
            raise


class PostgresRowStream(Stream[tuple[bytes, int]]):
    """Rows of a statement as PostgreSQL sent them."""

    _statement: PostgresStatement

    def __init__(self, statement: PostgresStatement, fields: Sequence[Field]) -> None:
        super().__init__(statement)
        self._type_oids = tuple(field.type_oid for field in fields)

    @property
    def type_oids(self) -> tuple[int, ...]:
        """The ``pg_type.oid`` of each column."""
        return self._type_oids

    async def _read(self) -> tuple[bytes, int] | None:
        return await self._statement.rows()
