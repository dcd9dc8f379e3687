"""Fixtures of the connectors' tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.connectors.support import FLIGHTS, KINDS, POSTGRES, Warehouse, open_warehouse
from tests.support.oracle import OraclePostgres


@pytest.fixture(scope="session")
def postgres_server(oracle: OraclePostgres) -> Iterator[OraclePostgres]:
    """The oracle with the table that every warehouse has."""
    with psycopg.connect(oracle.dsn, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS flights")
        connection.execute(FLIGHTS)
        yield oracle
        connection.execute("DROP TABLE flights")


@pytest.fixture(params=KINDS)
async def warehouse(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Warehouse]:
    """Each kind of warehouse in turn."""
    server = request.getfixturevalue("postgres_server") if request.param == POSTGRES else None
    async with open_warehouse(request.param, tmp_path, server) as opened:
        yield opened
