"""Row sources: where the rows of a portal come from, already encoded as DataRow messages.

Every source is pulled: the next chunk is fetched only when the client has room for it, so a client
that stops reading stops the warehouse's cursor (back-pressure).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from typing import Protocol, TypeVar

import pyarrow as pa

from connectors.base import BatchStream, RowStream
from connectors.threads import finished_in_thread
from connectors.workers import be_nice
from proxy.catalog.backend import CatalogResult
from proxy.catalog.private import PrivateResult
from proxy.observability.stages import at_the_warehouse, stage
from proxy.rows.encoded import EncodedRows, rows_from_messages
from proxy.rows.encoder import RowEncoder
from proxy.rows.records import Record, with_records
from proxy.wire.backend import DataRow

T = TypeVar("T")

ENCODE_INLINE_ROWS = 512
"""Batches up to this many rows are encoded on the event loop: a thread hop would cost more."""

ENCODER_NICE = 10
"""Nice value of encoding threads: the event loop, and so every other client, goes first."""

_encoders = ThreadPoolExecutor(
    max(2, os.cpu_count() or 2),
    thread_name_prefix="encoder",
    initializer=be_nice,
    initargs=(ENCODER_NICE,),
)


async def in_encoder(encode: Callable[[pa.RecordBatch], T], batch: pa.RecordBatch) -> T:
    """Encode a large batch in a thread."""
    return await finished_in_thread(encode, batch, executor=_encoders)


class RowSource(Protocol):
    """An open result."""

    async def next_rows(self) -> EncodedRows | None:
        """The next rows, None when there are no more."""

    async def close(self) -> None:
        """Free what the result holds. Idempotent."""


class StaticSource:
    """A result known beforehand: SHOW, EXPLAIN."""

    def __init__(self, rows: Sequence[tuple[str | None, ...]]) -> None:
        self._rows: EncodedRows | None = None
        if rows:
            encoded = b"".join(
                DataRow(tuple(None if v is None else v.encode() for v in row)).encode()
                for row in rows
            )
            self._rows = rows_from_messages(encoded)

    async def next_rows(self) -> EncodedRows | None:
        """See RowSource."""
        rows, self._rows = self._rows, None
        return rows

    async def close(self) -> None:
        """See RowSource."""


class BatchSource:
    """Arrow batches of a warehouse."""

    def __init__(self, stream: BatchStream) -> None:
        self._stream = stream
        self._batches = aiter(stream)
        self._ahead: asyncio.Task[pa.RecordBatch | None] | None = None

    async def next_batch(self) -> pa.RecordBatch | None:
        """The next batch, None when there are no more."""
        ahead, self._ahead = self._ahead, None
        with at_the_warehouse():
            return await (anext(self._batches, None) if ahead is None else ahead)

    def fetch_ahead(self) -> None:
        """Let the warehouse make the next batch while this one is encoded: one ahead, no more."""
        self._ahead = asyncio.create_task(self._fetch(), name="batch ahead")

    async def close(self) -> None:
        """Stop the work in the warehouse. Idempotent."""
        ahead, self._ahead = self._ahead, None
        try:
            if ahead is not None:
                ahead.cancel()
                await asyncio.wait([ahead])
                if not ahead.cancelled():
                    ahead.exception()  # seen: nobody waits for this batch any more
        finally:
            await self._stream.close()

    async def _fetch(self) -> pa.RecordBatch | None:
        return await anext(self._batches, None)


class WarehouseSource(BatchSource):
    """Arrow batches of a warehouse, encoded off the event loop when they are large.

    Args:
        seen: given each batch before it is encoded.
    """

    def __init__(
        self,
        stream: BatchStream,
        encoder: RowEncoder,
        seen: Callable[[pa.RecordBatch], None] | None = None,
    ) -> None:
        super().__init__(stream)
        self._encoder = encoder
        self._seen = seen

    async def next_rows(self) -> EncodedRows | None:
        """See RowSource."""
        batch = await self.next_batch()
        if batch is None:
            return None
        if self._seen is not None:
            self._seen(batch)
        with stage("encode"):
            if batch.num_rows <= ENCODE_INLINE_ROWS:
                return self._encoder.encode(batch)
            self.fetch_ahead()
            return await in_encoder(self._encoder.encode, batch)


class EncodedSource:
    """Rows that a PostgreSQL warehouse has encoded itself."""

    def __init__(self, stream: RowStream) -> None:
        self._stream = stream
        self._chunks = aiter(stream)

    async def next_rows(self) -> EncodedRows | None:
        """See RowSource."""
        with at_the_warehouse():
            chunk = await anext(self._chunks, None)
        return None if chunk is None else rows_from_messages(*chunk)

    async def close(self) -> None:
        """See RowSource."""
        await self._stream.close()


class RecordSource:
    """Rows in which columns are put together as whole rows."""

    def __init__(self, source: RowSource, layout: Sequence[Record | None]) -> None:
        self._source = source
        self._layout = layout

    async def next_rows(self) -> EncodedRows | None:
        """See RowSource."""
        rows = await self._source.next_rows()
        if rows is None or rows.rows <= ENCODE_INLINE_ROWS:
            return None if rows is None else with_records(rows, self._layout)
        return await finished_in_thread(with_records, rows, self._layout, executor=_encoders)

    async def close(self) -> None:
        """See RowSource."""
        await self._source.close()


class CatalogSource:
    """Rows of the catalog PostgreSQL, relayed as they are; holds the lease of its backend."""

    def __init__(self, result: CatalogResult | PrivateResult, lease: AsyncExitStack) -> None:
        self.result = result
        self._chunks = aiter(result)
        self._lease = lease

    async def next_rows(self) -> EncodedRows | None:
        """See RowSource."""
        chunk = await anext(self._chunks, None)
        if chunk is None:
            await self.close()
            return None
        data, rows = chunk
        return rows_from_messages(data, rows)

    async def next_chunk(self) -> tuple[bytes, int] | None:
        """The same as whole messages, for COPY data that the catalog has formatted itself."""
        chunk = await anext(self._chunks, None)
        if chunk is None:
            await self.close()
        return chunk

    def tag(self, sent: int) -> str:
        """The catalog's own command tag, once the rows have been read."""
        return self.result.tag or f"COPY {sent}"

    async def close(self) -> None:
        """See RowSource."""
        await self._lease.aclose()


def own_source(result: PrivateResult) -> CatalogSource:
    """Rows of a session's own backend."""
    stack = AsyncExitStack()
    stack.push_async_callback(result.close)
    return CatalogSource(result, stack)
