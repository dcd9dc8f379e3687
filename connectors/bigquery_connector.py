"""BigQuery, over Google's own client (the package ``google-cloud-bigquery``) in bounded threads."""

from __future__ import annotations

import contextlib
import datetime
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import google.api_core.exceptions
import google.auth.credentials
import google.auth.exceptions
import pyarrow as pa
from google.cloud import bigquery
from google.oauth2 import service_account

from connectors.announcements import announced
from connectors.base import Parameter, ProbedColumn
from connectors.errors import WarehouseError
from connectors.placeholders import by_place
from connectors.python_rows import arrow_schema, numeric_modifier, record_batch
from connectors.tags import PARTS, check_parts, label_text, tag_parts
from connectors.threaded import FIRST_ROWS, Chunk, StoppedError
from connectors.threaded_connector import ThreadedConnector, Threads


@dataclass(frozen=True, slots=True)
class BigQueryOptions:
    """Options of a ``bigquery`` data source.

    Attributes:
        project: that pays for the statements.
        dataset: of unqualified tables.
        location: of the jobs; empty for the data's own.
        credentials: the JSON of a service account's key; empty for the environment's own.
        endpoint: where it is not Google's, without credentials.
        tags: what is told of each statement by its job's labels.
        maximum_bytes: what a statement may read at most; 0 is any.
        quick_threads: statements that run at once in their first moment.
        slow_threads: statements that run at once after it.
        queue_seconds: how long a statement may wait for a thread before 53300.
        batch_rows: rows of a batch, after the first one.
    """

    project: str
    dataset: str = ""
    location: str = ""
    credentials: str = ""
    endpoint: str = ""
    tags: tuple[str, ...] = PARTS
    maximum_bytes: int = 0
    quick_threads: int = 8
    slow_threads: int = 16
    queue_seconds: float = 30.0
    batch_rows: int = 8192

    def __post_init__(self) -> None:
        check_parts(self.tags)


_TYPES = {
    "BOOL": "bool", "BOOLEAN": "bool", "INTEGER": "int8",  "FLOAT": "float8",
    "FLOAT64": "float8", "STRING": "text", "BYTES": "bytea", "DATE": "date",
    "DATETIME": "timestamp", "TIMESTAMP": "timestamptz", "JSON": "json",
}  # fmt: skip
_INTEGERS = ("int2", "int4", "int8")
_NUMERIC = (38, 9)


class BigQuerySession:
    """A client; each statement is a job of its own. See ``threaded_connector.Session``."""

    def __init__(self, client: Any, options: BigQueryOptions) -> None:
        self.stopping = False
        self._client = client
        self._options = options
        self._job: Any = None
        self._pages: Iterator[Any] = iter(())
        self._schema = pa.schema([])

    def open(self, sql: str, parameters: Sequence[Parameter], time_zone: str) -> Chunk:
        """Start a job and read its first page."""
        text, order = by_place(sql, parameters, "?", backslashes=True)
        self._job = self._client.query(text, job_config=self._settings(order))
        result = self._job.result(page_size=FIRST_ROWS)
        columns = [_column(field) for field in result.schema]
        kinds = announced(sql)
        if kinds is not None:
            columns = [_as_announced(*pair) for pair in zip(columns, kinds, strict=True)]
        self._schema = arrow_schema(columns)
        self._pages = result.pages
        return self.next(FIRST_ROWS)

    def next(self, rows: int) -> Chunk:
        """The next page."""
        if self.stopping:
            raise StoppedError
        page = next(self._pages, None)
        if page is None:
            self._job = None
            return Chunk(self._schema, None, finished=True)
        found = [tuple(map(_plain, row.values())) for row in page]
        return Chunk(self._schema, record_batch(found, self._schema) if found else None, False)

    def probe(self, sql: str) -> tuple[ProbedColumn, ...]:
        """Types of a SELECT, by a dry run."""
        settings = self._settings(())
        settings.dry_run = True
        settings.use_query_cache = False
        return tuple(map(_column, self._client.query(sql, job_config=settings).schema))

    def ping(self) -> None:
        """A dry run of a constant query."""
        self.probe("SELECT 1 AS a")

    def interrupt(self) -> None:
        """Cancel the job."""
        job = self._job
        if job is not None:
            job.cancel()

    def close(self) -> None:
        """Never raises."""
        with contextlib.suppress(Exception):
            self._client.close()

    def _settings(self, order: Sequence[Parameter]) -> Any:
        options = self._options
        make: Any = bigquery.QueryJobConfig
        parts = tag_parts(options.tags, backslashes=True).items()
        labels = {name: label_text(value.lower()) for name, value in parts}
        settings = make(use_legacy_sql=False, labels=labels)
        settings.query_parameters = [_bound(parameter) for parameter in order]
        if options.dataset:
            settings.default_dataset = f"{options.project}.{options.dataset}"
        if options.maximum_bytes:
            settings.maximum_bytes_billed = options.maximum_bytes
        return settings


