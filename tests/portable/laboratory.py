"""A warehouse in which templates are tried: what a dialect has to offer to join the tests.

A dialect joins by a class like ``SqliteLaboratory`` and a line in ``LABORATORIES``.
"""

from __future__ import annotations

import contextlib
import datetime
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

from connectors.base import Connector
from connectors.registry import open_connector
from semantic.model.types import PostgresType
from tests.portable import spark, trino
from tests.support.clickhouse import INSTALLED, REASON, ClickHouseServer
from tests.support.mariadb import is_installed, shared_mariadb
from tests.support.spark import why_not
from tests.support.trino import why_not as trino_is_missing

Column = tuple[str, PostgresType]
Row = Sequence[object]


@dataclass(frozen=True, slots=True)
class Laboratory:
    """A real engine with a table.

    Attributes:
        dialect: the portable dialect.
        types: names of the types of which the engine can have columns.
        open: makes the table ``t`` with these columns and rows, and a started connector to it.
        skip: why it cannot run here; empty where it can.
        refuses: SQLSTATEs with which the engine may end what PostgreSQL answers, by the start of a
            template's key: where the README says that its range is smaller.
        texts: whether the engine can hold a text.
    """

    dialect: str
    types: tuple[str, ...]
    open: Callable[[Path, Sequence[Column], Sequence[Row]], AbstractAsyncContextManager[Connector]]
    skip: str = ""
    refuses: Mapping[str, frozenset[str]] = field(default_factory=dict)


_SQLITE = {
    "bool": "BOOLEAN", "int2": "SMALLINT", "int4": "INT4", "int8": "INTEGER", "float8": "REAL",
    "text": "TEXT", "date": "DATE", "timestamp": "TIMESTAMP",
}  # fmt: skip


def _stored(value: object) -> object:
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ")
    return value.isoformat() if isinstance(value, datetime.date) else value


@contextlib.asynccontextmanager
async def _sqlite(
    folder: Path, columns: Sequence[Column], rows: Sequence[Row]
) -> AsyncIterator[Connector]:
    path = folder / "t.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as database:
        listed = ", ".join(f"{name} {_SQLITE[kind.name]}" for name, kind in columns)
        database.execute(f"CREATE TABLE t ({listed})")
        marks = ", ".join("?" * len(columns))
        values = [[_stored(value) for value in row] for row in rows]
        database.executemany(f"INSERT INTO t VALUES ({marks})", values)
        database.commit()
    connector = open_connector("sqlite", {"path": str(path)})
    await connector.start()
    try:
        yield connector
    finally:
        await connector.close()


_CLICKHOUSE = {
    "bool": "Bool", "int2": "Int16", "int4": "Int32", "int8": "Int64", "float8": "Float64",
    "text": "String", "date": "Date32", "timestamp": "DateTime64(6)",
    "timestamptz": "DateTime64(6, 'UTC')",
}  # fmt: skip


def _clickhouse_type(name: str, kind: PostgresType) -> str:
    if kind.name == "numeric":
        precision, scale = (kind.modifier - 4) >> 16, (kind.modifier - 4) & 0x7FF
        return f"{name} Nullable(Decimal({precision}, {scale}))"
    return f"{name} Nullable({_CLICKHOUSE[kind.name]})"


def _clickhouse_text(value: object) -> str:
    """A value in the format TabSeparated."""
    if value is None:
        return "\\N"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime.datetime):
        return value.replace(tzinfo=None).isoformat(" ")
    text = str(value).replace("\\", "\\\\").replace("\t", "\\t")
    return text.replace("\n", "\\n")


@contextlib.asynccontextmanager
async def _clickhouse(
    folder: Path, columns: Sequence[Column], rows: Sequence[Row]
) -> AsyncIterator[Connector]:
    server = ClickHouseServer(folder / "clickhouse")
    server.start()
    try:
        listed = ", ".join(_clickhouse_type(name, kind) for name, kind in columns)
        server.query(f"CREATE TABLE t ({listed}) ENGINE = MergeTree ORDER BY tuple()")
        lines = "\n".join("\t".join(_clickhouse_text(value) for value in row) for row in rows)
        server.query(f"INSERT INTO t FORMAT TabSeparated\n{lines}\n")
        connector = open_connector("clickhouse", {"url": server.url})
        await connector.start()
        try:
            yield connector
        finally:
            await connector.close()
    finally:
        server.stop()


_MARIADB = {
    "bool": "tinyint(1)", "int2": "smallint", "int4": "int", "int8": "bigint", "float8": "double",
    "numeric": "decimal({}, {})", "text": "text CHARACTER SET utf8mb4", "date": "date",
    # A TIMESTAMP begins in 1970 and ends in 2038.
    "timestamp": "datetime(6)", "timestamptz": "datetime(6)",
}  # fmt: skip


def _declared(kind: PostgresType) -> str:
    return _MARIADB[kind.name].format(kind.modifier - 4 >> 16, kind.modifier - 4 & 0x7FF)


@contextlib.asynccontextmanager
async def _mariadb(
    _folder: Path, columns: Sequence[Column], rows: Sequence[Row]
) -> AsyncIterator[Connector]:
    server = shared_mariadb()
    listed = ", ".join(f"{name} {_declared(kind)}" for name, kind in columns)
    server.run([f"CREATE OR REPLACE TABLE t ({listed})"])
    server.fill("t", rows)
    connector = open_connector("mariadb", server.options)
    await connector.start()
    try:
        yield connector
    finally:
        await connector.close()


LABORATORIES: tuple[Laboratory, ...] = (
    Laboratory(
        "sqlite",
        tuple(_SQLITE),
        _sqlite,
        refuses={
            # Four digits of a year, and integers of eight bytes for numerics.
            "+(date": frozenset(("22008",)),
            "-(date": frozenset(("22008",)),
            "+(timestamp": frozenset(("22008",)),
            "sum(int8)": frozenset(("22003",)),
            "+(numeric": frozenset(("22003",)),
            "-(numeric": frozenset(("22003",)),
            "*(numeric": frozenset(("22003",)),
            "sum(numeric)": frozenset(("22003",)),
        },
    ),
    Laboratory(
        "clickhouse",
        (*_CLICKHOUSE, "numeric"),
        _clickhouse,
        skip="" if INSTALLED else REASON,
        refuses={
            # The years 1900 to 2299.
            "+(date": frozenset(("22008",)),
            "-(date": frozenset(("22008",)),
            "+(timestamp": frozenset(("22008",)),
        },
    ),
    Laboratory(
        "mariadb",
        tuple(_MARIADB),
        _mariadb,
        skip="" if is_installed() else "mariadb-server is not installed",
        refuses={
            # Years from 1 to 9999.
            "+(date": frozenset(("22008",)),
            "-(date": frozenset(("22008",)),
            "+(timestamp": frozenset(("22008",)),
        },
    ),
    Laboratory(
        "spark",
        tuple(spark.TYPES),
        spark.open_spark,
        skip=why_not() or "",
        refuses={
            # Some thousands of years at once.
            "+(date": frozenset(("22008",)),
            "-(date": frozenset(("22008",)),
        },
    ),
    Laboratory(
        "trino",
        tuple(trino.TYPES),
        trino.open_trino,
        skip=trino_is_missing() or "",
    ),
)
