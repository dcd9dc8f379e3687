"""psycopg 2: simple queries, named cursors, COPY, cancelling."""

from __future__ import annotations

import datetime
import io
from collections.abc import Callable
from decimal import Decimal

import psycopg2
import psycopg2.extensions
import psycopg2.extras
import pytest

from tests.e2e.targets import Pair, Target
from tests.support.waiting import repeating

FLIGHTS = (
    "SELECT flight_id, flight_number, carrier, flight_date, scheduled_hour, scheduled_departure,"
    " month, departure_delay, distance_km, is_cancelled, average_arrival_delay, on_time_rate,"
    " carriers FROM flights WHERE flight_id <= %s ORDER BY flight_id"
)
Connection = psycopg2.extensions.connection


def same(pair: Pair, run: Callable[[Connection], object]) -> object:
    """What ``run`` returns, the same from both servers."""
    found = []
    for target in (pair.ours, pair.postgres):
        connection = psycopg2.connect(target.dsn)
        try:
            found.append(run(connection))
        finally:
            connection.close()
    assert repr(found[0]) == repr(found[1])
    return found[0]


PARAMETERS: list[tuple[str, object]] = [
    ("SELECT count(*) FROM flights WHERE flight_id <= 2000 AND carrier = %s", ["UA"]),
    ("SELECT count(*) FROM flights WHERE flight_id <= 2000 AND carrier IN %s", [("UA", "AA")]),
    ("SELECT count(*) FROM flights WHERE flight_id <= 2000 AND carrier = ANY(%s)", [["UA", "AA"]]),
    ("SELECT count(*) FROM flights WHERE flight_id = ANY(%s)", [[1, 2, 3]]),
    (
        "SELECT count(*) FROM flights WHERE flight_id <= 2000 AND distance_km > %s",
        [Decimal("999.9")],
    ),
    ("SELECT count(*) FROM flights WHERE flight_id <= 2000 AND distance_km > %s", [1000.5]),
    (
        "SELECT count(*) FROM flights WHERE flight_id <= 2000 AND flight_date = %s",
        [datetime.date(2013, 1, 2)],
    ),
    (
        "SELECT count(*) FROM flights WHERE flight_id <= 2000 AND scheduled_departure >= %s",
        [datetime.datetime(2013, 1, 2, 12, 30)],
    ),
    (
        "SELECT count(*) FROM flights WHERE flight_id <= 2000 AND scheduled_hour < %s",
        [datetime.datetime(2013, 1, 2, tzinfo=datetime.UTC)],
    ),
    ("SELECT count(*) FROM flights WHERE flight_id <= 2000 AND is_cancelled = %s", [True]),
    ("SELECT count(*) FROM flights WHERE flight_id <= 2000 AND tail_number = %s", [None]),
    ("SELECT name FROM airlines WHERE name LIKE %(like)s", {"like": "%'%"}),
    ("SELECT name FROM airlines WHERE name LIKE 'A%%' ORDER BY 1 LIMIT %s", [2]),
    ("SELECT %s, %s, %s", ["it's", "back\\slash", datetime.timedelta(hours=30)]),
]


@pytest.mark.parametrize(("statement", "values"), PARAMETERS)
def test_parameters(pair: Pair, statement: str, values: object) -> None:
    def run(connection: Connection) -> object:
        with connection.cursor() as cursor:
            cursor.execute(statement, values)  # type: ignore[arg-type]
            return cursor.description, cursor.fetchall()

    same(pair, run)


def test_rows(pair: Pair) -> None:
    def run(connection: Connection) -> object:
        with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
            cursor.execute(FLIGHTS, [40])
            return cursor.statusmessage, cursor.rowcount, cursor.description, cursor.fetchall()

    status, count, _, rows = same(pair, run)  # type: ignore[misc]
    assert (status, count, len(rows)) == ("SELECT 40", 40, 40)


