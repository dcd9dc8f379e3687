"""A connection of a DB-API driver with at most one open result, in worker threads."""

from __future__ import annotations

import contextlib
import datetime
import time
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from connectors.base import Parameter, ProbedColumn
from connectors.errors import WarehouseError
from connectors.placeholders import by_place
from connectors.python_rows import arrow_schema, record_batch
from connectors.threaded import FIRST_ROWS, Chunk, StoppedError

_PIECE_ROWS = 1024
_CHUNK_SECONDS = 0.005


class DbapiSession:
    """See ``threaded_connector.Session``; a subclass says what differs between drivers.

    Attributes:
        source: the kind of data source, for messages.
        mark: the driver's placeholder.
        backslashes: whether a backslash escapes what follows it in the dialect's texts.
    """

    source: str
    mark = "?"
    backslashes = False

    def __init__(self, connection: Any) -> None:
        self.stopping = False
        self.connection = connection
        self.cursor: Any = None
        self._schema = pa.schema([])

    @abstractmethod
    def columns(self, description: Sequence[Sequence[Any]]) -> tuple[ProbedColumn, ...]:
        """A cursor's description in PostgreSQL's types.

        Raises:
            WarehouseError: 0A000, a type has no exact counterpart; with its column's name.
        """

    def bound(self, parameter: Parameter) -> object:
        """Numbers as they are; moments as texts, which the statement casts."""
        value = parameter.value
        if isinstance(value, datetime.datetime):
            if value.tzinfo is not None:
                value = value.astimezone(datetime.UTC).replace(tzinfo=None)
            return value.isoformat(" ", "microseconds")
        if isinstance(value, datetime.date):
            return value.isoformat()
        if value is None or isinstance(value, bool | int | float | str):
            return value
        raise WarehouseError(
            "0A000",
            f"a value of type {parameter.type_name} cannot be sent to a {self.source} data source",
            hint="Write the value into the statement.",
            reached=False,
        )

    def placed(self, sql: str, parameters: Sequence[Parameter]) -> tuple[str, Any]:
        """A statement with the driver's placeholders, and the values as the driver takes them."""
        text, order = by_place(sql, parameters, self.mark, backslashes=self.backslashes)
        return text, [self.bound(parameter) for parameter in order]

    def run(self, sql: str, values: Any, time_zone: str) -> None:
        """Start a statement in a new cursor."""
        self.cursor = self.connection.cursor()
        self.cursor.execute(sql, values or None)

    def open(self, sql: str, parameters: Sequence[Parameter], time_zone: str) -> Chunk:
        """Start a statement and read its first rows."""
        self.run(*self.placed(sql, parameters), time_zone)
        if self.cursor.description is None:
            raise WarehouseError("42501", "only a single SELECT statement may be run")
        self._schema = arrow_schema(self.columns(self.cursor.description))
        return self.next(FIRST_ROWS)

    def next(self, rows: int) -> Chunk:
        """Read about that many more rows."""
        if self.cursor is None:
            raise WarehouseError("XX000", "the result is not open")
        found: list[Sequence[object]] = []
        deadline = time.perf_counter() + _CHUNK_SECONDS
        finished = False
        while len(found) < rows and not finished:
            if self.stopping:
                raise StoppedError
            piece = self.read(_PIECE_ROWS)
            found += piece
            finished = len(piece) < _PIECE_ROWS
            if found and time.perf_counter() > deadline:
                break
        if finished:
            self.end()
        batch = record_batch(found, self._schema) if found else None
        return Chunk(self._schema, batch, finished)

    def read(self, rows: int) -> list[Sequence[object]]:
        """That many more rows of the cursor, fewer at their end."""
        found: list[Sequence[object]] = self.cursor.fetchmany(rows)
        return found

    def probe(self, sql: str) -> tuple[ProbedColumn, ...]:
        """Types of a SELECT that yields no rows."""
        self.run(f"SELECT * FROM ({sql}) AS probed LIMIT 0", [], "UTC")
        self.cursor.fetchall()
        found = self.columns(self.cursor.description)
        self.end()
        return found

    def ping(self) -> None:
        """One cheap round trip."""
        self.run("SELECT 1", [], "UTC")
        self.cursor.fetchall()
        self.end()

    def interrupt(self) -> None:
        """End what runs; takes a message to the warehouse."""
        cursor = self.cursor
        if cursor is not None:
            cursor.cancel()

    def end(self) -> None:
        """Close the result."""
        cursor, self.cursor = self.cursor, None
        if cursor is not None:
            cursor.close()

    def close(self) -> None:
        """Close the result and the connection. Never raises."""
        with contextlib.suppress(Exception):
            self.end()
        with contextlib.suppress(Exception):
            self.connection.close()
