"""pg8000: the extended protocol, one message at a time."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from decimal import Decimal
from io import BytesIO

import pg8000.dbapi
import pg8000.native
import pytest

from tests.e2e.targets import Pair, Target

FLIGHTS = (
    "SELECT flight_id, flight_number, carrier, flight_date, scheduled_hour, scheduled_departure,"
    " month, departure_delay, distance_km, is_cancelled, average_arrival_delay, on_time_rate,"
    " carriers FROM flights WHERE flight_id <= :last ORDER BY flight_id"
)
Connection = pg8000.native.Connection


def connect(target: Target, **options: object) -> Connection:
    return Connection(**target.arguments, **options)


def same(pair: Pair, run: Callable[[Connection], object]) -> object:
    """What ``run`` returns, the same from both servers."""
    found = []
    for target in (pair.ours, pair.postgres):
        connection = connect(target)
        try:
            found.append(run(connection))
        except pg8000.native.DatabaseError as error:
            kept = {key: value for key, value in error.args[0].items() if key in "SVCMDHP"}
            found.append(kept)
        finally:
            connection.close()
    assert repr(found[0]) == repr(found[1])
    return found[0]


PARAMETERS: list[tuple[str, dict[str, object]]] = [
    (FLIGHTS, {"last": 20}),
    ("SELECT count(*) FROM flights WHERE flight_id <= 2000 AND carrier = :c", {"c": "UA"}),
    ("SELECT count(*) FROM flights WHERE flight_id <= 2000 AND carrier = ANY(:c)", {"c": ["UA"]}),
    (
        "SELECT count(*) FROM flights WHERE flight_id <= 2000 AND distance_km > :km",
        {"km": Decimal("999.9")},
    ),
    ("SELECT count(*) FROM flights WHERE flight_id <= 2000 AND is_cancelled = :c", {"c": True}),
    (
        "SELECT count(*) FROM flights WHERE flight_id <= 2000 AND flight_date = :day",
        {"day": datetime.date(2013, 1, 2)},
    ),
    (
        "SELECT count(*) FROM flights WHERE flight_id <= 2000 AND scheduled_hour < :at",
        {"at": datetime.datetime(2013, 1, 2, tzinfo=datetime.UTC)},
    ),
    ("SELECT name FROM airlines WHERE carrier = :a OR name = :a", {"a": "UA"}),
    (
        "SELECT CAST(:a AS text), CAST(:b AS int[]), CAST(:n AS date)",
        {"a": "ä", "b": [1], "n": None},
    ),
    ("SELECT name FROM airlines WHERE carrier = :a", {"a": 5}),
    ("SELECT nope FROM airlines", {}),
]


@pytest.mark.parametrize(("statement", "values"), PARAMETERS)
def test_parameters(pair: Pair, statement: str, values: dict[str, object]) -> None:
    def run(connection: Connection) -> object:
        rows = connection.run(statement, **values)
        columns = [(item["name"], item["type_oid"]) for item in connection.columns or ()]
        return rows, columns, connection.row_count

    same(pair, run)


def test_prepared(pair: Pair) -> None:
    def run(connection: Connection) -> object:
        statement = connection.prepare("SELECT name FROM airlines WHERE carrier = :code")
        found = [statement.run(code=code) for code in ("UA", "AA", "nothing")]
        statement.close()
        return found

    same(pair, run)


def test_copy(pair: Pair) -> None:
    def run(connection: Connection) -> object:
        data = BytesIO()
        connection.run(
            "COPY (SELECT * FROM airlines ORDER BY 1) TO STDOUT (FORMAT csv)", stream=data
        )
        return data.getvalue()

    same(pair, run)


def test_transactions_and_notices(pair: Pair) -> None:
    def run(connection: Connection) -> object:
        found: list[object] = [connection.run("START TRANSACTION")]
        found.append(connection.run("SELECT count(*) FROM airlines"))
        try:
            connection.run("SELECT 1/0")
        except pg8000.native.DatabaseError as error:
            found.append(error.args[0]["C"])
        found.append(connection.run("ROLLBACK"))
        connection.run("COMMIT")
        found.append([notice[b"M"] for notice in connection.notices])
        connection.run("SET TimeZone TO 'America/New_York'")
        found.append(connection.parameter_statuses["TimeZone"])
        return found

    same(pair, run)


def test_dbapi(pair: Pair) -> None:
    found = []
    for target in (pair.ours, pair.postgres):
        connection = pg8000.dbapi.connect(**target.arguments)
        cursor = connection.cursor()
        cursor.execute("SELECT * FROM airlines WHERE carrier > %s ORDER BY carrier", ("M",))
        found.append((cursor.description, cursor.rowcount, cursor.fetchmany(2), cursor.fetchall()))
        connection.rollback()
        connection.autocommit = True
        cursor.execute("SELECT count(*) FROM flights WHERE flight_id <= 2000")
        found[-1] += (cursor.fetchone(),)
        connection.close()
    assert repr(found[0]) == repr(found[1])


@pytest.mark.parametrize("encrypted", [True, False])
def test_encryption(ours: Target, encrypted: bool) -> None:
    connection = connect(ours, ssl_context=encrypted or None)
    assert connection.run("SELECT 1") == [[1]]
    connection.close()
