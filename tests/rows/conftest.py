"""A connection to the real PostgreSQL, and values through it and through the encoder."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.rows.support import Server
from tests.support.oracle import OraclePostgres


@pytest.fixture(scope="session")
def server(oracle: OraclePostgres) -> Iterator[Server]:
    with psycopg.connect(oracle.dsn, autocommit=True) as connection:
        yield Server(connection)
