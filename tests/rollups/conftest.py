"""Sales in DuckDB and in PostgreSQL, with awkward times and values, and what is built of them."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import psycopg
import pytest

from tests.rollups.sales import TABLES
from tests.rollups.warehouses import Database, Warehouse, sales_model
from tests.support.oracle import OraclePostgres


def _warehouse(oracle: OraclePostgres, dialect: str, database: Database) -> Warehouse:
    with psycopg.connect(oracle.dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE rollups_catalog_{dialect}".encode())
    dsn = oracle.dsn.replace("/postgres", f"/rollups_catalog_{dialect}")
    return Warehouse(dialect, database, sales_model(), dsn)


@pytest.fixture(scope="session")
def in_duckdb(oracle: OraclePostgres) -> Iterator[Warehouse]:
    database = duckdb.connect(":memory:")
    database.execute(TABLES)
    found = _warehouse(oracle, "duckdb", database)
    yield found
    found.close()


@pytest.fixture(scope="session")
def in_postgres(oracle: OraclePostgres) -> Iterator[Warehouse]:
    with psycopg.connect(oracle.dsn, autocommit=True) as connection:
        connection.execute("CREATE DATABASE rollups_base")
    dsn = oracle.dsn.replace("/postgres", "/rollups_base")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(TABLES)
        found = _warehouse(oracle, "postgres", connection)
        yield found
        found.close()


@pytest.fixture(params=["duckdb", "postgres"])
def warehouse(request: pytest.FixtureRequest) -> Warehouse:
    found = request.getfixturevalue(f"in_{request.param}")
    assert isinstance(found, Warehouse)
    return found
