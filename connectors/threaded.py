"""Statements of a warehouse whose driver blocks: steps in worker threads, stopping, timeout.

A connector of such a warehouse has a Reader (one connection, one statement at a time, used by one
thread at a time) and keeps its readers in ``Readers``. All else is here, the same for each.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import pyarrow as pa

from connectors.errors import WarehouseError, stop_error
from connectors.streams import Batches
from connectors.workers import Call, Workers, WorkersBusyError, WorkersClosedError

# An interrupt may arrive where a driver forgets it (DuckDB does while it plans), so it is sent
# again until it has worked.
INTERRUPT_EVERY_SECONDS = 0.02
LEAVE_SECONDS = 2.0
"""How long a step may go on that was told to stop. A driver that waits for a silent store hears no
interrupt; its thread is left to itself then."""
FIRST_ROWS = 2048
IDLE_READERS = 32


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one step of reading gave."""

    schema: pa.Schema
    batch: pa.RecordBatch | None
    finished: bool


class StoppedError(Exception):
    """The statement was told to stop between two steps."""


class _LeftError(Exception):
    """The step goes on, and is waited for no longer."""


class Reader(Protocol):
    """A connection to the warehouse with at most one open result.

    Attributes:
        stopping: set from another thread where the statement is to end at its next step.
    """

    stopping: bool

    def next(self, rows: int) -> Chunk:
        """Read about that many more rows."""

    def interrupt(self) -> None:
        """End the running step soon; called from another thread, perhaps many times."""

    def close(self) -> None:
        """Close the result and the connection. Never raises."""


R = TypeVar("R", bound=Reader)
Translate = Callable[[Exception], WarehouseError]
"""A driver's error as ours."""


def _followed(step: asyncio.Future[Chunk]) -> asyncio.Future[Chunk]:
    """What a step comes to; unlike a shield it may be ended before, also in the same moment."""
    waited: asyncio.Future[Chunk] = step.get_loop().create_future()

    def settle(step: asyncio.Future[Chunk]) -> None:
        if step.cancelled():
            waited.cancel()
        elif (error := step.exception()) is not None:
            if not waited.done():
                waited.set_exception(error)
        elif not waited.done():
            waited.set_result(step.result())

    step.add_done_callback(settle)
    return waited


class ThreadedStatement(Generic[R]):
    """One statement from before it starts until its reader is given back.

    One step runs at a time. Whoever stops the statement (the timer, a cancelled task, ``close``,
    the connector's end) only says why; the reader is given back once the step has ended. Who waits
    for that waits no longer than ``LEAVE_SECONDS``.
    """

    def __init__(
        self,
        reader: R,
        workers: Workers,
        give_back: Callable[[ThreadedStatement[R], bool], None],
        translate: Translate,
    ) -> None:
        self.reader = reader
        self._workers = workers
        self._give_back = give_back
        self._translate = translate
        self._call: Call[Chunk] | None = None
        self._waited: asyncio.Future[Chunk] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stopped: str | None = None
        self._cleanup: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._left: asyncio.Future[Any] = self._loop.create_future()
        self.ended = False

    def arm(self, timeout: float | None) -> None:
        """Stop the statement ``timeout`` seconds from now."""
        if timeout is not None:
            self._timer = self._loop.call_later(timeout, self.stop, "timeout")

    async def step(self, function: Callable[[R], Chunk]) -> Chunk:
        """Run one step in a worker thread."""
        self._check()
        if self._call is not None:
            raise WarehouseError("55006", "the statement is already being read")
        reader = self.reader
        call = self._call = self._workers.submit(lambda: function(reader))
        try:
            # The step's own future stays alive when the awaiting task is cancelled.
            self._waited = _followed(call.future)
            chunk = await self._waited
        except asyncio.CancelledError:
            self.stop("user")
            raise
        except _LeftError:
            raise stop_error(self._stopped or "shutdown") from None
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
        self._disarm()
        self._timer = self._loop.call_later(LEAVE_SECONDS, self._leave)
        self._interrupt(call)

    def forget(self) -> None:
        """Stop the work of a stream that was collected without being closed. Any thread."""
        if not self.ended:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self.stop, "user")

    async def closed(self) -> None:
        """Wait until the reader has been given back or closed, or the step was left to itself."""
        call = self._call
        if call is not None and not call.future.done():
            await asyncio.wait([call.future, self._left], return_when=asyncio.FIRST_COMPLETED)
        if self._cleanup is not None:
            await asyncio.wait([self._cleanup])

    def _interrupt(self, call: Call[Chunk]) -> None:
        if not call.future.done():
            self.reader.interrupt()
            pause = LEAVE_SECONDS if self._left.done() else INTERRUPT_EVERY_SECONDS
            self._loop.call_later(pause, self._interrupt, call)

    def _leave(self) -> None:
        self._left.set_result(None)
        if self._waited is not None and not self._waited.done():
            self._waited.set_exception(_LeftError())

    def _step_ended(self, future: asyncio.Future[Chunk]) -> None:
        if not future.cancelled():
            future.exception()  # seen, so that nothing is logged when the awaiting task has gone
        self._end(reusable=False)

    def _end(self, *, reusable: bool) -> None:
        if self.ended:
            return
        self.ended = True
        self._disarm()
        if reusable:
            self._give_back(self, True)
            return
        self._cleanup = self._loop.create_task(self._close_reader(), name="warehouse-cleanup")

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _close_reader(self) -> None:
        try:
            await self._workers.submit(self.reader.close, urgent=True).future
        finally:
            self._give_back(self, False)

    def _check(self) -> None:
        if self._stopped is not None:
            raise stop_error(self._stopped)

    def _translated(self, error: Exception, reason: str | None) -> WarehouseError:
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
        if isinstance(error, WarehouseError):
            return error
        return self._translate(error)


