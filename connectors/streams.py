"""What is read of a running statement, whatever it runs on."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator
from typing import Generic, Protocol, TypeVar

import pyarrow as pa

ItemT = TypeVar("ItemT")


class Stoppable(Protocol):
    """A running statement."""

    def stop(self, reason: str) -> None:
        """Stop the work, for the first reason given. Returns at once."""

    def forget(self) -> None:
        """Stop the work of a stream that was collected without being closed. Any thread."""

    async def closed(self) -> None:
        """Wait until what the statement held is free."""


class Stream(Generic[ItemT]):
    """Items of a statement, each read when it is asked for."""

    def __init__(self, statement: Stoppable) -> None:
        self._statement = statement
        self._closed = False

    def __del__(self) -> None:
        self._statement.forget()

    def __aiter__(self) -> AsyncIterator[ItemT]:
        return self

    async def __anext__(self) -> ItemT:
        item = None if self._closed else await self._read()
        if item is None:
            raise StopAsyncIteration
        return item

    @abstractmethod
    async def _read(self) -> ItemT | None:
        """The next item; None at the end, and whenever it is asked for again."""

    async def close(self) -> None:
        """Stop the work and free its resources."""
        self._closed = True
        self._statement.stop("user")
        await self._statement.closed()


class Batches(Stream[pa.RecordBatch]):
    """Arrow batches of a statement."""

    def __init__(self, statement: Stoppable, schema: pa.Schema) -> None:
        super().__init__(statement)
        self._schema = schema

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of every batch."""
        return self._schema