@pytest.mark.parametrize("options", [{}, {"scrollable": True}, {"withhold": True}])
def test_named_cursor(pair: Pair, options: dict[str, bool]) -> None:
    def run(connection: Connection) -> object:
        found: list[object] = []
        with connection.cursor("a cursor", **options) as cursor:
            cursor.itersize = 7
            cursor.execute(FLIGHTS, [30])
            found += [cursor.fetchone(), cursor.description, cursor.fetchmany(4)]
            cursor.scroll(3)
            found.append(cursor.fetchone())
            if options.get("scrollable"):
                cursor.scroll(-4)
                found.append(cursor.fetchone())
            if options.get("withhold"):
                connection.commit()
            found.append([row[0] for row in cursor])
        return found

    assert len(same(pair, run)[-1]) > 10  # type: ignore[index]


def test_copy(pair: Pair) -> None:
    def run(connection: Connection) -> object:
        with connection.cursor() as cursor:
            text = io.StringIO()
            cursor.copy_expert(
                "COPY (SELECT * FROM airlines ORDER BY 1) TO STDOUT CSV HEADER", text
            )
            table = io.StringIO()
            cursor.copy_to(table, "airlines", columns=("carrier", "name"), sep="|", null="-")
            return text.getvalue(), sorted(table.getvalue().splitlines())

    same(pair, run)


def test_transaction_states(pair: Pair) -> None:
    def run(connection: Connection) -> object:
        found: list[object] = [connection.status, connection.info.transaction_status]
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            found.append(connection.info.transaction_status)
            try:
                cursor.execute("SELECT nope FROM airlines")
            except psycopg2.Error as error:
                found += [error.pgcode, error.pgerror, error.diag.statement_position]
            found.append(connection.info.transaction_status)
            try:
                cursor.execute("SELECT 1")
            except psycopg2.Error as error:
                found += [error.pgcode, error.pgerror]
            connection.rollback()
            connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
            cursor.execute("SHOW transaction_isolation")
            found.append(cursor.fetchall())
            connection.rollback()
            connection.set_session(autocommit=True)
            cursor.execute("SELECT count(*) FROM airlines")
            found += [cursor.fetchall(), connection.info.transaction_status]
            connection.reset()
            cursor.execute("SHOW transaction_isolation")
            found.append(cursor.fetchall())
        return found

    same(pair, run)


def test_helpers(pair: Pair) -> None:
    """execute_values, hstore lookup, encoding, notices and server settings."""

    def run(connection: Connection) -> object:
        found: list[object] = [connection.encoding, connection.server_version // 10000]
        with connection.cursor() as cursor:
            statement = "SELECT sum(a), string_agg(b, '') FROM (VALUES %s) AS t(a, b)"
            psycopg2.extras.execute_values(cursor, statement, [(1, "x"), (2, "y")])
            found.append(cursor.fetchall())
            found.append(psycopg2.extras.HstoreAdapter.get_oids(connection))
            connection.set_client_encoding("UNICODE")
            cursor.execute("SELECT 'é', %s", ["ü"])
            found += [cursor.fetchall(), connection.encoding]
        return found

    same(pair, run)


def test_other_encodings_are_refused(ours: Target) -> None:
    """And what was refused to one session is not seen by the next."""
    for statement in (
        "SET client_encoding = 'LATIN1'",
        "SELECT set_config('client_encoding', 'LATIN1', false)",
    ):
        first = psycopg2.connect(ours.dsn)
        with first.cursor() as cursor, pytest.raises(psycopg2.errors.FeatureNotSupported):
            cursor.execute(statement)
        first.close()
        second = psycopg2.connect(ours.dsn)
        with second.cursor() as cursor:
            cursor.execute("SET TimeZone = 'Asia/Tokyo'")
            cursor.execute("SELECT chr(233) = 'é', chr(233)")
            assert cursor.fetchall() == [(True, "é")]
        second.close()


def test_cancel(ours: Target) -> None:
    connection = psycopg2.connect(ours.dsn)
    try:
        canceled = pytest.raises(psycopg2.errors.QueryCanceled)
        with connection.cursor() as cursor, canceled, repeating(connection.cancel, 0.3, 2.0):
            cursor.execute("SELECT count(*) FROM generate_series(1, 2000000000)")
        connection.rollback()
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM airlines")
            assert cursor.fetchone() == (16,)
    finally:
        connection.close()
