"""What the conformance suite needs to know of each warehouse: how it writes a few statements."""

from __future__ import annotations

import contextlib
import functools
import resource
import struct
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from connectors.base import BatchStream, Connector, Parameter
from connectors.postgres_connector import PostgresConnector
from connectors.registry import open_connector
from tests.support.clickhouse import ClickHouseServer
from tests.support.mariadb import MariaDb
from tests.support.oracle import OraclePostgres

Server = OraclePostgres | MariaDb | ClickHouseServer | None

DUCKDB_FILE = "duckdb_file"
DUCKDB_MEMORY = "duckdb_memory"
POSTGRES = "postgres"
MARIADB = "mariadb"
CLICKHOUSE = "clickhouse"
# Those whose SQL has PostgreSQL's types and casts, and the rest.
POSTGRES_LIKE = (DUCKDB_FILE, DUCKDB_MEMORY, POSTGRES)
KINDS = (*POSTGRES_LIKE, MARIADB, CLICKHOUSE)
# Those that compute in this process.
EMBEDDED = (DUCKDB_FILE, DUCKDB_MEMORY)

FLIGHTS = (
    "CREATE TABLE flights AS SELECT i::int8 AS id, (i % 7)::int4 AS day, i / 3.0 AS delay, "
    "'carrier ' || (i % 11) AS carrier, i % 2 = 0 AS late FROM generate_series(1, 100000) AS t(i)"
)
MARIADB_FLIGHTS = (
    "CREATE TABLE flights (id bigint, day int, delay decimal(20, 6), carrier text, late bool)"
    " SELECT seq AS id, seq % 7 AS day, seq / 3 AS delay, concat('carrier ', seq % 11) AS carrier,"
    " seq % 2 = 0 AS late FROM seq_1_to_100000"
)
CLICKHOUSE_FLIGHTS = (
    "CREATE TABLE flights (id Int64, day Int32, delay Decimal(20, 6), carrier String, late Bool)"
    " ENGINE = MergeTree ORDER BY id",
    "INSERT INTO flights SELECT number, number % 7, toDecimal64(number, 6) / 3,"
    " concat('carrier ', toString(number % 11)), number % 2 = 0 FROM numbers(1, 100000)",
)


@dataclass(frozen=True, slots=True)
class Warehouse:
    """A started connector over a database with the table ``flights`` of 100,000 rows."""

    kind: str
    connector: Connector

    def sql(
        self,
        duckdb: str,
        postgres: str,
        mariadb: str | None = None,
        clickhouse: str | None = None,
    ) -> str:
        """The text for this warehouse; one that is not given is DuckDB's."""
        given = {POSTGRES: postgres, MARIADB: mariadb, CLICKHOUSE: clickhouse}.get(self.kind)
        return duckdb if given is None else given

    @property
    def running(self) -> set[object]:
        """The connector's statements that have not ended."""
        readers = getattr(self.connector, "_readers", None)
        hosts = getattr(self.connector, "_hosts", None)
        if readers is not None:
            return set(readers.statements)
        if hosts is not None:
            return {statement for host in hosts.all for statement in host.links.statements}
        return set(self.connector._links.statements)  # type: ignore[attr-defined]

    @property
    def endless(self) -> str:
        """Computes for minutes before its only row."""
        return self.sql(
            "SELECT count(*) AS n FROM range(100000000000) AS t(i) WHERE i * i % 7 = 3",
            "SELECT count(*) AS n FROM (SELECT generate_series(1, 100000000000) AS i) AS t"
            " WHERE i % 7 = 3",
            "SELECT count(*) AS n FROM seq_1_to_100000000000 WHERE seq % 7 = 3",
            "SELECT count() AS n FROM numbers(100000000000) WHERE number * number % 7 = 3",
        )

    def numbers(self, rows: int) -> str:
        """``rows`` rows in order with five columns, streamed without being stored."""
        return self.sql(
            "SELECT i::int8 AS a, i * 2 AS b, i::float8 / 3 AS c, 'text ' || i AS d,"
            f" i % 7 = 0 AS e FROM range(1, {rows} + 1) AS t(i)",
            "SELECT i::int8 AS a, i * 2 AS b, i::float8 / 3 AS c, 'text ' || i AS d,"
            f" i % 7 = 0 AS e FROM (SELECT generate_series(1, {rows}) AS i) AS t",
            "SELECT seq AS a, seq * 2 AS b, seq / 3e0 AS c, concat('text ', seq) AS d,"
            f" seq % 7 = 0 AS e FROM seq_1_to_{rows or 1} LIMIT {rows}",
            "SELECT toInt64(number) AS a, toInt64(number * 2) AS b, number / 3 AS c,"
            " concat('text ', toString(number)) AS d, number % 7 = 0 AS e"
            f" FROM numbers(1, {rows}) SETTINGS max_threads = 1",
        )

    async def table(self, sql: str, *args: object, **options: object) -> pa.Table:
        """All rows of a statement."""
        stream = await self.connector.execute(sql, *args, **options)  # type: ignore[arg-type]
        return await all_rows(stream)

    async def values(self, sql: str, *args: object, **options: object) -> list[object]:
        """The only row of a statement."""
        table = await self.table(sql, *args, **options)
        assert table.num_rows == 1
        return [column[0].as_py() for column in table.columns]


