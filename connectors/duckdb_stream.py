"""A running DuckDB statement in the event loop: steps in worker threads, stopping, timeout."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pyarrow as pa

from connectors.duckdb_errors import warehouse_error
from connectors.duckdb_reader import VECTOR_ROWS, Chunk, DuckDBReader
from connectors.errors import WarehouseError, stop_error
from connectors.workers import Call, Workers, WorkersBusyError, WorkersClosedError

# DuckDB forgets an interrupt that arrives while it plans, so it is sent again until it has worked.
INTERRUPT_EVERY_SECONDS = 0.02


class DuckDBStatement:
    """One statement from before it starts until its connection is given back.

    One step runs at a time. Whoever stops the statement (the timer, a cancelled task, ``close``,
    the connector's end) only says why; the connection is given back once the step has ended.
    """

    def __init__(
        self,
        reader: DuckDBReader,
        workers: Workers,
        give_back: Callable[[DuckDBStatement, bool], None],
    ) -> None:
        self.reader = reader
        self._workers = workers
        self._give_back = give_back
        self._call: Call[Chunk] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stopped: str | None = None
        self._cleanup: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self.ended = False

    def arm(self, timeout: float | None) -> None:
        """Stop the statement ``timeout`` seconds from now."""
        if timeout is not None:
            self._timer = self._loop.call_later(timeout, self.stop, "timeout")

    async def step(self, function: Callable[[DuckDBReader], Chunk]) -> Chunk:
        """Run one step in a worker thread."""
        self._check()
        if self._call is not None:
            raise WarehouseError("55006", "the statement is already being read")
        reader = self.reader
        call = self._call = self._workers.submit(lambda: function(reader))
        try:
            # The shield keeps the step's own future alive when the awaiting task is cancelled.
            chunk = await asyncio.shield(call.future)
        except asyncio.CancelledError:
            self.stop("user")
            raise
        except Exception as error:
            self._call = None
            reason = self._stopped
            self._end(reusable=False)
            raise self._translated(error, reason) from error
        self._call = None
        if self._stopped is not None:
            self._end(reusable=False)
        self._check()
        if chunk.finished:
            self._end(reusable=True)
        return chunk

    def stop(self, reason: str) -> None:
        """Stop the work, for the first reason given. Returns at once."""
        if self.ended or self._stopped is not None:
            return
        self._stopped = reason
        self.reader.stopping = True
        call = self._call
        if call is None or self._workers.withdraw(call):
            self._end(reusable=False)
            return
        call.future.add_done_callback(self._step_ended)
        self._interrupt(call)

    def forget(self) -> None:
        """Stop the work of a stream that was collected without being closed. Any thread."""
        if not self.ended:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self.stop, "user")

    async def closed(self) -> None:
        """Wait until the connection has been given back or closed."""
        call = self._call
        if call is not None and not call.future.done():
            await asyncio.wait([call.future])
        if self._cleanup is not None:
            await asyncio.wait([self._cleanup])

    def _interrupt(self, call: Call[Chunk]) -> None:
        if not call.future.done():
            self.reader.connection.interrupt()
            self._loop.call_later(INTERRUPT_EVERY_SECONDS, self._interrupt, call)

    def _step_ended(self, future: asyncio.Future[Chunk]) -> None:
        if not future.cancelled():
            future.exception()  # seen, so that nothing is logged when the awaiting task has gone
        self._end(reusable=False)

    def _end(self, *, reusable: bool) -> None:
        if self.ended:
            return
        self.ended = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if reusable:
            self._give_back(self, True)
            return
        self._cleanup = self._loop.create_task(self._close_reader(), name="duckdb-cleanup")

    async def _close_reader(self) -> None:
        try:
            await self._workers.submit(self.reader.close, urgent=True).future
        finally:
            self._give_back(self, False)

    def _check(self) -> None:
        if self._stopped is not None:
            raise stop_error(self._stopped)

    @staticmethod
    def _translated(error: Exception, reason: str | None) -> WarehouseError:
        if reason is not None:
            return stop_error(reason)
        if isinstance(error, WorkersBusyError):
            return WarehouseError(
                "53300",
                "the warehouse is busy: no worker became free in time",
                hint="Raise queue_seconds, quick_threads or slow_threads of the data source.",
                reached=False,
            )
        if isinstance(error, WorkersClosedError):
            return stop_error("shutdown")
        return warehouse_error(error)


class DuckDBBatchStream:
    """The batches of a statement, each made in a worker thread when it is asked for."""

    def __init__(self, statement: DuckDBStatement, first: Chunk, batch_rows: int) -> None:
        self._statement = statement
        self._schema = first.schema
        self._first = first.batch
        self._finished = first.finished
        self._batch_rows = batch_rows
        self._rows = VECTOR_ROWS
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
        if self._first is not None:
            batch, self._first = self._first, None
            return batch
        if self._finished:
            raise StopAsyncIteration
        # Small first, so that the first rows leave early; then larger, so that steps are few.
        rows = self._rows = min(self._rows * 4, self._batch_rows)
        chunk = await self._statement.step(lambda reader: reader.next(rows))
        self._finished = chunk.finished
        if chunk.batch is None:
            raise StopAsyncIteration
        return chunk.batch

    async def close(self) -> None:
        """Stop the work and free its resources."""
        self._closed = True
        self._first = None
        self._statement.stop("user")
        await self._statement.closed()
