"""What every connector is to the server: the Protocol that the conformance suite runs against."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import pyarrow as pa

from connectors.errors import WarehouseError

WAREHOUSE_TYPE = b"warehouse_type"
"""Metadata of a field of a batch: ``pg_type.typname``, where its values may come as their texts."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A typed value to bind.

    Attributes:
        type_name: ``pg_type.typname`` of the value's type (``int8``, ``_text``, ``timestamptz``).
        value: None, bool, int, float, Decimal, str, bytes, date, time, datetime, timedelta-like
            interval as its PostgreSQL text, UUID, or a list of these for an array. JSON and
            interval values are their PostgreSQL text.
    """

    type_name: str
    value: object


@dataclass(frozen=True, slots=True)
class ProbedColumn:
    """A column of a probed statement: its name, and the PostgreSQL type that stands for it."""

    name: str
    type_name: str
    modifier: int = -1


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a warehouse can do beyond the Protocol.

    Attributes:
        array_texts: an array may be given as its PostgreSQL text.
        encoded_rows: ``stream_rows`` yields PostgreSQL DataRow messages without decoding.
        exclusive_streams: a stream holds a connection or the like as long as it is open, also
            while nobody reads on, so that others wait for it.
        estimates: what is known before a statement runs: ``cost``, in units of the warehouse's own,
            ``bytes`` that it would read. Then the connector is an Estimator.
        snapshots: several statements can see one state of the data. Then the connector is a
            Snapshotter, and so is what reads its copies.
    """

    encoded_rows: bool = False
    array_texts: bool = False
    exclusive_streams: bool = True
    estimates: frozenset[str] = frozenset()
    snapshots: bool = False


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a statement is expected to take; None where the warehouse does not say."""

    cost: float | None = None
    bytes: int | None = None


class BatchStream(Protocol):
    """A running statement. The statement has started and its schema is known."""

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of every batch."""

    def __aiter__(self) -> AsyncIterator[pa.RecordBatch]:
        """Batches in order, none empty. The next is fetched only when asked for (back-pressure)."""

    async def close(self) -> None:
        """Stop the work in the warehouse and free its resources. Idempotent, never raises."""


class RowStream(Protocol):
    """A running statement whose rows arrive as PostgreSQL's DataRow messages, as they were sent."""

    @property
    def type_oids(self) -> tuple[int, ...]:
        """The ``pg_type.oid`` of each column, as the warehouse describes it."""

    def __aiter__(self) -> AsyncIterator[tuple[bytes, int]]:
        """Runs of whole DataRow messages with their number, none empty.

        The next is read only when asked for (back-pressure).
        """

    async def close(self) -> None:
        """Stop the work in the warehouse and free its resources. Idempotent, never raises."""


class Reader(Protocol):
    """What runs statements."""

    async def execute(
        self,
        sql: str,
        parameters: Sequence[Parameter] = (),
        *,
        time_zone: str = "UTC",
        timeout: float | None = None,
    ) -> BatchStream:
        """Start one statement; return when its schema is known.

        Cancelling the awaiting task stops the work in the warehouse, here and while iterating.
        ``timeout`` (seconds) spans the whole life of the stream: past it, iteration raises
        WarehouseError 57014. Raises WarehouseError with the SQLSTATE of the fault.
        """

    async def stream_rows(
        self,
        sql: str,
        parameters: Sequence[Parameter],
        result_formats: Sequence[int],
        *,
        time_zone: str = "UTC",
        timeout: float | None = None,
    ) -> RowStream:
        """As ``execute``, with rows as DataRow messages, columns in format 0 (text) or 1 (binary).

        Only where ``capabilities.encoded_rows``. Text is that of DateStyle ISO, IntervalStyle
        postgres, extra_float_digits 1 and bytea_output hex.
        """


class BatchesOnly:
    """``stream_rows`` of a warehouse whose rows come as Arrow batches."""

    async def stream_rows(
        self,
        sql: str,
        parameters: Sequence[Parameter],
        result_formats: Sequence[int],
        *,
        time_zone: str = "UTC",
        timeout: float | None = None,
    ) -> RowStream:
        """Not offered (0A000)."""
        raise WarehouseError("0A000", "the data source does not encode rows", reached=False)


class SnapshotReader(Protocol):
    """What runs statements that all see one state of the data, one after the other."""

    async def execute(
        self,
        sql: str,
        parameters: Sequence[Parameter] = (),
        *,
        time_zone: str = "UTC",
        timeout: float | None = None,
    ) -> BatchStream:
        """As ``Reader.execute``.

        The stream of the statement before has to be at its end (55006 where it is not). Where that
        was stopped, or the connection was lost, there is no such state any more (08006).
        """


class Connector(Reader, Protocol):
    """One warehouse. Safe for concurrent use from one event loop."""

    @property
    def dialect(self) -> str:
        """The name sqlglot has for the warehouse's dialect."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do beyond this Protocol."""

    async def start(self) -> None:
        """Open pools. Raises WarehouseError where the warehouse cannot be reached."""

    async def close(self) -> None:
        """Stop running statements and close everything. Idempotent."""

    async def probe(self, sql: str) -> tuple[ProbedColumn, ...]:
        """Column names and types of a SELECT without running it for rows (rule R4)."""

    async def health(self) -> None:
        """One cheap round trip. Raises WarehouseError where the warehouse does not answer."""


@runtime_checkable
class Notifier(Protocol):
    """A warehouse that can tell of events: what a Connector may be besides."""

    def notifications(self, channel: str) -> AsyncIterator[str | None]:
        """Payloads sent on a channel, without end; None where some may have been missed.

        A warehouse that is away is waited for. Close the iterator to stop.
        """


@runtime_checkable
class Estimator(Protocol):
    """A warehouse that tells what a statement would take without running it (a dry run)."""

    async def estimate(
        self,
        sql: str,
        parameters: Sequence[Parameter] = (),
        *,
        time_zone: str = "UTC",
        timeout: float | None = None,
    ) -> Estimate:
        """What ``capabilities.estimates`` names. Raises as ``Connector.execute``."""


@runtime_checkable
class Snapshotter(Protocol):
    """A warehouse several statements of which can see one state of its data."""

    def snapshot(
        self, *, timeout: float | None = None
    ) -> AbstractAsyncContextManager[SnapshotReader]:
        """Hold that state, and one connection, until the context is left.

        ``timeout`` (seconds) is for entering it. Entering raises as ``Connector.execute``; leaving
        raises 40001 where what was read turns out not to be of one state. Leaving it by an error
        raises nothing else.
        """


@runtime_checkable
class Severable(Protocol):
    """A warehouse whose running statements can be given up without its help."""

    def sever(self) -> None:
        """End every running statement with 08006: the warehouse has not answered for long."""


@runtime_checkable
class Replicated(Protocol):
    """A warehouse with copies that lag behind it, which what is asked of it never goes to."""

    def reader(self) -> Reader:
        """The same warehouse, its statements on the copies where these are fit for it."""

    def written(self) -> None:
        """Data have changed before now: copies that lack what was written are not read from."""

    def copies(self) -> Mapping[str, int]:
        """How many copies are ``fresh``, so read from, ``lagging``, and ``down``."""
