"""A session of Databricks: one statement at a time, in worker threads, rows as Arrow."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from connectors.base import Parameter, ProbedColumn
from connectors.databricks_errors import warehouse_error
from connectors.errors import WarehouseError
from connectors.spark_types import bound_values, named_placeholders, postgres_type
from connectors.tags import tag_parts
from connectors.threaded import FIRST_ROWS, Chunk, StoppedError

_EXACT = r"SELECT CASE WHEN length('\\') = 1 THEN CAST('ANSI' AS INT) END"
"""Fails where the dialect's templates mean what they are meant to, and nowhere else."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 0.25
"""Seconds between two questions whether a statement has ended."""
_ZONE = "SET TIME ZONE 'UTC'"

_SIMPLE = {
    pa.bool_(): "boolean",
    pa.int8(): "tinyint",
    pa.int16(): "smallint",
    pa.int32(): "int",
    pa.int64(): "bigint",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.string(): "string",
    pa.large_string(): "string",
    pa.binary(): "binary",
    pa.date32(): "date",
    pa.null(): "void",
    pa.timestamp("us"): "timestamp_ntz",
}


class DatabricksSession:
    """See ``threaded_connector.Session``."""

    def __init__(self, connection: Any, tags: tuple[str, ...] = ()) -> None:
        self.stopping = False
        self._tags = tags
        self._connection = connection
        self._cursor: Any = None
        self._schema = pa.schema([])
        try:
            self._run(_ZONE)
            self._check_mode()
        except Exception:
            self.close()
            raise

    def open(self, sql: str, parameters: Sequence[Parameter], time_zone: str) -> Chunk:
        """Start a statement. The client's time zone is the compiler's affair."""
        self._run(named_placeholders(sql), bound_values(parameters))
        table = self._cursor.fetchmany_arrow(FIRST_ROWS)
        fields = [(field.name, _arrow_type(field)) for field in table.schema]
        self._schema = pa.schema(fields)
        return self._chunk(table, FIRST_ROWS)

    def next(self, rows: int) -> Chunk:
        """Read about that many more rows."""
        if self.stopping:
            raise StoppedError
        return self._chunk(self._cursor.fetchmany_arrow(rows), rows)

    def probe(self, sql: str) -> tuple[ProbedColumn, ...]:
        """Names and types of a SELECT, as Databricks analyses it."""
        self._run(f"DESCRIBE QUERY {sql}")
        columns = []
        for name, kind, *_ in self._cursor.fetchall():
            found, modifier, _arrow = postgres_type(str(name), str(kind))
            columns.append(ProbedColumn(str(name), found, modifier))
        self._end()
        return tuple(columns)

    def ping(self) -> None:
        """One round trip."""
        self._run("SELECT 1")
        self._end()

    def interrupt(self) -> None:
        """The thread that waits for the statement sees to it: the driver has one request a time."""

    def close(self) -> None:
        """Close the result and the session. Never raises."""
        with contextlib.suppress(Exception):
            self._end()
        with contextlib.suppress(Exception):
            self._connection.close()

    def _run(self, sql: str, values: dict[str, object] | None = None) -> None:
        self._end()
        cursor = self._cursor = self._connection.cursor()
        cursor.execute_async(
            sql, values or None, query_tags=tag_parts(self._tags, backslashes=True)
        )
        pause = _FIRST_PAUSE
        while cursor.is_query_pending():
            if self.stopping:
                cursor.cancel()
                raise StoppedError
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        cursor.get_async_execution_result()

    def _check_mode(self) -> None:
        try:
            self._run(_EXACT)
        except Exception as error:
            found = warehouse_error(error)
            if found.sqlstate == "22P02":
                return
            raise
        raise WarehouseError(
            "0A000",
            "the session is not in ANSI mode, or reads backslashes in literals in a way of its own",
            hint="Set ansi_mode=true among the settings of the data source.",
            reached=False,
        )

    def _chunk(self, table: pa.Table, wanted: int) -> Chunk:
        finished = table.num_rows < wanted
        if finished:
            self._end()
        if not table.num_rows:
            return Chunk(self._schema, None, finished)
        pairs = zip(table.columns, self._schema, strict=True)
        arrays = [column.cast(field.type).combine_chunks() for column, field in pairs]
        return Chunk(
            self._schema, pa.RecordBatch.from_arrays(arrays, schema=self._schema), finished
        )

    def _end(self) -> None:
        cursor, self._cursor = self._cursor, None
        if cursor is not None:
            cursor.close()


def _arrow_type(field: pa.Field) -> pa.DataType:
    return postgres_type(field.name, _simple_name(field.type))[2]


def _simple_name(kind: pa.DataType) -> str:
    """Spark's name of the type that comes as one of Arrow's."""
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return "timestamp"
    if pa.types.is_list(kind):
        return f"array<{_simple_name(kind.value_type)}>"
    return _SIMPLE.get(kind, str(kind))
