"""A statement of Athena: started, waited for, and read page by page, in worker threads."""

from __future__ import annotations

import datetime
import time
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa

from connectors.announcements import announced
from connectors.base import Parameter, ProbedColumn
from connectors.errors import WarehouseError
from connectors.placeholders import by_place
from connectors.python_rows import arrow_schema, numeric_modifier, record_batch
from connectors.tags import commented
from connectors.threaded import Chunk, StoppedError

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
"""Seconds between two questions whether a statement has ended."""
_PAGE_ROWS = 1000
"""The most that a page holds."""
_LONGEST_PARAMETER = 1024
_TYPES = {
    "boolean": "bool",
    "tinyint": "int2",
    "smallint": "int2",
    "integer": "int4",
    "bigint": "int8",
    "float": "float4",
    "real": "float4",
    "double": "float8",
    "varchar": "text",
    "date": "date",
}


@dataclass(frozen=True, slots=True)
class AthenaPlace:
    """Where statements run: what each of them is sent with."""

    catalog: str = ""
    database: str = ""
    work_group: str = ""
    output: str = ""
    tags: tuple[str, ...] = ()


class StatementFailedError(Exception):
    """Athena says that a statement has failed, and why."""


class AthenaSession:
    """See ``threaded_connector.Session``."""

    def __init__(self, client: Any, place: AthenaPlace) -> None:
        self.stopping = False
        self._client = client
        self._place = place
        self._statement = ""
        self._token: str | None = None
        self._columns: tuple[ProbedColumn, ...] = ()
        self._schema = pa.schema([])

    def open(self, sql: str, parameters: Sequence[Parameter], time_zone: str) -> Chunk:
        """Start a statement and read its first page."""
        text, order = by_place(sql, parameters, "?", backslashes=False)
        self._run(text, [_literal(parameter) for parameter in order])
        page = self._page(None)
        self._columns = _columns(page, announced(sql))
        self._schema = arrow_schema(self._columns)
        # The first row of the first page holds the columns' names.
        return self._chunk(page["ResultSet"]["Rows"][1:])

    def next(self, rows: int) -> Chunk:
        """The next page."""
        if self.stopping:
            raise StoppedError
        return self._chunk(self._page(self._token)["ResultSet"]["Rows"])

    def probe(self, sql: str) -> tuple[ProbedColumn, ...]:
        """Types of a SELECT that yields no rows."""
        self._run(f"SELECT * FROM ({sql}) AS probed LIMIT 0", [])
        return _columns(self._page(None), None)

    def ping(self) -> None:
        """One round trip that costs nothing."""
        self._client.get_work_group(WorkGroup=self._place.work_group or "primary")

    def interrupt(self) -> None:
        """Ask Athena to end the statement."""
        if self._statement:
            self._client.stop_query_execution(QueryExecutionId=self._statement)

    def close(self) -> None:
        """The client is shared, and a statement keeps nothing open."""
        self._token = None

    def _run(self, sql: str, values: list[str]) -> None:
        place = self._place
        context = {"Catalog": place.catalog, "Database": place.database}
        given: dict[str, Any] = {
            "QueryExecutionContext": {name: value for name, value in context.items() if value},
            "WorkGroup": place.work_group,
            "ResultConfiguration": {"OutputLocation": place.output} if place.output else None,
            "ExecutionParameters": values,
        }
        filled = {name: value for name, value in given.items() if value}
        text = commented(sql, place.tags)
        started = self._client.start_query_execution(QueryString=text, **filled)
        self._statement = started["QueryExecutionId"]
        pause = _FIRST_PAUSE
        while not self._has_ended():
            if self.stopping:
                self.interrupt()
                raise StoppedError
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _has_ended(self) -> bool:
        found = self._client.get_query_execution(QueryExecutionId=self._statement)
        status = found["QueryExecution"]["Status"]
        if status["State"] in ("FAILED", "CANCELLED"):
            raise StatementFailedError(str(status.get("StateChangeReason") or status["State"]))
        return bool(status["State"] == "SUCCEEDED")

    def _page(self, token: str | None) -> dict[str, Any]:
        more = {"NextToken": token} if token else {}
        page: dict[str, Any] = self._client.get_query_results(
            QueryExecutionId=self._statement, MaxResults=_PAGE_ROWS, **more
        )
        self._token = page.get("NextToken")
        return page

    def _chunk(self, rows: list[dict[str, Any]]) -> Chunk:
        finished = self._token is None
        found = [
            [_value(cell.get("VarCharValue"), column) for cell, column in zip(
                row["Data"], self._columns, strict=True
            )]
            for row in rows
        ]  # fmt: skip
        batch = record_batch(found, self._schema) if found else None
        return Chunk(self._schema, batch, finished)


