"""What settings make of the rows of a PostgreSQL, which are passed on where they change nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.reliability.support import cube, dsn
from tests.support.one_cube import serving_cube
from tests.support.oracle import OraclePostgres
from tests.support.tables import fresh_database

Connection = psycopg.Connection[tuple[Any, ...]]

VIEW = """CREATE VIEW grids AS SELECT 1::bigint AS id, '{{1,2},{3,4}}'::int[] AS grid,
    0.1::float8 + 0.2::float8 AS f, '2024-02-03'::date AS d, '1 day'::interval AS i"""
WANTED = ("{{1,2},{3,4}}", "0.30000000000000004", "2024-02-03", "1 day")
QUERY = b"SELECT grid, f, d, i FROM grids"


@pytest.fixture(scope="module")
def client(oracle: OraclePostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("grids")
    fresh_database(oracle, "grids")
    source = oracle.dsn.replace("/postgres", "/grids")
    with psycopg.connect(source, autocommit=True) as connection:
        connection.execute(VIEW)  # type: ignore[arg-type]
    members = {"grid": "string", "f": "number", "d": "time", "i": "string"}
    described = cube("grids", **members)
    with serving_cube(folder, described, {"type": "postgres", "dsn": source}) as server:
        yield dsn(server, "demo")


def texts(connection: Connection) -> tuple[str | None, ...]:
    found = connection.pgconn.exec_(QUERY)
    assert not found.error_message, found.error_message
    values = (found.get_value(0, column) for column in range(found.nfields))
    return tuple(None if value is None else value.decode() for value in values)


@pytest.mark.parametrize(
    "setting",
    [
        "extra_float_digits = 3",
        "extra_float_digits = 2",
        "DateStyle = 'ISO, DMY'",
        "TimeZone = UTC",
    ],
)
def test_what_drivers_set_changes_nothing(client: str, setting: str) -> None:
    """pgjdbc, lib/pq and postgres_fdw set ``extra_float_digits`` to 2 or 3."""
    with psycopg.connect(client, autocommit=True) as connection:
        assert texts(connection) == WANTED
        connection.execute(f"SET {setting}".encode())
        assert texts(connection) == WANTED


@pytest.mark.parametrize(
    "setting",
    ["extra_float_digits = 0", "DateStyle = 'German'", "IntervalStyle = 'iso_8601'"],
)
def test_an_array_that_has_to_be_written_anew_is_refused(client: str, setting: str) -> None:
    with psycopg.connect(client, autocommit=True) as connection:
        connection.execute(f"SET {setting}".encode())
        with pytest.raises(psycopg.errors.FeatureNotSupported) as caught:
            connection.execute(QUERY)
        assert caught.value.diag.message_hint is not None
        assert caught.value.diag.message_hint.startswith("Cast the array to text")
        row = connection.execute("SELECT grid::text FROM grids").fetchone()
        assert row == ("{{1,2},{3,4}}",)
