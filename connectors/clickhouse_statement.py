"""A statement on a ClickHouse: sending it, reading its Arrow messages, stopping it."""

from __future__ import annotations

import asyncio
import json
from collections import deque

import pyarrow as pa

from connectors.clickhouse_arrow import Canonical, MessageSplitter, needs_description
from connectors.clickhouse_errors import connection_error, server_error
from connectors.clickhouse_link import ClickHouseLink, Request
from connectors.errors import WarehouseError
from connectors.link_statement import LinkStatement
from connectors.streams import Batches

# Decoding a longer message would hold the event loop; a shorter one costs less than a thread.
INLINE_BYTES = 32 * 1024
FIRST_BATCH_ROWS = 4096
BATCH_ROWS = 65_536
# What is kept of a broken answer, whose end has the server's complaint.
COMPLAINT_BYTES = 64 * 1024
_COMPLAINT_MARK = b"__exception__"


class ClickHouseStatement(LinkStatement[ClickHouseLink]):
    """One statement from taking a place until giving it back."""

    _canonical: Canonical
    _schema: pa.Schema

    async def open(self, request: Request, time_zone: str) -> pa.Schema:
        """Run the statement; return its canonical schema when its first bytes have come."""
        self._splitter = MessageSplitter()
        self._messages: deque[bytes] = deque()
        try:
            await self._live().start(request)
            self._schema = _schema(await self._message())
            described = None
            if needs_description(self._schema):
                described = await self._describe(request)
            self._canonical = Canonical(self._schema, described, time_zone)
        except BaseException as error:
            self._failed(error)
            raise
        return self._canonical.schema

    async def columns(self, request: Request) -> list[tuple[str, str]]:
        """Names and ClickHouse types of a SELECT's columns, without running it."""
        try:
            link = self._live()
            found = await self._columns(link, request)
            await link.finish()
        except BaseException as error:
            self._failed(error)
            raise
        self.finish()
        return found

    async def batch(self) -> pa.RecordBatch | None:
        """The next batch as the server sent it; None at the end, when the place is given back."""
        try:
            while (message := await self._message()) is not None:
                batch = await self._decoded(message)
                if batch.num_rows:
                    return batch
        except BaseException as error:
            self._failed(error)
            raise
        return None

    async def _decoded(self, message: bytes) -> pa.RecordBatch:
        if len(message) <= INLINE_BYTES:
            return self._decode(message)
        return await asyncio.to_thread(self._decode, message)

    def _decode(self, message: bytes) -> pa.RecordBatch:
        try:
            batch = pa.ipc.read_record_batch(pa.py_buffer(message), self._schema)
        except pa.ArrowInvalid as error:
            raise connection_error(
                "the ClickHouse server's answer was broken off", reached=True
            ) from error
        return self._canonical.batch(batch)

    async def _message(self) -> bytes | None:
        """The next whole message; None after the last. Raises what the server complains of."""
        splitter = self._splitter
        while not self._messages:
            if self.ended:
                self._check()
                return None
            link = self._live()
            if splitter.finished or splitter.broken:
                await self._end_of_answer(link)
                return None
            try:
                piece = await link.read()
            except WarehouseError as error:
                complaint = _complaint(splitter.rest)
                raise error if complaint is None else complaint from None
            if not piece:
                splitter.broken = True
            self._messages += splitter.feed(piece)
        return self._messages.popleft()

    async def _end_of_answer(self, link: ClickHouseLink) -> None:
        """Read past the end of the stream, or past where it broke."""
        rest = self._splitter.rest
        lost: WarehouseError | None = None
        try:
            while piece := await link.read():
                rest = (rest + piece)[-COMPLAINT_BYTES:]
        except WarehouseError as error:
            lost = error
        complaint = _complaint(rest)
        if complaint is not None:
            raise complaint
        if lost is not None:
            raise lost
        if not self._splitter.finished:
            raise connection_error("the ClickHouse server's answer was broken off", reached=True)
        await link.finish()
        self.finish()

    async def _describe(self, request: Request) -> list[str]:
        return [kind for _, kind in await self._columns(self._live(), request)]

    @staticmethod
    async def _columns(link: ClickHouseLink, request: Request) -> list[tuple[str, str]]:
        asked = Request(f"DESCRIBE TABLE (\n{request.sql}\n)", request.values, request.settings)
        answer = json.loads(await link.text(asked, "JSONCompact"))
        return [(row[0], row[1]) for row in answer["data"]]

    def _failed(self, error: BaseException) -> None:
        """After an error the exchange is over; after a cancellation the work is stopped."""
        if isinstance(error, WarehouseError):
            self._drop()
        else:
            self.stop("user")


def _schema(message: bytes | None) -> pa.Schema:
    if message is None:
        raise WarehouseError("XX000", "the data source returned no columns")
    return pa.ipc.read_schema(pa.py_buffer(message))


def _complaint(data: bytes) -> WarehouseError | None:
    """The error that a server has written into its answer."""
    mark = data.find(_COMPLAINT_MARK)
    text = data[max(mark, 0) :].decode(errors="replace")
    start = text.find("Code: ")
    if start < 0 or "DB::Exception" not in text:
        return None
    return server_error(text[start:])


class ClickHouseBatchStream(Batches):
    """The server's batches, in pieces."""

    _statement: ClickHouseStatement

    def __init__(self, statement: ClickHouseStatement, schema: pa.Schema) -> None:
        super().__init__(statement, schema)
        self._pending: pa.RecordBatch | None = None
        self._rows = FIRST_BATCH_ROWS

    async def _read(self) -> pa.RecordBatch | None:
        batch = self._pending
        if batch is None:
            batch = await self._statement.batch()
        if batch is None:
            return None
        # Small first, so that the first rows leave early.
        rows, self._rows = self._rows, BATCH_ROWS
        self._pending = batch.slice(rows) if batch.num_rows > rows else None
        return batch.slice(0, rows)

    async def close(self) -> None:
        """Stop the work and free its resources."""
        self._pending = None
        await super().close()
