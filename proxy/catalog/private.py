"""A backend that one session has for itself, as long as it holds temporary tables.

Its queries run in portals that are read piece by piece, so several may be open at once and each can
be left half read without harm to the transaction, which its user keeps open around them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

from proxy.catalog import connection as wire
from proxy.catalog import protocol
from proxy.catalog.backend import analysis_request, read_analysis, timed_out
from proxy.catalog.connection import ChildConnection, Message
from proxy.catalog.errors import CatalogError, ConnectionLostError
from proxy.catalog.results import CatalogAnalysis, CatalogResult, fields_of_row
from proxy.catalog.settings import normalised
from proxy.wire.backend import FieldDescription

FIRST_ROWS = 100
MOST_ROWS = 8_192
PIECE_BYTES = 256 * 1024
"""About how many bytes of rows are asked for at a time, once the width of a row is known."""

SETTLE_SECONDS = 5.0
"""How long a statement that was given up may take to stop."""


class PrivateBackend:
    """Statements on a connection of a session's own, one at a time.

    ``roles`` says whether users have roles of their own there.

    Attributes:
        temporary_schema: ``pg_temp_N``, which is this backend's alone.
    """

    def __init__(self, connection: ChildConnection, deadline: float, *, roles: bool = True) -> None:
        self._connection = connection
        self._roles = roles
        self._deadline = deadline
        self._applied: dict[str, str] | None = {}
        self._touched: set[str] = set()
        self._portals = 0
        self._finished: list[str] = []
        self.temporary_schema = ""

    async def start(self, process_id: int) -> None:
        """Find out its temporary schema, which the first temporary table makes.

        Args:
            process_id: what pg_backend_pid() shall answer.
        """
        rows = await self.command(
            f"SET cubewire.backend_pid = {process_id}; "
            "CREATE TEMPORARY TABLE cubewire_first (); DROP TABLE pg_temp.cubewire_first; "
            "SELECT nspname FROM pg_catalog.pg_namespace WHERE oid = pg_catalog.pg_my_temp_schema()"
        )
        self.temporary_schema = rows[0][0] or ""

    @property
    def closed(self) -> bool:
        """Whether the connection, and with it every temporary table, is gone."""
        return self._connection.closed

    @property
    def transaction_status(self) -> str:
        """Of the last ReadyForQuery: I, T or E."""
        return self._connection.status

    def settings_unknown(self) -> None:
        """A rollback may have taken back settings: give all of them again."""
        self._applied = None

    async def configure(self, settings: Mapping[str, str]) -> None:
        """Give the backend exactly these settings over a fresh one's."""
        wanted = normalised(settings)
        if not self._roles:
            wanted.pop("role", None)
        if self._applied == wanted:
            return
        applied = self._applied if self._applied is not None else {}
        gone = (self._touched if self._applied is None else applied.keys()) - wanted.keys()
        changes = [f"pg_catalog.set_config({protocol.literal(n)}, NULL, false)" for n in gone]
        changes += [
            f"pg_catalog.set_config({protocol.literal(n)}, {protocol.literal(v)}, false)"
            for n, v in wanted.items()
            if self._applied is None or applied.get(n) != v
        ]
        self._touched |= wanted.keys()
        if changes:
            await self.command("SELECT " + ", ".join(changes))
        self._applied = wanted

    async def analyse(self, sql: str, parameter_oids: Sequence[int]) -> CatalogAnalysis:
        """Parse and describe one statement. Raises CatalogError with its position in ``sql``."""
        await self._settled()
        try:
            async with asyncio.timeout(self._deadline):
                self._connection.send(analysis_request(sql, parameter_oids), 1)
                return await read_analysis(self._connection, 0)
        except TimeoutError:
            raise timed_out() from None

    async def command(self, sql: str) -> list[tuple[str | None, ...]]:
        """Run statements of our own; their rows as text."""
        await self._settled()
        try:
            async with asyncio.timeout(self._deadline):
                if self._finished:
                    self._connection.send(self._closing() + protocol.SYNC, 1)
                    await self._connection.skip_to_ready()
                return await self._connection.execute(sql)
        except TimeoutError:
            raise timed_out() from None

    async def open(
        self,
        sql: str,
        parameter_oids: Sequence[int] = (),
        parameter_formats: Sequence[int] = (),
        parameters: Sequence[bytes | None] = (),
        result_formats: Sequence[int] = (),
        *,
        rows: int = FIRST_ROWS,
    ) -> PrivateResult:
        """Run one statement; where it returns rows, the first of them.

        Args:
            rows: how many of them at once; 0 is all.
        """
        self._portals += 1
        name = f"cubewire_{self._portals}"
        request = (
            protocol.parse(sql, parameter_oids)
            + protocol.bind(parameter_formats, parameters, result_formats, name)
            + protocol.describe_portal(name)
            + protocol.execute(name, rows)
            + protocol.SYNC
        )
        result = PrivateResult(self, name)
        await result.take(request)
        return result

    async def copy_out(self, sql: str) -> CatalogResult:
        """Run COPY ... TO STDOUT, to be read to its end before anything else."""
        await self._settled()
        self._connection.send(protocol.query(sql), 1)
        result = CatalogResult(self._connection, 0, extended=False)
        await result.begin()
        return result

    async def copy_in(self, sql: str, chunks: AsyncIterator[bytes | memoryview]) -> None:
        """Run COPY ... FROM STDIN with these CopyData messages.

        Whatever the messages' maker raises ends the COPY, and goes on.
        """
        await self._settled()
        connection = self._connection
        connection.send(protocol.query(sql), 1)
        message = await connection.receive()
        while message.kind not in (wire.COPY_IN_RESPONSE, wire.ERROR_RESPONSE):
            message = await connection.receive()
        if message.kind == wire.ERROR_RESPONSE:
            error = CatalogError.from_fields(protocol.fields_of(message.body))
            await connection.skip_to_ready()
            raise error
        try:
            async for chunk in chunks:
                connection.send(bytes(chunk))
                await connection.writable()
        except BaseException:
            if not connection.closed:
                connection.send(protocol.COPY_FAIL)
            await asyncio.shield(self._settled(cancel=False))
            raise
        connection.send(protocol.COPY_DONE)
        problem = await connection.skip_to_ready()
        if problem is not None:
            raise problem

    def finished(self, portal: str) -> None:
        """A portal is of no more use: close it with the next request, since it holds its tables."""
        self._finished.append(portal)

    async def exchange(self, request: bytes) -> AsyncIterator[Message]:
        """Send a request and pass on its answer, but ReadyForQuery, within the deadline."""
        await self._settled()
        connection = self._connection
        connection.send(self._closing() + request, 1)
        try:
            async with asyncio.timeout(self._deadline):
                while (message := await connection.receive()).kind != wire.READY_FOR_QUERY:
                    yield message
        except TimeoutError:
            raise timed_out() from None

    async def cancel(self) -> None:
        """Cancel what runs, if something does."""
        if self._connection.outstanding and not self._connection.closed:
            await self._connection.cancel()

    def close(self) -> None:
        """End the backend, and with it all that is temporary in it."""
        self._connection.close()

    def _closing(self) -> bytes:
        finished, self._finished = self._finished, []
        return b"".join(protocol.close_portal(portal) for portal in finished)

    async def _settled(self, *, cancel: bool = True) -> None:
        """Stop what was given up half way, so that the next answer is the next request's."""
        connection = self._connection
        if connection.closed:
            raise ConnectionLostError
        if not connection.outstanding:
            return
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                if cancel:
                    await connection.cancel()
                while connection.outstanding:
                    await connection.skip_to_ready()
        except TimeoutError:
            connection.abort()
            raise ConnectionLostError from None


