"""A server that computes by other rules than PostgreSQL is no postgres data source."""

from __future__ import annotations

import psycopg
import pytest

from connectors.errors import WarehouseError
from connectors.postgres_kin import check_engine
from connectors.registry import open_connector
from tests.support.oracle import OraclePostgres


@pytest.mark.parametrize(
    ("version", "number"),
    [
        ("PostgreSQL 16.4 on x86_64-pc-linux-gnu, compiled by gcc (GCC) 12.2.0, 64-bit", 16),
        ("PostgreSQL 12.12 (Greenplum Database 7.1.0 build commit:0) on x86_64-pc-linux-gnu", 12),
        ("PostgreSQL 11.2-YB-2.21.0.0-b0 on x86_64-pc-linux-gnu", 11),
    ],
)
def test_kin(version: str, number: int) -> None:
    assert check_engine(version) == number


@pytest.mark.parametrize(
    ("version", "says"),
    [
        ("PostgreSQL 8.0.2 on i686-pc-linux-gnu, compiled by GCC, Redshift 1.0.77", "is Redshift,"),
        ("CockroachDB CCL v24.1.0 (x86_64-pc-linux-gnu, built 2024/05/15)", "is CockroachDB,"),
        ("PostgreSQL 13.14.0-RisingWave-2.0.0 (0)", "is RisingWave,"),
        ("CrateDB 5.8.0 (built 0/NA, Linux 6.1 amd64)", "is CrateDB,"),
        ("H2 2.2.224 (2023-09-17)", "is H2,"),
        ("", "is unknown,"),
        ("PostgreSQL 9.4.26 (Greenplum Database 6.25.3) on x86_64", "10 or newer"),
    ],
)
def test_others(version: str, says: str) -> None:
    with pytest.raises(WarehouseError, match=says) as caught:
        check_engine(version)
    assert caught.value.sqlstate == "0A000"


async def test_asked_at_the_start(oracle: OraclePostgres) -> None:
    with psycopg.connect(oracle.dsn, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA other")
        connection.execute(
            "CREATE FUNCTION other.version() RETURNS text LANGUAGE sql"
            " AS $$ SELECT 'CockroachDB CCL v24.1.0' $$"
        )
        try:
            options = {"dsn": oracle.dsn, "search_path": "other, pg_catalog"}
            connector = open_connector("postgres", options)
            with pytest.raises(WarehouseError, match="CockroachDB"):
                await connector.start()
            await connector.close()
        finally:
            connection.execute("DROP SCHEMA other CASCADE")
