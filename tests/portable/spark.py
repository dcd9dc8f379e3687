"""Spark as a warehouse in which templates are tried."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from connectors.base import Connector
from connectors.registry import open_connector
from semantic.model.types import PostgresType
from tests.support.spark import fill, shared_server

TYPES = {
    "bool": "BOOLEAN", "int2": "SMALLINT", "int4": "INT", "int8": "BIGINT", "float8": "DOUBLE",
    "numeric": "DECIMAL({}, {})", "text": "STRING", "date": "DATE", "timestamp": "TIMESTAMP_NTZ",
    "timestamptz": "TIMESTAMP",
}  # fmt: skip


def spelled(name: str, modifier: int) -> str:
    """A type of PostgreSQL's as Spark spells it."""
    return TYPES[name].format((modifier - 4) >> 16, (modifier - 4) & 0x7FF)


@contextlib.asynccontextmanager
async def open_spark(
    _folder: Path, columns: Sequence[tuple[str, PostgresType]], rows: Sequence[Sequence[object]]
) -> AsyncIterator[Connector]:
    """The shared server with the table ``t``."""
    url = shared_server()
    texts = [[None if value is None else str(value) for value in row] for row in rows]
    fill(url, "t", {name: spelled(kind.name, kind.modifier) for name, kind in columns}, texts)
    connector = open_connector("spark", {"url": url})
    await connector.start()
    try:
        yield connector
    finally:
        await connector.close()