class Readers(Generic[R]):
    """The readers of a connector, and the statements that run in them.

    Args:
        workers: the threads that the readers are used in; closed with the readers.
        make: a new reader; called in the event loop, so it connects in its first step.
        translate: a driver's error as ours.
        idle: how many are kept for the next statements.
    """

    def __init__(
        self,
        workers: Workers,
        make: Callable[[], R],
        translate: Translate,
        idle: int = IDLE_READERS,
    ) -> None:
        self.workers = workers
        self._most_idle = idle
        self._make = make
        self._translate = translate
        self._idle: list[R] = []
        self.statements: set[ThreadedStatement[R]] = set()
        self._closed = False

    def statement(self, timeout: float | None = None) -> ThreadedStatement[R]:
        """A new statement in a reader of its own."""
        return self.statement_in(self.take(), self._take_back, timeout)

    def statement_in(
        self, reader: R, ended: Callable[[R, bool], None], timeout: float | None
    ) -> ThreadedStatement[R]:
        """A new statement in a reader; ``ended`` is told whether that can be used on, or closed."""

        def give_back(statement: ThreadedStatement[R], reusable: bool) -> None:
            self.statements.discard(statement)
            ended(reader, reusable)

        statement = ThreadedStatement(reader, self.workers, give_back, self._translate)
        self.statements.add(statement)
        statement.arm(timeout)
        return statement

    def take(self) -> R:
        """A reader for the caller alone, until it is kept or discarded."""
        return self._idle.pop() if self._idle else self._make()

    def keep(self, reader: R) -> None:
        """Have a reader with nothing open for the next statements."""
        if self._closed:
            reader.close()
        elif len(self._idle) < self._most_idle:
            self._idle.append(reader)
        else:
            self.discard(reader)

    def discard(self, reader: R) -> None:
        """Close a reader that nobody uses."""
        self.workers.submit(reader.close, urgent=True)

    async def close(self) -> None:
        """Stop what runs, close the readers, end the threads."""
        self._closed = True
        statements = list(self.statements)
        for statement in statements:
            statement.stop("shutdown")
        for statement in statements:
            await statement.closed()
        await self.workers.close()
        while self._idle:
            self._idle.pop().close()

    def _take_back(self, reader: R, reusable: bool) -> None:
        if reusable:
            self.keep(reader)


class ThreadedBatches(Batches, Generic[R]):
    """The batches of a statement, each made in a worker thread when it is asked for."""

    _statement: ThreadedStatement[R]

    def __init__(self, statement: ThreadedStatement[R], first: Chunk, batch_rows: int) -> None:
        super().__init__(statement, first.schema)
        self._first = first.batch
        self._finished = first.finished
        self._batch_rows = batch_rows
        self._rows = FIRST_ROWS

    async def _read(self) -> pa.RecordBatch | None:
        if self._first is not None:
            batch, self._first = self._first, None
            return batch
        if self._finished:
            return None
        # Small first, so that the first rows leave early; then larger, so that steps are few.
        rows = self._rows = min(self._rows * 4, self._batch_rows)
        chunk = await self._statement.step(lambda reader: reader.next(rows))
        self._finished = chunk.finished
        return chunk.batch

    async def close(self) -> None:
        """Stop the work and free its resources."""
        self._first = None
        await super().close()
