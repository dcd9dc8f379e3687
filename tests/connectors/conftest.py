"""Fixtures of the connectors' tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from tests.connectors.support import (
    CLICKHOUSE_FLIGHTS,
    FLIGHTS,
    KINDS,
    MARIADB_FLIGHTS,
    POSTGRES_LIKE,
    Warehouse,
    open_warehouse,
    server_of,
)
from tests.support.clickhouse import INSTALLED, REASON, ClickHouseServer
from tests.support.mariadb import MariaDb, shared_mariadb
from tests.support.oracle import OraclePostgres
from tests.support.tables import fresh_database


@pytest.fixture(scope="session")
def postgres_server(oracle: OraclePostgres) -> OraclePostgres:
    """The oracle with a database of its own, in which is the table that every warehouse has."""
    fresh_database(oracle, "connectors")
    server = replace(oracle, database="connectors")
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute(FLIGHTS)
    return server


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariaDb]:
    """A MariaDB with the table that every warehouse has."""
    server = shared_mariadb()
    server.run([MARIADB_FLIGHTS])
    yield server
    server.run(["DROP TABLE flights"])


@pytest.fixture(scope="session")
def clickhouse_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseServer]:
    """A ClickHouse with the table that every warehouse has, where its engine is installed."""
    if not INSTALLED:
        pytest.skip(REASON)
    server = ClickHouseServer(tmp_path_factory.mktemp("clickhouse"))
    server.start()
    server.run(CLICKHOUSE_FLIGHTS)
    yield server
    server.stop()


@pytest.fixture(params=KINDS)
async def warehouse(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Warehouse]:
    """Each kind of warehouse in turn."""
    async with open_warehouse(request.param, tmp_path, server_of(request.param, request)) as opened:
        yield opened


@pytest.fixture(params=POSTGRES_LIKE)
async def postgres_like(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Warehouse]:
    """Each kind of warehouse whose SQL has PostgreSQL's types and casts."""
    async with open_warehouse(request.param, tmp_path, server_of(request.param, request)) as opened:
        yield opened