async def all_rows(stream: BatchStream) -> pa.Table:
    """Every batch of a stream as one table."""
    return pa.Table.from_batches([batch async for batch in stream], stream.schema)


@functools.cache
def _duckdb_flights() -> bytes:
    """The file of a database with the table, which is made once."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "flights.duckdb"
        with duckdb.connect(file) as database:
            database.execute(FLIGHTS)
        return file.read_bytes()


def _duckdb_file(path: Path) -> Path:
    file = path / "flights.duckdb"
    file.write_bytes(_duckdb_flights())
    return file


def server_of(kind: str, request: pytest.FixtureRequest) -> Server:
    """The server of one kind of warehouse, if it has one."""
    if kind in EMBEDDED:
        return None
    server: Server = request.getfixturevalue(f"{kind}_server")
    return server


@contextlib.asynccontextmanager
async def open_warehouse(
    kind: str, directory: Path, server: Server, **options: object
) -> AsyncIterator[Warehouse]:
    """A warehouse of one kind for the length of a test."""
    if isinstance(server, OraclePostgres):
        connector = open_connector("postgres", {"dsn": server.dsn, **options})
    elif isinstance(server, MariaDb):
        connector = open_connector("mariadb", {**server.options, **options})
    elif isinstance(server, ClickHouseServer):
        connector = open_connector("clickhouse", {"url": server.url, **options})
    elif kind == DUCKDB_FILE:
        connector = open_connector("duckdb", {"path": str(_duckdb_file(directory)), **options})
    else:
        connector = open_connector("duckdb", {"setup": [FLIGHTS], **options})
    await connector.start()
    try:
        yield Warehouse(kind, connector)
    finally:
        await connector.close()


def split_rows(data: bytes) -> list[list[bytes | None]]:
    """The values of a run of DataRow messages."""
    rows = []
    position = 0
    while position < len(data):
        assert data[position : position + 1] == b"D"
        (length, count) = struct.unpack_from("!IH", data, position + 1)
        at = position + 7
        row: list[bytes | None] = []
        for _ in range(count):
            (size,) = struct.unpack_from("!i", data, at)
            at += 4
            row.append(None if size < 0 else data[at : at + size])
            at += max(size, 0)
        position += 1 + length
        assert at == position
        rows.append(row)
    return rows


async def fetch(
    connector: PostgresConnector,
    sql: str,
    parameters: tuple[Parameter, ...] = (),
    formats: tuple[int, ...] = (0,),
    **options: str,
) -> list[list[bytes | None]]:
    stream = await connector.stream_rows(sql, parameters, formats, **options)
    rows: list[list[bytes | None]] = []
    async for data, count in stream:
        run = split_rows(data)
        assert len(run) == count > 0
        rows += run
    return rows


def resident_bytes() -> int:
    """Memory of this process that is in RAM."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def processor_seconds() -> float:
    """Processor time of all threads of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
