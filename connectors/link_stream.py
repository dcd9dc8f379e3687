"""Arrow batches of a statement on a link."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

import pyarrow as pa

from connectors.link_statement import LinkStatement
from connectors.streams import Batches

RunT = TypeVar("RunT")


class LinkBatchStream(Batches, Generic[RunT]):
    """Runs of rows as they arrive, each decoded in a thread when it is asked for."""

    def __init__(
        self,
        statement: LinkStatement[Any],
        schema: pa.Schema,
        read: Callable[[], Awaitable[RunT | None]],
        decode: Callable[[RunT], pa.RecordBatch],
    ) -> None:
        super().__init__(statement, schema)
        self._next_run = read
        self._decode = decode

    async def _read(self) -> pa.RecordBatch | None:
        run = await self._next_run()
        if run is None:
            return None
        try:
            # Decoding holds the processor for a while: not on the event loop.
            return await asyncio.to_thread(self._decode, run)
        except BaseException:
            self._statement.stop("user")
            raise