class PrivateResult:
    """A result that is read piece by piece: an asynchronous iterator of (messages, their number).

    Attributes:
        fields: the columns; None of a statement that returns no rows.
        tag: the command tag, once it has run to its end.
        notices: NoticeResponse fields received and not yet passed on.
    """

    copy_formats: tuple[int, ...] | None = None

    def __init__(self, backend: PrivateBackend, portal: str) -> None:
        self._backend = backend
        self._portal = portal
        self._pieces: list[tuple[bytes, int]] = []
        self._next = FIRST_ROWS
        self.fields: tuple[FieldDescription, ...] | None = None
        self.tag = ""
        self.notices: list[dict[str, str]] = []
        self.done = False

    def __aiter__(self) -> AsyncIterator[tuple[bytes, int]]:
        return self

    async def __anext__(self) -> tuple[bytes, int]:
        if not self._pieces and not self.done:
            await self.take(protocol.execute(self._portal, self._next) + protocol.SYNC)
        if not self._pieces:
            raise StopAsyncIteration
        return self._pieces.pop(0)

    async def take(self, request: bytes) -> None:
        """Send a request and take in what it answers. Raises the statement's error."""
        problem: CatalogError | None = None
        size = rows = 0
        self.done = True
        async for message in self._backend.exchange(request):
            kind, body = message.kind, message.body
            if kind == wire.DATA_ROW:
                self._pieces.append((body, message.number))
                size, rows = size + len(body), rows + message.number
            elif kind == wire.ROW_DESCRIPTION:
                self.fields = fields_of_row(body)
            elif kind == wire.PORTAL_SUSPENDED:
                self.done = False
            elif kind == wire.COMMAND_COMPLETE:
                self.tag = body[:-1].decode()
            elif kind == wire.NOTICE_RESPONSE:
                self.notices.append(protocol.fields_of(body))
            elif kind == wire.ERROR_RESPONSE:
                problem = CatalogError.from_fields(protocol.fields_of(body))
        if self.done:
            self._backend.finished(self._portal)
        if rows:
            self._next = max(1, min(MOST_ROWS, PIECE_BYTES * rows // size))
        if problem is not None:
            self._pieces.clear()
            raise problem

    async def read_ahead(self, limit: int) -> int:
        """Read the rest now, since its transaction ends. How many bytes that is.

        Raises 53200 beyond ``limit`` bytes.
        """
        size = sum(len(body) for body, _ in self._pieces)
        kept: list[tuple[bytes, int]] = self._pieces
        while not self.done:
            self._pieces = []
            await self.take(protocol.execute(self._portal, self._next) + protocol.SYNC)
            size += sum(len(body) for body, _ in self._pieces)
            kept += self._pieces
            if size > limit:
                self._pieces = kept
                raise CatalogError(
                    "53200",
                    f"cursors over temporary tables would keep more than {limit} bytes of rows",
                    hint="Close them before the transaction ends, or raise "
                    "server.max_cursor_bytes.",
                )
        self._pieces = kept
        return size

    async def close(self) -> None:
        """Forget the rest. Idempotent."""
        self._pieces = []
        if self.done:
            return
        self.done = True
        self._backend.finished(self._portal)
