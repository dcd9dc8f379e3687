"""What the conformance suite needs to know of each warehouse: how it writes a few statements."""

from __future__ import annotations

import contextlib
import resource
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from connectors.base import BatchStream, Connector, Parameter
from connectors.postgres_connector import PostgresConnector
from connectors.registry import open_connector
from tests.support.oracle import OraclePostgres

DUCKDB_FILE = "duckdb_file"
DUCKDB_MEMORY = "duckdb_memory"
POSTGRES = "postgres"
KINDS = (DUCKDB_FILE, DUCKDB_MEMORY, POSTGRES)

FLIGHTS = (
    "CREATE TABLE flights AS SELECT i::int8 AS id, (i % 7)::int4 AS day, i / 3.0 AS delay, "
    "'carrier ' || (i % 11) AS carrier, i % 2 = 0 AS late FROM generate_series(1, 100000) AS t(i)"
)


@dataclass(frozen=True, slots=True)
class Warehouse:
    """A started connector over a database with the table ``flights`` of 100,000 rows."""

    kind: str
    connector: Connector

    def sql(self, duckdb: str, postgres: str) -> str:
        """The text for this warehouse."""
        return postgres if self.kind == POSTGRES else duckdb

    @property
    def running(self) -> set[object]:
        """The connector's statements that have not ended."""
        readers = getattr(self.connector, "_readers", None)
        return readers.statements if readers is not None else self.connector._statements  # type: ignore[attr-defined,no-any-return]

    @property
    def endless(self) -> str:
        """Computes for minutes before its only row."""
        return self.sql(
            "SELECT count(*) AS n FROM range(100000000000) AS t(i) WHERE i * i % 7 = 3",
            "SELECT count(*) AS n FROM (SELECT generate_series(1, 100000000000) AS i) AS t"
            " WHERE i % 7 = 3",
        )

    def numbers(self, rows: int) -> str:
        """``rows`` rows in order with five columns, streamed without being stored."""
        return self.sql(
            "SELECT i::int8 AS a, i * 2 AS b, i::float8 / 3 AS c, 'text ' || i AS d,"
            f" i % 7 = 0 AS e FROM range(1, {rows} + 1) AS t(i)",
            "SELECT i::int8 AS a, i * 2 AS b, i::float8 / 3 AS c, 'text ' || i AS d,"
            f" i % 7 = 0 AS e FROM (SELECT generate_series(1, {rows}) AS i) AS t",
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


def _duckdb_file(path: Path) -> Path:
    import duckdb

    file = path / "flights.duckdb"
    with duckdb.connect(file) as database:
        database.execute(FLIGHTS)
    return file


@contextlib.asynccontextmanager
async def open_warehouse(
    kind: str, directory: Path, oracle: OraclePostgres | None, **options: object
) -> AsyncIterator[Warehouse]:
    """A warehouse of one kind for the length of a test."""
    if kind == POSTGRES:
        assert oracle is not None
        connector = open_connector("postgres", {"dsn": oracle.dsn, **options})
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
