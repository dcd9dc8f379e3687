"""Text parameters where a warehouse needs a constant: drivers that bind every literal send them."""

from __future__ import annotations

from datetime import datetime

import psycopg
import pytest

from tests.support.server import RunningServer


@pytest.fixture
def connection(cubewire_server: RunningServer) -> psycopg.Connection:
    with psycopg.connect(cubewire_server.dsn, autocommit=True) as connection:
        yield connection


def test_the_field_of_date_trunc(connection: psycopg.Connection) -> None:
    for field, first in (("month", datetime(2013, 1, 1)), ("year", datetime(2013, 1, 1))):
        rows = connection.execute(
            "SELECT date_trunc(%s, scheduled_departure) AS d, MEASURE(count) FROM flights "
            "WHERE flight_id < %s GROUP BY d ORDER BY d LIMIT 1",
            (field, 100),
            prepare=True,
        ).fetchall()
        assert rows == [(first, 99)]


def test_the_pattern_of_to_char(connection: psycopg.Connection) -> None:
    sql = "SELECT to_char(flight_date, %s) FROM flights WHERE flight_id = 1"
    assert connection.execute(sql, ("YYYY/MM",)).fetchone() == ("2013/01",)
    assert connection.execute(sql, ("Q",)).fetchone() == ("1",)


def test_a_value_is_never_text_of_the_statement(connection: psycopg.Connection) -> None:
    with pytest.raises(psycopg.Error) as raised:
        connection.execute(
            "SELECT date_trunc(%s, scheduled_departure) FROM flights",
            ("day', now()) FROM flights; --",),
        )
    assert raised.value.sqlstate in ("0A000", "22023")
    assert connection.execute("SELECT 1").fetchone() == (1,)


def test_without_a_value_it_is_refused(connection: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.FeatureNotSupported):
        connection.execute(
            "SELECT date_trunc(%s, scheduled_departure) FROM flights LIMIT 1", (None,)
        )


def test_parameters_side_by_side(connection: psycopg.Connection) -> None:
    rows = connection.execute(
        "SELECT carrier, count FROM flights WHERE carrier IN (%s,%s) GROUP BY 1 ORDER BY 1",
        ("AA", "UA"),
    ).fetchall()
    assert rows == [("AA", 32729), ("UA", 58665)]
