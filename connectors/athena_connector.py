"""Amazon Athena, over Amazon's own client (``boto3``) in bounded threads."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import boto3
import botocore.config
import botocore.exceptions

from connectors.athena_session import AthenaPlace, AthenaSession, StatementFailedError
from connectors.errors import WarehouseError
from connectors.tags import PARTS, check_parts
from connectors.threaded_connector import ThreadedConnector, Threads


@dataclass(frozen=True, slots=True)
class AthenaOptions:
    """Options of an ``athena`` data source.

    Attributes:
        region: of the service.
        work_group: that statements run in, engine version 3; empty for ``primary``.
        output: where results are stored (``s3://bucket/folder/``); empty for the work group's own.
        catalog: of unqualified databases; empty for the account's own.
        database: of unqualified tables.
        tags: what is told of each statement by a comment behind it.
        access_key: of a user; empty for the environment's own credentials.
        secret_key: belongs to it.
        session_token: belongs to a key that lasts for a while.
        endpoint: where it is not Amazon's own.
        request_seconds: how long one request may take.
        quick_threads: statements that run at once in their first moment.
        slow_threads: statements that run at once after it.
        queue_seconds: how long a statement may wait for a thread before 53300.
        batch_rows: rows of a batch, after the first one; a page has 1,000 at most.
    """

    region: str
    work_group: str = ""
    output: str = ""
    catalog: str = ""
    database: str = ""
    tags: tuple[str, ...] = PARTS
    access_key: str = ""
    secret_key: str = ""
    session_token: str = ""
    endpoint: str = ""
    request_seconds: float = 30.0
    quick_threads: int = 8
    slow_threads: int = 16
    queue_seconds: float = 30.0
    batch_rows: int = 1000

    def __post_init__(self) -> None:
        check_parts(self.tags)
        if bool(self.access_key) != bool(self.secret_key):
            raise ValueError("access_key and secret_key belong together")


class AthenaConnector(ThreadedConnector):
    """Athena in a region as a Connector."""

    def __init__(self, options: AthenaOptions) -> None:
        threads = Threads.of(options)
        super().__init__("athena", self._open, warehouse_error, threads)
        self._options = options
        self._lock = threading.Lock()
        self._client: Any = None

    def _open(self) -> AthenaSession:
        options = self._options
        place = AthenaPlace(
            options.catalog, options.database, options.work_group, options.output, options.tags
        )
        with self._lock:
            # One for all threads, which takes a while to be made.
            self._client = self._client or _client(options)
        return AthenaSession(self._client, place)


def _client(options: AthenaOptions) -> Any:
    settings = botocore.config.Config(
        connect_timeout=options.request_seconds,
        read_timeout=options.request_seconds,
        retries={"mode": "standard", "total_max_attempts": 3},
        max_pool_connections=options.quick_threads + options.slow_threads,
        user_agent_extra="cubewire",
    )
    session: Any = boto3.session.Session(
        aws_access_key_id=options.access_key or None,
        aws_secret_access_key=options.secret_key or None,
        aws_session_token=options.session_token or None,
        region_name=options.region,
    )
    return session.client("athena", endpoint_url=options.endpoint or None, config=settings)


# What Athena says of a statement that failed starts with its engine's name of the error.
_STATES = {
    "COLUMN_NOT_FOUND": "42703",
    "DIVISION_BY_ZERO": "22012",
    "EXCEEDED_LOCAL_MEMORY_LIMIT": "53200",
    "EXCEEDED_GLOBAL_MEMORY_LIMIT": "53200",
    "EXCEEDED_TIME_LIMIT": "57014",
    "EXPRESSION_NOT_AGGREGATE": "42803",
    "FUNCTION_NOT_FOUND": "42883",
    "INVALID_CAST_ARGUMENT": "22P02",
    "INVALID_FUNCTION_ARGUMENT": "22023",
    "NOT_SUPPORTED": "0A000",
    "NUMERIC_VALUE_OUT_OF_RANGE": "22003",
    "PERMISSION_DENIED": "42501",
    "SCHEMA_NOT_FOUND": "3F000",
    "SUBQUERY_MULTIPLE_ROWS": "21000",
    "SYNTAX_ERROR": "42601",
    "TABLE_NOT_FOUND": "42P01",
    "TYPE_MISMATCH": "42804",
}
_SERVICE = {
    "AccessDeniedException": "42501",
    "ExpiredTokenException": "28000",
    "InvalidRequestException": "42601",
    "TooManyRequestsException": "53300",
    "UnrecognizedClientException": "28000",
}


def warehouse_error(error: Exception) -> WarehouseError:
    """The WarehouseError for whatever the client raised."""
    if isinstance(error, StatementFailedError):
        text = str(error).partition("\n")[0]
        return WarehouseError(_STATES.get(text.partition(":")[0], "XX000"), text)
    if isinstance(error, botocore.exceptions.ClientError):
        found = error.response.get("Error", {})
        code = _SERVICE.get(str(found.get("Code")), "XX000")
        return WarehouseError(code, str(found.get("Message") or code).partition("\n")[0])
    if isinstance(error, botocore.exceptions.NoCredentialsError):
        return WarehouseError("28000", "there are no credentials for Athena", reached=False)
    if isinstance(error, botocore.exceptions.BotoCoreError):
        return WarehouseError(
            "08006", "the data source cannot be reached", detail=str(error), reached=False
        )
    return WarehouseError("XX000", str(error).partition("\n")[0] or type(error).__name__)
