"""psycopg 3: what it returns from our server is what it returns from PostgreSQL."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from decimal import Decimal

import psycopg
import pytest
from psycopg import pq
from psycopg.rows import dict_row
from psycopg.types import TypeInfo

from tests.e2e.targets import Pair, Target
from tests.support.waiting import cancelling

Connection = psycopg.Connection[tuple[object, ...]]

FLIGHTS = (
    "SELECT flight_id, flight_number, carrier, flight_date, scheduled_hour, scheduled_departure,"
    " month, departure_delay, distance_km, is_cancelled, average_arrival_delay, on_time_rate,"
    " carriers FROM flights WHERE flight_id <= %s ORDER BY flight_id"
)
VALUES = (
    "SELECT 1::int2, -2::int4, 3::int8, 1.5::float4, 'NaN'::float8, 12.340::numeric, 'x'::text,"
    " 'y'::varchar(3), 'z'::char(3), true, NULL::text, '\\x00ff'::bytea, date '2024-02-29',"
    " time '12:34:56.789', timestamp '2024-02-29 23:59:59.999999', timestamptz '2024-02-29 23:59Z',"
    " interval '1 year 2 mons 3 days 04:05:06.7', '{\"a\": [1, null]}'::jsonb, '[1]'::json,"
    " 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid, ARRAY[1, NULL, 3], ARRAY['a,b', '\"', NULL],"
    " 'name'::name, timetz '12:00+02'"
)


def same(pair: Pair, run: Callable[[Connection], object], **options: object) -> object:
    """What ``run`` returns, the same from both servers."""
    found = []
    for target in (pair.ours, pair.postgres):
        with psycopg.connect(target.dsn, **options) as connection:  # type: ignore[arg-type]
            try:
                found.append(run(connection))
            except psycopg.Error as error:
                diagnostics = error.diag
                found.append(
                    (
                        type(error),
                        error.sqlstate,
                        diagnostics.message_primary,
                        diagnostics.statement_position,
                    )
                )
    assert repr(found[0]) == repr(found[1])
    return found[0]


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
def test_rows(pair: Pair, binary: bool) -> None:
    def run(connection: Connection) -> object:
        cursor = connection.execute(FLIGHTS, [50], binary=binary)
        return cursor.description, cursor.statusmessage, cursor.rowcount, cursor.fetchall()

    _, status, count, rows = same(pair, run)  # type: ignore[misc]
    assert (status, count, len(rows)) == ("SELECT 50", 50, 50)
    assert rows[0][3:5] == (
        datetime.date(2013, 1, 1),
        datetime.datetime(2013, 1, 1, 10, tzinfo=datetime.UTC),
    )
    assert rows[0][8] == Decimal("2253.1")


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
def test_values_of_all_types(pair: Pair, binary: bool) -> None:
    def run(connection: Connection) -> object:
        cursor = connection.execute(VALUES, binary=binary)
        return cursor.description, cursor.fetchall()

    same(pair, run)


PARAMETERS: list[tuple[str, list[object]]] = [
    ("SELECT count(*) FROM flights WHERE flight_id <= 2000 AND distance > %s", [1000]),
    ("SELECT count(*) FROM flights WHERE flight_id <= 2000 AND distance > %s", [100_000]),
    ("SELECT count(*) FROM flights WHERE flight_id <= 2000 AND distance > %s", [2**40]),
    (
        "SELECT count(*) FROM flights WHERE flight_id <= 2000 AND distance_km > %s",
        [Decimal("99.9")],
    ),
    ("SELECT count(*) FROM flights WHERE flight_id <= 2000 AND distance_km > %s", [1000.5]),
    ("SELECT count(*) FROM flights WHERE flight_id <= 2000 AND carrier = %s", ["UA"]),
    ("SELECT count(*) FROM flights WHERE flight_id <= 2000 AND carrier = ANY(%s)", [["UA", "AA"]]),
    ("SELECT count(*) FROM flights WHERE flight_id = ANY(%s)", [[1, 2, 3, None]]),
    ("SELECT count(*) FROM flights WHERE flight_id <= 2000 AND is_cancelled = %s", [True]),
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
        [datetime.datetime(2013, 1, 2, tzinfo=datetime.timezone(datetime.timedelta(hours=-5)))],
    ),
    ("SELECT count(*) FROM flights WHERE flight_id <= 2000 AND tail_number IS NULL = %s", [False]),
    ("SELECT count(*) FROM flights WHERE flight_id <= 2000 AND carrier = %s", [None]),
    ("SELECT name FROM airlines WHERE carrier = %(code)s OR name = %(code)s", {"code": "UA"}),
    ("SELECT %s::text || '!', %s::int + 1, %s::date", ["ä€😀", 41, datetime.date(1999, 12, 31)]),
    ("SELECT %s::interval, %s::time", [datetime.timedelta(days=3, seconds=5), datetime.time(1, 2)]),
    ("SELECT %s::bytea, %s::jsonb", [b"\x00\xff", '{"a": 1}']),
    ("SELECT carrier FROM airlines ORDER BY carrier LIMIT %s OFFSET %s", [3, 2]),
    ("SELECT relname FROM pg_class WHERE oid = %s::regclass", ["flights"]),
    ("SELECT format_type(%s::regtype, NULL), to_regclass(%s)::text", ["int", "airlines"]),
    ("SELECT name FROM airlines WHERE carrier = %s", [7]),
    ("SELECT name FROM airlines WHERE carrier > %s ORDER BY 1 LIMIT 2", [""]),
    ("SELECT count(*) FROM flights WHERE flight_id = %s", ["seven"]),
    ("SELECT count(*) FROM flights WHERE flight_date = %s", ["2013-13-01"]),
    ("SELECT nope FROM flights WHERE flight_id = %s", [1]),
]


@pytest.mark.parametrize(("statement", "values"), PARAMETERS)
@pytest.mark.parametrize("format_code", ["%s", "%b", "%t"])
def test_parameters(pair: Pair, statement: str, values: object, format_code: str) -> None:
    if isinstance(values, dict) and format_code != "%s":
        statement = statement.replace("%(code)s", f"%(code){format_code[1]}")
    text = statement.replace("%s", format_code)

    def run(connection: Connection) -> object:
        cursor = connection.execute(text, values)  # type: ignore[call-overload]
        return cursor.description, cursor.fetchall()

    same(pair, run)


def test_server_side_prepare_after_five(pair: Pair) -> None:
    """The sixth execution uses a named statement, made by the driver."""

    def run(connection: Connection) -> object:
        found: list[object] = []
        for number in range(1, 9):
            statement = "SELECT carrier, distance FROM flights WHERE flight_id = %s"
            found.append(connection.execute(statement, [number]).fetchall())
        names = connection.execute("SELECT name, statement FROM pg_prepared_statements")
        assert len(names.fetchall()) in (0, 1)
        connection.execute("DEALLOCATE ALL")
        found.append(connection.execute(statement, [1], prepare=True).fetchall())
        return found

    same(pair, run)


@pytest.mark.parametrize("options", [{}, {"scrollable": True}, {"withhold": True}])
@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
def test_server_cursor(pair: Pair, options: dict[str, bool], binary: bool) -> None:
    def run(connection: Connection) -> object:
        found: list[object] = []
        with connection.cursor("some name", binary=binary, **options) as cursor:
            cursor.execute(FLIGHTS, [30])
            found += [cursor.description, cursor.fetchone(), cursor.fetchmany(5)]
            cursor.scroll(3)
            found.append(cursor.fetchmany(2))
            if options.get("scrollable"):
                cursor.scroll(-5)
                found.append(cursor.fetchone())
                cursor.scroll(0, mode="absolute")
            if options.get("withhold"):
                connection.commit()
            cursor.itersize = 7
            found.append([row[0] for row in cursor])
        return found

    result = same(pair, run)
    assert isinstance(result, list)
    assert len(result[-1]) == (30 if options.get("scrollable") else 19)


def test_streaming(pair: Pair) -> None:
    """Single-row mode and chunks."""

    def run(connection: Connection) -> object:
        cursor = connection.cursor()
        single = [row[0] for row in cursor.stream(FLIGHTS, [200])]
        chunks = [row[0] for row in cursor.stream(FLIGHTS, [200], size=30)]
        assert single == chunks
        return single

    assert len(same(pair, run)) == 200  # type: ignore[arg-type]


def test_pipeline(pair: Pair) -> None:
    def run(connection: Connection) -> object:
        with connection.pipeline() as pipeline:
            first = connection.execute("SELECT count(*) FROM airlines")
            others = [
                connection.execute("SELECT name FROM airlines WHERE carrier = %s", [code])
                for code in ("UA", "AA", "DL")
            ]
            pipeline.sync()
            last = connection.execute("SELECT sum(distance) FROM flights WHERE flight_id <= 9")
            return first.fetchall(), [cursor.fetchall() for cursor in others], last.fetchall()

    same(pair, run)
    same(pair, run, autocommit=True)


def test_pipeline_error(pair: Pair) -> None:
    """What follows an error before the Sync is not run."""

    def pipelined(connection: Connection) -> None:
        with connection.pipeline():
            for statement in ("SELECT 1", "SELECT nope FROM airlines", "SELECT pg_backend_pid()"):
                connection.execute(statement)

    def run(connection: Connection) -> object:
        with pytest.raises(psycopg.errors.UndefinedColumn) as problem:
            pipelined(connection)
        found: list[object] = [problem.value.diag.statement_position]
        found.append(connection.info.transaction_status)
        connection.rollback()
        found.append(connection.execute("SELECT count(*) FROM airlines").fetchall())
        return found

    same(pair, run)
    same(pair, run, autocommit=True)


COPIES = [
    "COPY (SELECT * FROM airlines ORDER BY carrier) TO STDOUT",
    "COPY (SELECT * FROM airlines ORDER BY carrier) TO STDOUT (FORMAT csv, HEADER)",
    "COPY (SELECT * FROM airlines ORDER BY carrier) TO STDOUT (FORMAT binary)",
    f"COPY ({FLIGHTS.replace('%s', '99')}) TO STDOUT (FORMAT binary)",
    f"COPY ({FLIGHTS.replace('%s', '99')}) TO STDOUT (FORMAT csv, NULL '-', DELIMITER E'\\t')",
    f"COPY ({VALUES}) TO STDOUT",
    "COPY airlines TO STDOUT (FORMAT csv, HEADER)",
    "COPY airlines (name, carrier) TO STDOUT",
]


@pytest.mark.parametrize("statement", COPIES)
def test_copy(pair: Pair, statement: str) -> None:
    def run(connection: Connection) -> object:
        with connection.cursor().copy(statement.encode()) as copy:
            return sorted(b"".join(bytes(part) for part in copy).split(b"\n"))

    same(pair, run)


def test_copy_rows_of_types(pair: Pair) -> None:
    def run(connection: Connection) -> object:
        statement = f"{FLIGHTS.split(', departure_delay')[0]} FROM flights WHERE flight_id < 20"
        with connection.cursor().copy(f"COPY ({statement}) TO STDOUT".encode()) as copy:
            copy.set_types(["int8", "int4", "text", "date", "timestamptz", "timestamp", "int2"])
            return sorted(copy.rows())

    assert len(same(pair, run)) == 19  # type: ignore[arg-type]


def test_transactions(pair: Pair) -> None:
    def run(connection: Connection) -> object:
        found: list[object] = []
        with connection.transaction() as outer:
            found.append(connection.execute("SELECT 1").fetchone())
            try:
                with connection.transaction():
                    connection.execute("SELECT nope FROM airlines")
            except psycopg.Error as error:
                found.append(error.sqlstate)
            found.append(connection.execute("SELECT count(*) FROM airlines").fetchone())
            found.append(connection.info.transaction_status)
            raise psycopg.Rollback(outer)
        found.append(connection.info.transaction_status)
        connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
        connection.read_only = True
        shown = connection.execute("SHOW transaction_isolation").fetchone()
        found += [shown, connection.execute("SHOW transaction_read_only").fetchone()]
        return found

    same(pair, run)


def test_several_statements(pair: Pair) -> None:
    def run(connection: Connection) -> object:
        cursor = connection.execute("SELECT 1; SELECT count(*) FROM airlines; SELECT 'x' AS x")
        found = [cursor.fetchall()]
        while cursor.nextset():
            found.append(cursor.fetchall())
        return found

    same(pair, run)


def test_settings_and_information(pair: Pair) -> None:
    def run(connection: Connection) -> object:
        info = connection.info
        found: list[object] = [info.encoding, str(info.timezone), info.transaction_status]
        connection.execute("SET TimeZone TO 'Asia/Kolkata'")
        found.append(str(info.timezone))
        found += connection.execute(FLIGHTS, [1]).fetchall()
        connection.execute("SET DateStyle TO 'SQL, DMY'")
        found.append(info.parameter_status("DateStyle"))
        found += connection.execute("SELECT flight_date FROM flights WHERE flight_id = 1")
        found.append(connection.execute("SELECT set_config('a.b', 'c', false)").fetchone())
        found.append(connection.execute("SHOW a.b").fetchone())
        found.append(connection.execute("SELECT current_setting('TimeZone')").fetchone())
        return found

    same(pair, run, autocommit=True)
    with pair.ours.connect() as connection:
        assert connection.info.server_version // 10000 == 16
        assert connection.info.parameter_status("application_name") == ""


@pytest.mark.parametrize(
    ("name", "value"), [("standard_conforming_strings", "off"), ("transform_null_equals", "on")]
)
def test_settings_that_change_what_a_text_means(ours: Target, name: str, value: str) -> None:
    """They are refused: the catalog would read a statement by them, the warehouse not."""
    with ours.connect() as connection:
        for statement in (
            f"SET {name} = {value}",
            f"SELECT set_config('{name}', '{value}', false)",
        ):
            with pytest.raises(psycopg.errors.FeatureNotSupported):
                connection.execute(statement.encode())
            assert connection.execute(f"SHOW {name}".encode()).fetchone() != (value,)
        default = "on" if value == "off" else "off"
        connection.execute(f"SET {name} = {default}".encode())
    with pytest.raises(psycopg.OperationalError, match=name):
        psycopg.connect(ours.dsn, options=f"-c {name}={value}")


def test_type_info(pair: Pair) -> None:
    def run(connection: Connection) -> object:
        names = ("hstore", "jsonb", "date", "int4", "flights")
        found = [TypeInfo.fetch(connection, name) for name in names]
        return [
            (info.name, info.oid if info.oid < 16384 else 0) if info else None for info in found
        ]

    same(pair, run)


def test_cancel(ours: Target) -> None:
    """``cancel`` by a second connection stops the statement, and only it."""
    with ours.connect() as connection:
        started = time.monotonic()
        with pytest.raises(psycopg.errors.QueryCanceled), cancelling(connection):
            connection.execute("SELECT count(*) FROM generate_series(1, 2000000000)")
        assert time.monotonic() - started < 20
        assert connection.execute("SELECT count(*) FROM airlines").fetchone() == (16,)


def test_statement_timeout(ours: Target) -> None:
    with ours.connect() as connection:
        connection.execute("SET statement_timeout = '200ms'")
        with pytest.raises(psycopg.errors.QueryCanceled, match="statement timeout"):
            connection.execute("SELECT count(*) FROM generate_series(1, 2000000000)")
        connection.execute("RESET statement_timeout")
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_old_protocol_functions(pair: Pair) -> None:
    """libpq's own calls: describe, close, and an empty statement."""

    def run(connection: Connection) -> object:
        raw = connection.pgconn
        prepared = raw.prepare(b"p", b"SELECT name FROM airlines WHERE carrier = $1")
        described = raw.describe_prepared(b"p")
        found: list[object] = [prepared.status, described.nparams, described.param_type(0)]
        found += [described.nfields, described.ftype(0), described.ftable(0) == 0]
        result = raw.exec_prepared(b"p", [b"UA"])
        found += [result.get_value(0, 0), raw.exec_(b"").status == pq.ExecStatus.EMPTY_QUERY]
        return [part for index, part in enumerate(found) if index != 5]

    same(pair, run, autocommit=True)


async def test_asynchronous(pair: Pair) -> None:
    found = []
    for target in (pair.ours, pair.postgres):
        connection = await psycopg.AsyncConnection.connect(target.dsn, row_factory=dict_row)
        async with connection, connection.cursor() as cursor:
            await cursor.execute(FLIGHTS, [5])
            found.append(await cursor.fetchall())
    assert found[0] == found[1]
    assert found[0][0]["flight_id"] == 1