def _columns(page: dict[str, Any], kinds: tuple[str, ...] | None) -> tuple[ProbedColumn, ...]:
    described = page["ResultSet"]["ResultSetMetadata"]["ColumnInfo"]
    if kinds is None:
        return tuple(_column(item) for item in described)
    if len(kinds) != len(described):
        raise WarehouseError("XX000", "the statement has other columns than it announces")
    return tuple(
        _column(item) if kind == "numeric" else ProbedColumn(str(item["Name"]), kind)
        for item, kind in zip(described, kinds, strict=True)
    )


def _column(item: dict[str, Any]) -> ProbedColumn:
    """A column of a result.

    Raises:
        WarehouseError: 0A000, the type has no exact counterpart, or its texts are not exact.
    """
    name, kind = str(item["Name"]), str(item["Type"])
    if kind == "decimal":
        modifier = numeric_modifier(int(item["Precision"]), int(item["Scale"]))
        return ProbedColumn(name, "numeric", modifier)
    # Results show milliseconds, of columns that may hold more; the dialect asks for their texts.
    found = {"timestamp": "timestamp", "timestamp with time zone": "timestamptz"}.get(kind)
    found = found or _TYPES.get(kind)
    if found is None:
        raise WarehouseError(
            "0A000",
            f'column "{name}" is of type {kind}, which no type of PostgreSQL holds exactly',
            hint="CAST it in the model, such as to varchar.",
        )
    return ProbedColumn(name, found)


def _value(text: str | None, column: ProbedColumn) -> object:
    """A value of its text."""
    kind = column.type_name
    if text is None or kind in ("text", "varchar"):
        return text
    if kind == "bool":
        return text == "true"
    if kind in ("int2", "int4", "int8"):
        return int(text)
    if kind in ("float4", "float8"):
        return float(text)
    if kind == "numeric":
        return Decimal(text)
    if kind == "date":
        return datetime.date.fromisoformat(text)
    moment = datetime.datetime.fromisoformat(text.removesuffix(" UTC"))
    return moment.replace(tzinfo=datetime.UTC) if kind == "timestamptz" else moment


_SPECIAL = {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}


def _literal(parameter: Parameter) -> str:
    """A value as Athena takes one: as a literal of its SQL."""
    value = parameter.value
    if value is None:
        return "NULL"
    if isinstance(value, bool | int):
        return str(value).lower()
    if isinstance(value, float):
        return f"double '{_SPECIAL.get(repr(value), repr(value))}'"
    if isinstance(value, datetime.datetime):
        if value.tzinfo is not None:
            value = value.astimezone(datetime.UTC).replace(tzinfo=None)
        value = value.isoformat(" ", "microseconds")
    elif isinstance(value, datetime.date):
        value = value.isoformat()
    if not isinstance(value, str) or len(value) > _LONGEST_PARAMETER - 2:
        raise WarehouseError(
            "0A000",
            f"this value of type {parameter.type_name} cannot be sent to an athena data source",
            hint="Write the value into the statement.",
            reached=False,
        )
    quoted = value.replace("'", "''")
    return f"'{quoted}'"