def _plain(value: object) -> object:
    return json.dumps(value) if isinstance(value, dict | list) else value


def _column(field: Any) -> ProbedColumn:
    """A column of a result.

    Raises:
        WarehouseError: 0A000, the type has no exact counterpart.
    """
    kind = str(field.field_type)
    if field.mode != "REPEATED" and kind == "NUMERIC":
        size = (field.precision, field.scale or 0) if field.precision else _NUMERIC
        return ProbedColumn(field.name, "numeric", numeric_modifier(*size))
    found = None if field.mode == "REPEATED" else _TYPES.get(kind)
    if found is None:
        raise WarehouseError(
            "0A000",
            f'column "{field.name}" is of type {kind} ({field.mode}), which no type of PostgreSQL '
            "holds exactly",
            hint="CAST it in the model, such as to STRING or NUMERIC.",
        )
    return ProbedColumn(field.name, found)


def _as_announced(column: ProbedColumn, kind: str) -> ProbedColumn:
    """All integers are INT64, and whole numerics have nine decimals to BigQuery."""
    if kind in _INTEGERS and column.type_name == "int8":
        return ProbedColumn(column.name, kind)
    if kind == "numeric" and column.modifier == numeric_modifier(*_NUMERIC):
        return ProbedColumn(column.name, kind, numeric_modifier(38, 0))
    return replace(column, type_name=kind) if kind == "varchar" else column


_WHOLE: Any = bigquery.SqlParameterScalarTypes.INT64
_PARAMETERS: dict[str, Any] = {
    "bool": "BOOL",
    "float8": "FLOAT64",
    **dict.fromkeys(_INTEGERS, _WHOLE),
}


def _bound(parameter: Parameter) -> Any:
    """Numbers as they are; all else as texts, which the statement casts."""
    value: Any = parameter.value
    make: Any = bigquery.ScalarQueryParameter
    kind = _PARAMETERS.get(parameter.type_name)
    if kind is not None:
        return make(None, kind, value)
    if isinstance(value, datetime.datetime):
        if value.tzinfo is not None:
            value = value.astimezone(datetime.UTC).replace(tzinfo=None)
        value = value.isoformat(" ", "microseconds")
    elif isinstance(value, datetime.date):
        value = value.isoformat()
    if value is not None and not isinstance(value, str):
        raise WarehouseError(
            "0A000",
            f"a value of type {parameter.type_name} cannot be sent to a bigquery data source",
            hint="Write the value into the statement.",
            reached=False,
        )
    return make(None, "STRING", value)


class BigQueryConnector(ThreadedConnector):
    """A BigQuery project as a Connector."""

    def __init__(self, options: BigQueryOptions) -> None:
        threads = Threads.of(options)
        super().__init__("bigquery", self._open, warehouse_error, threads)
        self._options = options

    def _open(self) -> BigQuerySession:
        options = self._options
        given: dict[str, Any] = {}
        if options.endpoint:
            make: Any = google.auth.credentials.AnonymousCredentials
            given = {"credentials": make(), "client_options": {"api_endpoint": options.endpoint}}
        elif options.credentials:
            load: Any = service_account.Credentials.from_service_account_info
            given = {"credentials": load(json.loads(options.credentials))}
        client: Any = bigquery.Client
        location = options.location or None
        return BigQuerySession(client(options.project, location=location, **given), options)


# By the reasons that BigQuery gives.
_REASONS = {
    "accessDenied": "42501", "billingTierLimitExceeded": "53400", "bytesBilledLimitExceeded":
    "53400", "invalidQuery": "42601", "notFound": "42P01", "quotaExceeded": "53400",
    "rateLimitExceeded": "53300", "resourcesExceeded": "53200", "stopped": "57014",
}  # fmt: skip
_TEXTS = (
    ("division by zero", "22012"),
    ("overflow", "22003"),
    ("unrecognized name", "42703"),
    ("no matching signature", "42883"),
    ("function not found", "42883"),
    ("more than one element", "21000"),
    ("bad ", "22P02"),
)


def warehouse_error(error: Exception) -> WarehouseError:
    """The WarehouseError for whatever the client raised."""
    if isinstance(error, google.api_core.exceptions.GoogleAPICallError):
        first = (error.errors or [{}])[0]
        text = str(first.get("message") or error.message).partition("\n")[0]
        lower = text.lower()
        code = next((code for part, code in _TEXTS if part in lower), None)
        reason = str(first.get("reason", ""))
        return WarehouseError(code or _REASONS.get(reason, "XX000"), text)
    if isinstance(error, google.auth.exceptions.GoogleAuthError):
        return WarehouseError("28000", "the data source refused the login", reached=False)
    if isinstance(error, OSError | google.api_core.exceptions.GoogleAPIError):
        return WarehouseError(
            "08006", "the data source cannot be reached", detail=str(error), reached=False
        )
    return WarehouseError("XX000", str(error).partition("\n")[0] or type(error).__name__)
