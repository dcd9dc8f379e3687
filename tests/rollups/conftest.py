"""Sales in DuckDB and in PostgreSQL, with awkward times and values, and what is built of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.rollups.campaign import apart, catalog, database
from tests.rollups.warehouses import Warehouse, sales_model
from tests.support.oracle import OraclePostgres


def _warehouse(oracle: OraclePostgres, dialect: str) -> Warehouse:
    return Warehouse(dialect, database(oracle, dialect), sales_model(), catalog(oracle, dialect))


@pytest.fixture(scope="session")
def in_duckdb(oracle: OraclePostgres) -> Iterator[Warehouse]:
    found = _warehouse(oracle, "duckdb")
    yield found
    found.close()


@pytest.fixture(scope="session")
def in_postgres(oracle: OraclePostgres) -> Iterator[Warehouse]:
    found = _warehouse(oracle, "postgres")
    yield found
    found.close()


@pytest.fixture(scope="session")
def in_apart(
    oracle: OraclePostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Warehouse]:
    """PostgreSQL, its rollups kept apart from it."""
    found = apart(oracle, tmp_path_factory.mktemp("apart"))
    yield found
    found.close()


@pytest.fixture(params=["duckdb", "postgres"])
def warehouse(request: pytest.FixtureRequest) -> Warehouse:
    found = request.getfixturevalue(f"in_{request.param}")
    assert isinstance(found, Warehouse)
    return found
