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


@pytest.mark.parametrize(
    ("kind", "text", "shown"),
    [
        ("interval", "1 day 2:00", "1 day 02:00:00"),
        ("jsonb", '{"b":1,"a":[1,2]}', '{"a": [1, 2], "b": 1}'),
        ("json", '{"b":1,"a":[1,2]}', '{"b":1,"a":[1,2]}'),
        ("bytea", "\\x00ff", "\\x00ff"),
        ("int[]", "{1,NULL,3}", "{1,NULL,3}"),
        ("text[]", '{a,"b c"}', '{a,"b c"}'),
        ("interval", None, None),
        ("int[]", None, None),
    ],
)
def test_texts_that_are_cast(
    connection: psycopg.Connection, kind: str, text: str | None, shown: str | None
) -> None:
    """JDBC's ``setString`` declares its values as varchar, whatever they are cast to."""
    sql = f"SELECT $1::{kind} FROM flights WHERE flight_id = 1"
    value = None if text is None else text.encode()
    for oid in (25, 1043):
        result = connection.pgconn.exec_params(sql.encode(), [value], [oid])
        assert result.status == psycopg.pq.ExecStatus.TUPLES_OK, result.error_message
        found = result.get_value(0, 0)
        assert (None if found is None else found.decode()) == shown
    wrong = connection.pgconn.exec_params(b"SELECT $1::jsonb FROM flights", [b"x"], [25])
    assert wrong.error_field(psycopg.pq.DiagnosticField.SQLSTATE) == b"22P02"
