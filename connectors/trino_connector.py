"""Trino, over its own client (the package ``trino``) in bounded threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import requests
import trino.auth
import trino.dbapi
import trino.exceptions

from connectors.base import ProbedColumn
from connectors.dbapi_session import DbapiSession
from connectors.errors import WarehouseError
from connectors.tags import PARTS, check_parts, label_text, tag_parts
from connectors.threaded_connector import ThreadedConnector, Threads
from connectors.trino_types import postgres_column


@dataclass(frozen=True, slots=True)
class TrinoOptions:
    """Options of a ``trino`` data source.

    Attributes:
        host: of the coordinator.
        port: its port.
        user: whom statements run as.
        password: for basic authentication, which takes https; empty for none.
        token: a JWT instead.
        catalog: of unqualified tables.
        schema_name: of unqualified tables.
        https: whether the connection is encrypted.
        verify: whether the server's certificate is checked.
        source: what the coordinator shows beside a statement.
        tags: what it shows besides of each statement, by the client's tags.
        quick_threads: statements that run at once in their first moment.
        slow_threads: statements that run at once after it.
        queue_seconds: how long a statement may wait for a thread before 53300.
        request_seconds: how long one request may take.
        batch_rows: rows of a batch, after the first one.
    """

    host: str
    user: str
    port: int = 8080
    password: str = ""
    token: str = ""
    catalog: str = ""
    schema_name: str = ""
    https: bool = False
    verify: bool = True
    source: str = "cubewire"
    tags: tuple[str, ...] = PARTS
    quick_threads: int = 8
    slow_threads: int = 16
    queue_seconds: float = 30.0
    request_seconds: float = 30.0
    batch_rows: int = 8192

    def __post_init__(self) -> None:
        check_parts(self.tags)
        if (self.password or self.token) and not self.https:
            raise ValueError("a password or token is sent over https only")
        if self.password and self.token:
            raise ValueError("password and token exclude each other")


_LETTERS = "A-Za-z0-9_.@-"
"""Of a tag: a comma would end it."""


class TrinoSession(DbapiSession):
    """A client of the coordinator; each statement is a query of its own there."""

    source = "trino"

    def __init__(self, connect: Callable[[list[str]], Any], tags: tuple[str, ...]) -> None:
        super().__init__(connect([]))
        self._connect = connect
        self._tags = tags

    def run(self, sql: str, values: Any, time_zone: str) -> None:
        """See ``DbapiSession``. A connection is but settings, and has the tags of a statement."""
        parts = tag_parts(self._tags).items()
        self.connection = self._connect(
            [f"{name}:{label_text(value, _LETTERS, 120)}" for name, value in parts]
        )
        super().run(sql, values, time_zone)

    def columns(self, description: Sequence[Sequence[Any]]) -> tuple[ProbedColumn, ...]:
        """See ``DbapiSession``."""
        return tuple(postgres_column(str(item[0]), str(item[1])) for item in description)


class TrinoConnector(ThreadedConnector):
    """A Trino cluster as a Connector."""

    def __init__(self, options: TrinoOptions) -> None:
        threads = Threads.of(options)
        super().__init__("trino", self._open, warehouse_error, threads)
        self._options = options

    def _open(self) -> TrinoSession:
        options = self._options
        authentication: Any = None
        if options.password:
            authentication = trino.auth.BasicAuthentication(options.user, options.password)
        elif options.token:
            authentication = trino.auth.JWTAuthentication(options.token)
        connect: Any = partial(
            trino.dbapi.connect,
            host=options.host,
            port=options.port,
            user=options.user,
            catalog=options.catalog or None,
            schema=options.schema_name or None,
            source=options.source,
            http_scheme="https" if options.https else "http",
            auth=authentication,
            verify=options.verify,
            timezone="UTC",
            request_timeout=options.request_seconds,
            http_session=requests.Session(),
        )
        return TrinoSession(lambda tags: connect(client_tags=tags), options.tags)


# Trino's names of errors (StandardErrorCode).
_STATES = {
    "ACCESS_DENIED": "42501",
    "ADMINISTRATIVELY_KILLED": "57014",
    "AMBIGUOUS_NAME": "42702",
    "CATALOG_NOT_FOUND": "3D000",
    "CLUSTER_OUT_OF_MEMORY": "53200",
    "COLUMN_NOT_FOUND": "42703",
    "DIVISION_BY_ZERO": "22012",
    "EXCEEDED_CPU_LIMIT": "57014",
    "EXCEEDED_GLOBAL_MEMORY_LIMIT": "53200",
    "EXCEEDED_LOCAL_MEMORY_LIMIT": "53200",
    "EXCEEDED_TIME_LIMIT": "57014",
    "EXPRESSION_NOT_AGGREGATE": "42803",
    "FUNCTION_NOT_FOUND": "42883",
    "GENERIC_USER_ERROR": "22000",
    "INVALID_CAST_ARGUMENT": "22P02",
    "INVALID_FUNCTION_ARGUMENT": "22023",
    "MISSING_CATALOG_NAME": "3D000",
    "NOT_SUPPORTED": "0A000",
    "NUMERIC_VALUE_OUT_OF_RANGE": "22003",
    "QUERY_QUEUE_FULL": "53300",
    "SCHEMA_NOT_FOUND": "3F000",
    "SERVER_SHUTTING_DOWN": "57P01",
    "SERVER_STARTING_UP": "57P03",
    "SUBQUERY_MULTIPLE_ROWS": "21000",
    "SYNTAX_ERROR": "42601",
    "TABLE_NOT_FOUND": "42P01",
    "TOO_MANY_REQUESTS_FAILED": "08006",
    "TYPE_MISMATCH": "42804",
    "USER_CANCELED": "57014",
}


def warehouse_error(error: Exception) -> WarehouseError:
    """The WarehouseError for whatever the client raised."""
    if isinstance(error, trino.exceptions.TrinoQueryError):
        code = _STATES.get(error.error_name or "", "XX000")
        text = str(error.message or error.error_name)
        return WarehouseError(code, text.partition("\n")[0])
    if isinstance(error, trino.exceptions.TrinoAuthError):
        return WarehouseError("28000", "the data source refused the login", reached=False)
    if isinstance(error, requests.RequestException | trino.exceptions.TrinoConnectionError):
        return WarehouseError(
            "08006", "the data source cannot be reached", detail=str(error), reached=False
        )
    if isinstance(error, trino.exceptions.Error | trino.exceptions.HttpError):
        return WarehouseError("08006", str(error).partition("\n")[0])
    return WarehouseError("XX000", str(error).partition("\n")[0] or type(error).__name__)
