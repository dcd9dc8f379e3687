"""Trino as a warehouse in which templates are tried."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from connectors.base import Connector
from connectors.registry import open_connector
from semantic.model.types import PostgresType
from tests.support.trino import fill, shared_server, source

TYPES = {
    "bool": "boolean", "int2": "smallint", "int4": "integer", "int8": "bigint", "float8": "double",
    "numeric": "decimal({}, {})", "text": "varchar", "date": "date", "timestamp": "timestamp(6)",
    "timestamptz": "timestamp(6) with time zone",
}  # fmt: skip


def spelled(name: str, modifier: int) -> str:
    """A type of PostgreSQL's as Trino spells it."""
    return TYPES[name].format((modifier - 4) >> 16, (modifier - 4) & 0x7FF)


@contextlib.asynccontextmanager
async def open_trino(
    _folder: Path, columns: Sequence[tuple[str, PostgresType]], rows: Sequence[Sequence[object]]
) -> AsyncIterator[Connector]:
    """The shared server with the table ``t``."""
    port = shared_server()
    fill(port, "t", {name: spelled(kind.name, kind.modifier) for name, kind in columns}, rows)
    options = source(port)
    connector = open_connector(str(options.pop("type")), options)
    await connector.start()
    try:
        yield connector
    finally:
        await connector.close()
