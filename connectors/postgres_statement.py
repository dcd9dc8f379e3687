"""A statement on a PostgreSQL: sending it, reading its messages, stopping it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

from connectors.errors import WarehouseError, stop_error
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
from connectors.postgres_pool import LinkPool


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


class PostgresStatement:
    """One statement from taking a link until giving it back.

    Whoever stops it (the timer, a cancelled task, ``close``, the connector's end) only says why:
    the reader gets the error at once, and a task cancels the statement in the server and closes the
    link. A link is not used again after that, since a cancel request that is late would hit the
    next statement on it.
    """

    def __init__(self, pool: LinkPool, ended: Callable[[PostgresStatement], None]) -> None:
        self._pool = pool
        self._report = ended
        self._link: PostgresLink | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stopped: str | None = None
        self._cleanup: asyncio.Task[None] | None = None
        self._starting: asyncio.Task[PostgresLink] | None = None
        self._loop = asyncio.get_running_loop()
        self.ended = False

    def arm(self, timeout: float | None) -> None:
        """Stop the statement ``timeout`` seconds from now."""
        if timeout is not None:
            self._timer = self._loop.call_later(timeout, self.stop, "timeout")

    async def take_link(self) -> None:
        """Wait for a link. Nothing has reached the server before this returns."""
        task = asyncio.create_task(self._pool.take(), name="postgres-connect")
        self._starting = task
        try:
            # The shield leaves this coroutine to say who has stopped the wait.
            link = await asyncio.shield(task)
        except asyncio.CancelledError:
            task.cancel()
            task.add_done_callback(self._return_unused)
            self._end()
            if _being_cancelled():
                raise
            self._check()
            raise
        except WarehouseError:
            self._end()
            raise
        finally:
            self._starting = None
        if self._stopped is not None:
            self._pool.give_back(link, reusable=True)
        self._check()
        self._link = link

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

    def finish(self) -> None:
        """Give the link back after the server was ready for the next statement."""
        link, self._link = self._link, None
        if link is not None:
            self._pool.give_back(link, reusable=True)
        self._end()

    def stop(self, reason: str) -> None:
        """Stop the work, for the first reason given. Returns at once."""
        if self.ended or self._stopped is not None:
            return
        self._stopped = reason
        if self._starting is not None and not self._starting.done():
            self._starting.cancel()
            return
        link = self._link
        if link is None:
            self._end()
            return
        link.fail(stop_error(reason))
        self._abandon(link)

    def forget(self) -> None:
        """Stop the work of a stream that was collected without being closed. Any thread."""
        if not self.ended:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self.stop, "user")

    async def closed(self) -> None:
        """Wait until the link has been given back or closed."""
        if self._cleanup is not None:
            await asyncio.wait([self._cleanup])

    def _check(self) -> None:
        if self._stopped is not None:
            raise stop_error(self._stopped)

    def _live(self) -> PostgresLink:
        self._check()
        if self._link is None:
            raise WarehouseError("55000", "the statement has ended")
        return self._link

    def _send(self, link: PostgresLink, data: bytes) -> None:
        try:
            link.send(data)
        except WarehouseError:
            self._drop()
            raise

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

    def _drop(self) -> None:
        """The link is lost, or was failed by ``stop`` (then its task closes it)."""
        link = self._link
        if link is not None and self._stopped is None:
            self._link = None
            self._pool.give_back(link, reusable=False)
            self._end()

    def _abandon(self, link: PostgresLink) -> None:
        self._cleanup = self._loop.create_task(self._cancel(link), name="postgres-cancel")
        self._end()

    async def _cancel(self, link: PostgresLink) -> None:
        try:
            await link.cancel()
        finally:
            self._link = None
            self._pool.give_back(link, reusable=False)
            self._report(self)

    def _return_unused(self, task: asyncio.Task[PostgresLink]) -> None:
        if not task.cancelled() and task.exception() is None:
            self._pool.give_back(task.result(), reusable=True)

    def _end(self) -> None:
        if self.ended:
            return
        self.ended = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._cleanup is None:
            self._report(self)


def _being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class PostgresRowStream:
    """Rows of a statement as PostgreSQL sent them."""

    def __init__(self, statement: PostgresStatement, fields: Sequence[Field]) -> None:
        self._statement = statement
        self._type_oids = tuple(field.type_oid for field in fields)
        self._closed = False

    def __del__(self) -> None:
        self._statement.forget()

    @property
    def type_oids(self) -> tuple[int, ...]:
        """The ``pg_type.oid`` of each column."""
        return self._type_oids

    def __aiter__(self) -> AsyncIterator[tuple[bytes, int]]:
        return self

    async def __anext__(self) -> tuple[bytes, int]:
        if self._closed:
            raise StopAsyncIteration
        run = await self._statement.rows()
        if run is None:
            raise StopAsyncIteration
        return run

    async def close(self) -> None:
        """Stop the work and free its resources."""
        self._closed = True
        self._statement.stop("user")
        await self._statement.closed()
