"""Arrow batches of a statement on a link."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Generic, TypeVar

import pyarrow as pa

from connectors.link_statement import LinkStatement

RunT = TypeVar("RunT")


class LinkBatchStream(Generic[RunT]):
    """Runs of rows as they arrive, each decoded in a thread when it is asked for."""

    def __init__(
        self,
        statement: LinkStatement[Any],
        schema: pa.Schema,
        read: Callable[[], Awaitable[RunT | None]],
        decode: Callable[[RunT], pa.RecordBatch],
    ) -> None:
        self._statement = statement
        self._schema = schema
        self._read = read
        self._decode = decode
        self._closed = False

    def __del__(self) -> None:
        self._statement.forget()

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of every batch."""
        return self._schema

    def __aiter__(self) -> AsyncIterator[pa.RecordBatch]:
        return self

    async def __anext__(self) -> pa.RecordBatch:
        if self._closed:
            raise StopAsyncIteration
        run = await self._read()
        if run is None:
            raise StopAsyncIteration
        try:
            # Decoding holds the processor for a while: not on the event loop.
            return await asyncio.to_thread(self._decode, run)
        except BaseException:
            self._statement.stop("user")
            raise

    async def close(self) -> None:
        """Stop the work and free its resources."""
        self._closed = True
        self._statement.stop("user")
        await self._statement.closed()
