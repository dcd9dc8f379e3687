"""SQL Server and Azure SQL, over ``python-tds`` in bounded threads."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytds

from connectors.announcements import announced
from connectors.base import Parameter, ProbedColumn
from connectors.dbapi_session import DbapiSession
from connectors.errors import WarehouseError
from connectors.sqlserver_errors import warehouse_error
from connectors.sqlserver_types import described_column, named_column
from connectors.threaded import Chunk
from connectors.threaded_connector import ThreadedConnector, Threads


@dataclass(frozen=True, slots=True)
class SqlServerOptions:
    """Options of a ``sqlserver`` data source.

    Attributes:
        host: of the server.
        port: its port; named instances have one of their own.
        user: the login.
        password: its password.
        database: of unqualified tables.
        encrypt: whether the connection is encrypted; without it the password is not either.
        ca_file: certificates (PEM) that vouch for the server's; empty for the system's.
        verify_host: whether the server's certificate has to be of that host.
        application: what the server shows beside a session.
        replica: let a replica that may be read answer (ApplicationIntent=ReadOnly).
        login_seconds: how long logging in may take.
        quick_threads: statements that run at once in their first moment.
        slow_threads: statements that run at once after it.
        queue_seconds: how long a statement may wait for a thread before 53300.
        batch_rows: rows of a batch, after the first one.
    """

    host: str
    user: str
    password: str
    database: str = ""
    port: int = 1433
    encrypt: bool = True
    ca_file: str = ""
    verify_host: bool = True
    application: str = "cubewire"
    replica: bool = False
    login_seconds: float = 15.0
    quick_threads: int = 8
    slow_threads: int = 16
    queue_seconds: float = 30.0
    batch_rows: int = 8192

    def __post_init__(self) -> None:
        if self.login_seconds <= 0:
            raise ValueError("login_seconds must be positive")


_SETTINGS = (
    "SET ANSI_NULLS, ANSI_PADDING, ANSI_WARNINGS, ARITHABORT, CONCAT_NULL_YIELDS_NULL, "
    "QUOTED_IDENTIFIER ON; SET NUMERIC_ROUNDABORT, IMPLICIT_TRANSACTIONS OFF; "
    "SET LANGUAGE us_english; SET DATEFIRST 1; SET DATEFORMAT ymd; SET ROWCOUNT 0"
)
"""What the dialect's templates rest on, whatever the login's defaults are."""

_TOKENS = re.compile(
    r"(?P<quoted> '(?:[^']|'')*' | \[(?:[^\]]|\]\])*\] | \"(?:[^\"]|\"\")*\" | --[^\n]*"
    r" | /\*.*?\*/ ) | \$(?P<number>[1-9]\d*)",
    re.DOTALL | re.VERBOSE,
)


def named(sql: str, parameters: Sequence[Parameter]) -> str:
    """A statement with ``%(p2)s`` for ``$2``, as the driver takes it.

    Raises:
        WarehouseError: 42P02, a parameter has no value.
    """

    def placed(match: re.Match[str]) -> str:
        if match["number"] is None:
            return match[0]
        if int(match["number"]) > len(parameters):
            raise WarehouseError(
                "42P02", f"there is no parameter ${match['number']}", reached=False
            )
        return f"%(p{match['number']})s"

    return _TOKENS.sub(placed, sql.replace("%", "%%"))


class SqlServerSession(DbapiSession):
    """A session of the server."""

    source = "sqlserver"

    def __init__(self, connection: Any, link: socket.socket) -> None:
        super().__init__(connection)
        self._link = link
        self._announced: tuple[str, ...] | None = None
        self._texts: tuple[int, ...] = ()

    def open(self, sql: str, parameters: Sequence[Parameter], time_zone: str) -> Chunk:
        """See ``DbapiSession``; the statement says which bytes are texts."""
        self._announced = announced(sql)
        return super().open(sql, parameters, time_zone)

    def placed(self, sql: str, parameters: Sequence[Parameter]) -> tuple[str, Any]:
        """See ``DbapiSession``."""
        if not parameters:
            return sql, None
        values = {f"p{place}": self.bound(item) for place, item in enumerate(parameters, 1)}
        return named(sql, parameters), values

    def columns(self, description: Sequence[Sequence[Any]]) -> tuple[ProbedColumn, ...]:
        """See ``DbapiSession``."""
        kinds: Sequence[str | None] = self._announced or [None] * len(description)
        if len(kinds) != len(description):
            raise WarehouseError("XX000", "the statement has other columns than it announces")
        found = tuple(map(described_column, description, kinds))
        texts = [column.type_name in ("text", "varchar") for column in found]
        self._texts = tuple(place for place, is_text in enumerate(texts) if is_text)
        return found

    def read(self, rows: int) -> list[Sequence[object]]:
        """See ``DbapiSession``."""
        found = super().read(rows)
        if len(found) < rows:
            # What follows the rows; without it the driver would have it cancelled.
            self.cursor.nextset()
        return [_with_texts(row, self._texts) for row in found] if self._texts else found

    def probe(self, sql: str) -> tuple[ProbedColumn, ...]:
        """Types of a SELECT, which is compiled and not run."""
        self.cursor = self.connection.cursor()
        self.cursor.callproc("sp_describe_first_result_set", (sql,))
        names = [item[0] for item in self.cursor.description]
        name, kind = names.index("name"), names.index("system_type_name")
        rows = self.cursor.fetchall()
        self.cursor.nextset()
        self.end()
        return tuple(named_column(str(row[name]), str(row[kind])) for row in rows)

    def interrupt(self) -> None:
        """Hang up, whereupon the server ends what runs; the driver reads in another thread."""
        with contextlib.suppress(OSError):
            self._link.shutdown(socket.SHUT_RDWR)


def _with_texts(row: Sequence[object], places: tuple[int, ...]) -> Sequence[object]:
    values = list(row)
    for place in places:
        value = values[place]
        if isinstance(value, bytes | bytearray):
            values[place] = value.decode()
    return values


class SqlServerConnector(ThreadedConnector):
    """A SQL Server as a Connector."""

    def __init__(self, options: SqlServerOptions) -> None:
        threads = Threads.of(options)
        super().__init__("tsql", self._open, warehouse_error, threads)
        self._options = options

    def _open(self) -> SqlServerSession:
        options = self._options
        link = socket.create_connection((options.host, options.port), options.login_seconds)
        connect: Any = pytds.connect
        connection = connect(
            dsn=options.host,
            port=options.port,
            user=options.user,
            password=options.password,
            database=options.database or None,
            appname=options.application,
            autocommit=True,
            readonly=options.replica,
            login_timeout=options.login_seconds,
            cafile=_certificates(options) if options.encrypt else None,
            validate_host=options.verify_host,
            sock=link,
            disable_connect_retry=True,
        )
        session = SqlServerSession(connection, link)
        try:
            session.run(_SETTINGS, None, "UTC")
            session.end()
        except Exception:
            session.close()
            raise
        return session


def _certificates(options: SqlServerOptions) -> str:
    found = options.ca_file or ssl.get_default_verify_paths().cafile
    if not found:
        raise WarehouseError(
            "08001", "there is no file of certificates", hint="Name one in ca_file.", reached=False
        )
    return found
