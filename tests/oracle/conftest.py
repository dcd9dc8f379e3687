"""The servers, once for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.oracle.harness import Laboratory, laboratory
from tests.support.oracle import OraclePostgres


@pytest.fixture(scope="session")
def lab(oracle: OraclePostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    """PostgreSQL with the plain rows, our server over DuckDB and over PostgreSQL."""
    with laboratory(oracle, tmp_path_factory.mktemp("oracle_rows")) as made:
        yield made
