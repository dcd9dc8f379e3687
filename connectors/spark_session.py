"""A session on a Spark server: one statement at a time, in worker threads.

Spark Connect (gRPC) hands out Arrow batches. A session is in the time zone UTC, whatever that of
the client is; a statement is known on the server by a tag, by which it is interrupted.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
from pyspark.sql.connect.client.retries import DefaultPolicy
from pyspark.sql.connect.functions import lit
from pyspark.sql.connect.plan import SQL
from pyspark.sql.connect.session import SparkSession
from pyspark.sql.types import StructType

from connectors.base import Parameter, ProbedColumn
from connectors.errors import WarehouseError
from connectors.spark_types import bound_values, named_placeholders, postgres_type
from connectors.threaded import FIRST_ROWS, Chunk, StoppedError

# The client logs each error with the statement and its values. They are told to whom they concern.
logging.getLogger("SQLQueryContextLogger").disabled = True

# What the dialect's templates rely on: no configuration can change it.
_EXACT = (
    ("spark.sql.ansi.enabled", "true"),
    ("spark.sql.decimalOperations.allowPrecisionLoss", "false"),
    ("spark.sql.session.timeZone", "UTC"),
    ("spark.sql.parser.quotedRegexColumnNames", "false"),
)
_ESCAPED = "spark.sql.parser.escapedStringLiterals"
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class SparkSettings:
    """How to reach Spark: a URL of Spark Connect, settings of the session, its database or none."""

    url: str
    settings: tuple[tuple[str, str], ...] = ()
    catalog: str = ""
    database: str = ""


class SparkConnectSession:
    """A session with at most one open result."""

    def __init__(self, settings: SparkSettings) -> None:
        self.stopping = False
        self._tag = ""
        self._tables: Iterator[object] | None = None
        self._schema = pa.schema([])
        self._rest: pa.Table | None = None
        self._session = SparkSession.builder.remote(settings.url).create()
        self._session.client.set_retry_policies([_retries()])
        for name, value in (*settings.settings, *_EXACT):
            self._session.conf.set(name, value)
        if self._session.conf.get(_ESCAPED) == "true":
            raise WarehouseError(
                "0A000",
                "the Spark server reads backslashes in literals in a way of its own",
                hint=f"Set {_ESCAPED} to false there.",
            )
        if settings.catalog:
            self._session.catalog.setCurrentCatalog(settings.catalog)
        if settings.database:
            self._session.catalog.setCurrentDatabase(settings.database)

    def open(self, sql: str, parameters: Sequence[Parameter], time_zone: str) -> Chunk:
        """Start a statement. The client's time zone is the compiler's affair."""
        columns = self._columns(sql, parameters)
        self._schema = pa.schema([pa.field(name, kind) for name, _, _, kind in columns])
        self._check()
        self._tag = f"cubewire-{next(_numbers)}"
        self._session.clearTags()
        self._session.addTag(self._tag)
        client = self._session.client
        # What the public methods hand out is a whole table, or rows as Python objects.
        plan = _query(sql, parameters).to_proto(client)
        self._tables = iter(client.to_table_as_iterator(plan, {}))
        first = self.next(FIRST_ROWS)
        if first.finished or (self._rest is not None and self._rest.num_rows):
            return first
        # Asking again is quick where the batch was the last one, and makes it sure.
        self._rest = self._next_table()
        if self._rest is None:
            self._end()
        return replace(first, finished=self._rest is None)

    def next(self, rows: int) -> Chunk:
        """Read about that many more rows; a batch of Spark's is handed out in pieces."""
        self._check()
        table = self._rest
        while table is None or table.num_rows == 0:
            table = self._next_table()
            if table is None:
                self._end()
                return Chunk(self._schema, None, finished=True)
        piece, self._rest = table.slice(0, rows), table.slice(rows)
        return Chunk(self._schema, piece.combine_chunks().to_batches()[0], finished=False)

    def probe(self, sql: str) -> tuple[ProbedColumn, ...]:
        """Names and types of a SELECT, as Spark analyses it."""
        found = self._columns(sql, ())
        return tuple(ProbedColumn(name, kind, modifier) for name, kind, modifier, _ in found)

    def ping(self) -> None:
        """One round trip."""
        self._session.conf.get("spark.sql.ansi.enabled")

    def interrupt(self) -> None:
        """Ask the server to end the statement."""
        if self._tag:
            self._session.interruptTag(self._tag)

    def close(self) -> None:
        """Close the result and the session. Never raises."""
        client = self._session.client
        with contextlib.suppress(Exception):
            if self._tables is not None:
                self.interrupt()
            self._end()
        for release in (client.release_session, client.close):
            with contextlib.suppress(Exception):
                release()

    def _columns(
        self, sql: str, parameters: Sequence[Parameter]
    ) -> list[tuple[str, str, int, pa.DataType]]:
        """Columns with their types; in a subquery, where nothing but a query can stand."""
        client = self._session.client
        schema = client.schema(_query(f"SELECT * FROM (\n{sql}\n)", parameters).to_proto(client))
        return [
            (field.name, *postgres_type(field.name, field.dataType.simpleString()))
            for field in schema.fields
        ]

    def _next_table(self) -> pa.Table | None:
        for item in self._tables or ():
            if not isinstance(item, StructType):
                return self._typed(item)
        return None

    def _typed(self, table: pa.Table) -> pa.Table:
        pairs = zip(table.columns, self._schema, strict=True)
        arrays = [column.cast(field.type) for column, field in pairs]
        return pa.Table.from_arrays(arrays, schema=self._schema)

    def _end(self) -> None:
        tables, self._tables = self._tables, None
        self._rest = None
        close = getattr(tables, "close", None)
        if close is not None:
            close()

    def _check(self) -> None:
        if self.stopping:
            raise StoppedError


def _retries() -> DefaultPolicy:
    """About a second in all. The client's own would try for minutes while somebody waits."""
    return DefaultPolicy(max_retries=4, initial_backoff=50, max_backoff=500)


def _query(sql: str, parameters: Sequence[Parameter]) -> SQL:
    values = {name: lit(value) for name, value in bound_values(parameters).items()}
    return SQL(named_placeholders(sql), [], values, [])
