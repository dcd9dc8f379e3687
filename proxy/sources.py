"""Row sources: where the rows of a portal come from, already encoded as DataRow messages.

Every source is pulled: the next chunk is fetched only when the client has room for it, so a client
that stops reading stops the warehouse's cursor (back-pressure).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Protocol

import pyarrow as pa

from connectors.base import BatchStream, RowStream
from proxy.catalog.backend import CatalogResult
from proxy.rows.encoded import EncodedRows, rows_from_messages
from proxy.rows.encoder import RowEncoder
from proxy.wire.backend import DataRow

ENCODE_INLINE_ROWS = 512
"""Batches up to this many rows are encoded on the event loop: a thread hop would cost more."""


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

    async def next_batch(self) -> pa.RecordBatch | None:
        """The next batch, None when there are no more."""
        return await anext(self._batches, None)

    async def close(self) -> None:
        """Stop the work in the warehouse. Idempotent."""
        await self._stream.close()


class WarehouseSource(BatchSource):
    """Arrow batches of a warehouse, encoded off the event loop when they are large."""

    def __init__(self, stream: BatchStream, encoder: RowEncoder) -> None:
        super().__init__(stream)
        self._encoder = encoder

    async def next_rows(self) -> EncodedRows | None:
        """See RowSource."""
        batch = await self.next_batch()
        if batch is None:
            return None
        if batch.num_rows <= ENCODE_INLINE_ROWS:
            return self._encoder.encode(batch)
        return await asyncio.to_thread(self._encoder.encode, batch)


class EncodedSource:
    """Rows that a PostgreSQL warehouse has encoded itself."""

    def __init__(self, stream: RowStream) -> None:
        self._stream = stream
        self._chunks = aiter(stream)

    async def next_rows(self) -> EncodedRows | None:
        """See RowSource."""
        chunk = await anext(self._chunks, None)
        return None if chunk is None else rows_from_messages(*chunk)

    async def close(self) -> None:
        """See RowSource."""
        await self._stream.close()


class CatalogSource:
    """Rows of the catalog PostgreSQL, relayed as they are; holds the lease of its backend."""

    def __init__(self, result: CatalogResult, lease: AsyncExitStack) -> None:
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
