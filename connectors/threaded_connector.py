"""What connectors over blocking drivers share beyond ``threaded``: a connection a statement."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, cast

from connectors.base import (
    BatchesOnly,
    BatchStream,
    Capabilities,
    Parameter,
    ProbedColumn,
    SnapshotReader,
)
from connectors.errors import WarehouseError, checked_text, opened, stop_error
from connectors.snapshots import Snapshot
from connectors.tags import current_tag, tagged
from connectors.threaded import Chunk, Readers, ThreadedBatches, ThreadedStatement
from connectors.threaded_snapshot import Start, reader_snapshot
from connectors.workers import Lanes, Workers, WorkersClosedError


class Session(Protocol):
    """A connection of a blocking driver with at most one open result.

    All methods but ``interrupt`` are called by one thread at a time.

    Attributes:
        stopping: set from another thread where the statement is to end at its next step.
    """

    stopping: bool

    def open(self, sql: str, parameters: Sequence[Parameter], time_zone: str) -> Chunk:
        """Start a statement; return its schema and what rows are there already."""

    def next(self, rows: int) -> Chunk:
        """Read about that many more rows. Raises StoppedError, and what the driver raises."""

    def probe(self, sql: str) -> tuple[ProbedColumn, ...]:
        """Column names and types of a SELECT, without running it for rows."""

    def ping(self) -> None:
        """One cheap round trip."""

    def interrupt(self) -> None:
        """End what runs; may talk to the warehouse, and be called more than once."""

    def close(self) -> None:
        """Close the result and the connection. Never raises."""


class SnapshotSession(Session, Protocol):
    """A connection whose statements can see one state of the data."""

    def begin_snapshot(self) -> None:
        """Have the statements from now on see the state at hand, as a transaction does."""

    def end_snapshot(self) -> None:
        """Let go of it; the connection is then used for other statements."""


class ThreadOptions(Protocol):
    """Options of a data source whose driver blocks; see ``Threads``."""

    @property
    def quick_threads(self) -> int:
        """Statements at once in their first moment."""

    @property
    def slow_threads(self) -> int:
        """Statements at once after it."""

    @property
    def queue_seconds(self) -> float:
        """The wait for a thread before 53300."""

    @property
    def batch_rows(self) -> int:
        """Rows of a batch, after the first one."""


@dataclass(frozen=True, slots=True)
class Threads:
    """How many statements run at once, as the options of a data source say.

    Attributes:
        quick_threads: in their first moment.
        slow_threads: after it.
        queue_seconds: how long a statement may wait for a thread before 53300.
        batch_rows: rows of a batch, after the first one.
        local: an interrupt is nothing but a flag in this process, so that it may be repeated.
    """

    quick_threads: int = 8
    slow_threads: int = 16
    queue_seconds: float = 30.0
    batch_rows: int = 8192
    local: bool = False

    @classmethod
    def of(cls, options: ThreadOptions, *, local: bool = False) -> Threads:
        """What the options of a data source say."""
        return cls(
            options.quick_threads,
            options.slow_threads,
            options.queue_seconds,
            options.batch_rows,
            local,
        )

    def check(self) -> None:
        """Raises ValueError for numbers that make no sense."""
        if min(self.quick_threads, self.slow_threads, self.batch_rows) < 1:
            raise ValueError("quick_threads, slow_threads and batch_rows must be at least 1")
        if self.queue_seconds < 0:
            raise ValueError("queue_seconds cannot be negative")


class ThreadedConnector(BatchesOnly):
    """A Connector whose every statement has a connection of its own for as long as it runs.

    Args:
        dialect: the name sqlglot has for the warehouse's dialect.
        connect: opens a connection; runs in a thread.
        translate: the WarehouseError for what the driver raises.
        threads: how many run at once.
        snapshots: the connections are SnapshotSessions.
    """

    capabilities = Capabilities(exclusive_streams=False)

    def __init__(
        self,
        dialect: str,
        connect: Callable[[], Session],
        translate: Callable[[Exception], WarehouseError],
        threads: Threads,
        *,
        snapshots: bool = False,
    ) -> None:
        threads.check()
        if snapshots:
            self.capabilities = replace(self.capabilities, snapshots=True)
        self.dialect = dialect
        self._connect = connect
        self._translate = translate
        self._threads = threads
        self._readers: Readers[SessionReader] | None = None
        self._closed = False

    async def start(self) -> None:
        """Make a first round trip. A second call does nothing."""
        if self._readers is not None:
            return
        limits = self._threads
        lanes = Lanes(limits.quick_threads, limits.slow_threads, limits.queue_seconds)
        self._readers = Readers(
            Workers(self.dialect, lanes),
            lambda: SessionReader(self._connect, local=limits.local),
            self._translate,
        )
        try:
            await self.health()
        except WarehouseError as error:
            raise WarehouseError(
                "08001",
                f"cannot open the data source: {error.message}",
                detail=error.detail,
                hint=error.hint,
                reached=False,
            ) from error

    async def close(self) -> None:
        """Stop running statements and close every connection. Idempotent."""
        self._closed = True
        if self._readers is not None:
            await self._readers.close()

    async def execute(
        self,
        sql: str,
        parameters: Sequence[Parameter] = (),
        *,
        time_zone: str = "UTC",
        timeout: float | None = None,
    ) -> BatchStream:
        """Start one statement; return when its schema is known."""
        return await self._batches(self._statement, sql, parameters, time_zone, timeout)

    @asynccontextmanager
    async def snapshot(self, *, timeout: float | None = None) -> AsyncIterator[SnapshotReader]:
        """See ``connectors.base.Snapshotter``; only where ``capabilities.snapshots``."""
        if not self.capabilities.snapshots:
            raise WarehouseError("0A000", "the data source has no snapshots", reached=False)
        transaction = reader_snapshot(
            self._open_readers(),
            lambda reader: cast("SnapshotSession", reader.session()).begin_snapshot(),
            lambda reader: cast("SnapshotSession", reader.session()).end_snapshot(),
            timeout,
        )
        async with transaction as start:
            yield Snapshot(partial(self._batches, start))

    async def _batches(
        self,
        start: Start[SessionReader],
        sql: str,
        parameters: Sequence[Parameter],
        time_zone: str,
        timeout: float | None,
    ) -> BatchStream:
        checked_text(sql)
        statement = start(timeout)
        tag = current_tag()

        def begin(reader: SessionReader) -> Chunk:
            with tagged(tag):
                return reader.session().open(sql, parameters, time_zone)

        first = await statement.step(begin)
        return ThreadedBatches(statement, first, self._threads.batch_rows)

    async def probe(self, sql: str) -> tuple[ProbedColumn, ...]:
        """Column names and types of a SELECT."""
        checked_text(sql)
        columns: list[ProbedColumn] = []

        def ask(reader: SessionReader) -> Chunk:
            columns.extend(reader.session().probe(sql))
            return Chunk(None, None, finished=True)

        await self._statement().step(ask)
        return tuple(columns)

    async def health(self) -> None:
        """One cheap round trip in a connection of its own, past any queue."""
        readers = self._open_readers()

        def ask() -> None:
            session = self._connect()
            try:
                session.ping()
            finally:
                session.close()

        try:
            await readers.workers.submit(ask, urgent=True).future
        except WorkersClosedError:
            raise stop_error("shutdown") from None
        except WarehouseError:
            raise
        except Exception as error:
            raise self._translate(error) from error

    def _open_readers(self) -> Readers[SessionReader]:
        return opened(self._readers, closed=self._closed)

    def _statement(self, timeout: float | None = None) -> ThreadedStatement[SessionReader]:
        return self._open_readers().statement(timeout)


class SessionReader:
    """A connection that is opened by the thread of its first step."""

    def __init__(self, connect: Callable[[], Session], *, local: bool) -> None:
        self._connect = connect
        self._local = local
        self._session: Session | None = None
        self._stopping = False
        self._interrupted = False

    @property
    def stopping(self) -> bool:
        """Whether the statement is to end at its next step."""
        return self._stopping

    @stopping.setter
    def stopping(self, value: bool) -> None:
        self._stopping = value
        if self._session is not None:
            self._session.stopping = value

    def session(self) -> Session:
        """The connection."""
        if self._session is None:
            self._session = self._connect()
            self._session.stopping = self._stopping
        return self._session

    def next(self, rows: int) -> Chunk:
        """See ``threaded.Reader``."""
        return self.session().next(rows)

    def interrupt(self) -> None:
        """See ``threaded.Reader``; what takes a message to the warehouse is sent once."""
        if self._session is None:
            return
        if self._local:
            self._session.interrupt()
        elif not self._interrupted:
            self._interrupted = True
            threading.Thread(target=_interrupt, args=[self._session], daemon=True).start()

    def close(self) -> None:
        """See ``threaded.Reader``."""
        if self._session is not None:
            self._session.close()


def _interrupt(session: Session) -> None:
    with contextlib.suppress(Exception):  # the statement's own step says how it ended
        session.interrupt()
