"""Snowflake, over its own driver (``snowflake-connector-python``) in bounded threads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import snowflake.connector
import snowflake.connector.errors

from connectors.announcements import announced
from connectors.base import Parameter, ProbedColumn
from connectors.dbapi_session import DbapiSession
from connectors.errors import WarehouseError
from connectors.python_rows import numeric_modifier
from connectors.tags import PARTS, check_parts, tag_parts
from connectors.threaded import Chunk
from connectors.threaded_connector import ThreadedConnector, Threads


@dataclass(frozen=True, slots=True)
class SnowflakeOptions:
    """Options of a ``snowflake`` data source.

    Attributes:
        account: its identifier.
        user: the login.
        password: its password; empty with another authenticator.
        private_key_file: for key-pair authentication, a PEM file.
        private_key_password: of that file.
        token: for ``authenticator: oauth`` or a programmatic access token.
        authenticator: as the driver names it; empty for its default.
        role: that statements run as.
        warehouse: that computes.
        database: of unqualified tables.
        schema_name: of unqualified tables.
        host: where it is not the account's own.
        port: of that host.
        protocol: of that host.
        query_tag: what the query history shows.
        tags: what it shows besides of each statement.
        login_seconds: how long logging in may take.
        quick_threads: statements that run at once in their first moment.
        slow_threads: statements that run at once after it.
        queue_seconds: how long a statement may wait for a thread before 53300.
        batch_rows: rows of a batch, after the first one.
    """

    account: str
    user: str
    password: str = ""
    private_key_file: str = ""
    private_key_password: str = ""
    token: str = ""
    authenticator: str = ""
    role: str = ""
    warehouse: str = ""
    database: str = ""
    schema_name: str = ""
    host: str = ""
    port: int = 443
    protocol: str = "https"
    query_tag: str = "cubewire"
    tags: tuple[str, ...] = PARTS
    login_seconds: float = 30.0
    quick_threads: int = 8
    slow_threads: int = 16
    queue_seconds: float = 30.0
    batch_rows: int = 8192

    def __post_init__(self) -> None:
        check_parts(self.tags)
        if not (self.password or self.private_key_file or self.token or self.authenticator):
            raise ValueError("password, private_key_file, token or authenticator is needed")


_FIXED = 0
_TYPES = {
    1: "float8",
    2: "text",
    3: "date",
    6: "timestamptz",
    7: "timestamptz",
    8: "timestamp",
    11: "bytea",
    13: "bool",
}
_NAMES = {4: "TIMESTAMP", 5: "VARIANT", 9: "OBJECT", 10: "ARRAY", 12: "TIME"}
_INTEGERS = ("int2", "int4", "int8")
_BIGINT_DIGITS = 18


class SnowflakeSession(DbapiSession):
    """A session in Snowflake."""

    source = "snowflake"
    backslashes = True

    def __init__(self, connection: Any, options: SnowflakeOptions) -> None:
        super().__init__(connection)
        self._options = options
        self._announced: tuple[str, ...] | None = None

    def open(self, sql: str, parameters: Sequence[Parameter], time_zone: str) -> Chunk:
        """See ``DbapiSession``; the statement says which numbers are integers."""
        self._announced = announced(sql)
        return super().open(sql, parameters, time_zone)

    def run(self, sql: str, values: Any, time_zone: str) -> None:
        """See ``DbapiSession``."""
        parts = tag_parts(self._options.tags, self._options.query_tag, backslashes=True)
        tag = json.dumps(parts) if len(parts) > 1 else self._options.query_tag
        self.cursor = self.connection.cursor()
        self.cursor.execute(sql, values or None, _statement_params={"QUERY_TAG": tag})

    def columns(self, description: Sequence[Sequence[Any]]) -> tuple[ProbedColumn, ...]:
        """See ``DbapiSession``."""
        found = tuple(_column(item) for item in description)
        if self._announced is None:
            return found
        if len(self._announced) != len(found):
            raise WarehouseError("XX000", "the statement has other columns than it announces")
        return tuple(map(_as_announced, found, self._announced))

    def probe(self, sql: str) -> tuple[ProbedColumn, ...]:
        """Types of a SELECT, which is compiled and not run."""
        self._announced = None
        with self.connection.cursor() as cursor:
            return self.columns(cursor.describe(sql))

    def interrupt(self) -> None:
        """Abort the query by its identifier, once the driver knows it."""
        cursor = self.cursor
        if cursor is not None and cursor.sfqid:
            cursor.abort_query(cursor.sfqid)


def _column(item: Sequence[Any]) -> ProbedColumn:
    """A column as the driver describes it: name, type code, ..., precision, scale.

    Raises:
        WarehouseError: 0A000, the type has no exact counterpart.
    """
    name, code, precision, scale = str(item[0]), int(item[1]), item[4], item[5]
    if code == _FIXED:
        if not scale and precision <= _BIGINT_DIGITS:
            return ProbedColumn(name, "int8")
        return ProbedColumn(name, "numeric", numeric_modifier(precision, scale or 0))
    found = _TYPES.get(code)
    if found is None:
        raise WarehouseError(
            "0A000",
            f'column "{name}" is of type {_NAMES.get(code, code)}, which no type of PostgreSQL '
            "holds exactly",
            hint="CAST it in the model, such as to VARCHAR.",
        )
    return ProbedColumn(name, found)


def _as_announced(column: ProbedColumn, kind: str) -> ProbedColumn:
    """All integers are numbers of 38 digits to Snowflake."""
    if kind in _INTEGERS and column.type_name in ("int8", "numeric"):
        return ProbedColumn(column.name, kind)
    if kind == "numeric" and column.type_name == "int8":
        return ProbedColumn(column.name, kind, numeric_modifier(38, 0))
    return replace(column, type_name=kind) if kind == "varchar" else column


class SnowflakeConnector(ThreadedConnector):
    """A Snowflake account as a Connector."""

    def __init__(self, options: SnowflakeOptions) -> None:
        threads = Threads.of(options)
        super().__init__("snowflake", self._open, warehouse_error, threads)
        self._options = options

    def _open(self) -> SnowflakeSession:
        options = self._options
        given = {
            "password": options.password,
            "private_key_file": options.private_key_file,
            "private_key_file_pwd": options.private_key_password,
            "token": options.token,
            "authenticator": options.authenticator,
            "role": options.role,
            "warehouse": options.warehouse,
            "database": options.database,
            "schema": options.schema_name,
        }
        if options.host:
            given |= {"host": options.host, "protocol": options.protocol}
        connect: Any = snowflake.connector.connect
        connection = connect(
            account=options.account,
            user=options.user,
            port=options.port,
            paramstyle="qmark",
            login_timeout=round(options.login_seconds),
            session_parameters={
                "QUERY_TAG": options.query_tag,
                "TIMEZONE": "UTC",
                "WEEK_START": 1,
                "CLIENT_OUT_OF_BAND_TELEMETRY_ENABLED": False,
            },
            **{name: value for name, value in given.items() if value},
        )
        return SnowflakeSession(connection, options)


# By Snowflake's numbers; of its SQLSTATEs, those of data are PostgreSQL's.
_NUMBERS = {
    604: "57014", 606: "57P03", 630: "57014", 1003: "42601", 2003: "42P01", 2043: "42P01",
    2140: "42883", 904: "42703", 100035: "22007", 100038: "22P02", 100039: "22003",
    100040: "22007", 100046: "22003", 100051: "22012", 100069: "22P02", 90073: "57014",
    90090: "21000", 3001: "42501",
}  # fmt: skip


def warehouse_error(error: Exception) -> WarehouseError:
    """The WarehouseError for whatever the driver raised."""
    errors = snowflake.connector.errors
    if not isinstance(error, errors.Error):
        return WarehouseError("XX000", str(error).partition("\n")[0] or type(error).__name__)
    text = str(error.raw_msg or error.msg or error).partition("\n")[0]
    if isinstance(error, errors.OperationalError | errors.InterfaceError | errors.HttpError):
        return WarehouseError(
            "08006", "the data source cannot be reached", detail=text, reached=False
        )
    if isinstance(error, errors.DatabaseError) and error.sqlstate == "08001":
        return WarehouseError("28000", text, reached=False)
    state = str(error.sqlstate or "")
    known = state if state.startswith("22") else "XX000"
    return WarehouseError(_NUMBERS.get(abs(error.errno or 0), known), text)
