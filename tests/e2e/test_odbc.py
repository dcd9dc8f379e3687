"""psqlODBC: through pyodbc and through isql."""

from __future__ import annotations

import datetime
import os
import re
import shutil
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from tests.e2e.targets import Pair, Target, run_client
from tests.support.waiting import repeating

pyodbc = pytest.importorskip("pyodbc", reason="pyodbc or unixODBC is not installed")

DRIVERS = [
    Path(os.environ.get("PSQLODBC", "/usr/lib/x86_64-linux-gnu/odbc/psqlodbcw.so")),
    Path("/usr/lib/aarch64-linux-gnu/odbc/psqlodbcw.so"),
    Path("/usr/lib/psqlodbcw.so"),
]
DRIVER = next((path for path in DRIVERS if path.exists()), None)

pytestmark = [
    pytest.mark.client,
    pytest.mark.skipif(DRIVER is None, reason="psqlODBC is not installed; PSQLODBC names it"),
]

FLIGHTS = (
    "SELECT flight_id, flight_number, carrier, flight_date, scheduled_hour, scheduled_departure,"
    " month, departure_delay, distance_km, is_cancelled, average_arrival_delay, on_time_rate"
    " FROM flights WHERE flight_id <= ? ORDER BY flight_id"
)
SLOW = "SELECT count(*) FROM generate_series(1, 2000000000)"
MODES = {
    "plain": "",
    "cursors": "UseDeclareFetch=1;Fetch=7;",
    "unprepared": "UseServerSidePrepare=0;",
    "statement rollback": "Protocol=7.4-2;",
    "bools as bits": "BoolsAsChar=0;TrueIsMinus1=1;",
    "encrypted": "sslmode=require;",
}
Run = Callable[["pyodbc.Connection"], object]


def connection_text(target: Target, options: str = "") -> str:
    password = f"PWD={target.password};" if target.password else ""
    return (
        f"DRIVER={DRIVER};SERVER={target.host};PORT={target.port};DATABASE={target.database};"
        f"UID={target.user};{password}{options}"
    )


@pytest.fixture(params=MODES)
def options(request: pytest.FixtureRequest) -> str:
    return MODES[request.param]


def same(pair: Pair, options: str, run: Run, *, autocommit: bool = False) -> object:
    """What ``run`` returns, the same from both servers."""
    found = []
    for target in (pair.ours, pair.postgres):
        used = options if target is pair.ours else options.replace("sslmode=require;", "")
        with closing(
            pyodbc.connect(connection_text(target, used), autocommit=autocommit)
        ) as connection:
            try:
                found.append(run(connection))
            except pyodbc.Error as error:
                found.append((type(error), *error.args))
    assert repr(found[0]) == repr(found[1])
    return found[0]


def rows(cursor: pyodbc.Cursor) -> list[tuple[object, ...]]:
    return [tuple(row) for row in cursor.fetchall()]


def columns(cursor: pyodbc.Cursor) -> object:
    """The description without scale and nullability, which the driver looks up by the table's OID.

    Our server sends 0 for it, which spares clients that query.
    """
    return [column[:-2] for column in cursor.description]


def without_table(cursor: pyodbc.Cursor) -> list[tuple[object, ...]]:
    """Rows of SQLColumns but for the table's OID."""
    return [row[:22] + row[23:] for row in rows(cursor)]


TEMPORARY_SCHEMA = re.compile(r"pg_(toast_)?temp_\d+")


def lasting_schemas(cursor: pyodbc.Cursor) -> list[tuple[object, ...]]:
    """SQLTables' schemas but for those of temporary tables.

    PostgreSQL makes one for each backend slot that ever held a temporary table, and keeps it; so
    which there are depends on what other sessions did before.
    """
    found = rows(cursor.tables(catalog="", schema="%", table=""))
    return [row for row in found if not TEMPORARY_SCHEMA.fullmatch(str(row[1]))]


CATALOG: dict[str, Callable[[pyodbc.Cursor], object]] = {
    "tables": lambda cursor: rows(cursor.tables()),
    "catalogs": lambda cursor: rows(cursor.tables(catalog="%", schema="", table="")),
    "schemas": lasting_schemas,
    "table types": lambda cursor: rows(
        cursor.tables(catalog="", schema="", table="", tableType="%")
    ),
    "only views": lambda cursor: rows(cursor.tables(tableType="VIEW")),
    "one table": lambda cursor: rows(cursor.tables(table="fl%", schema="public")),
    "columns": lambda cursor: without_table(cursor.columns(table="flights")),
    "all columns": lambda cursor: without_table(cursor.columns(schema="public")),
    "column": lambda cursor: without_table(cursor.columns(table="flights", column="distance\\_km")),
    "primary keys": lambda cursor: rows(cursor.primaryKeys("weather")),
    "foreign keys": lambda cursor: sorted(
        rows(cursor.foreignKeys(foreignTable="flights")), key=repr
    ),
    "foreign keys to": lambda cursor: sorted(rows(cursor.foreignKeys(table="airports")), key=repr),
    "statistics": lambda cursor: [row[:9] for row in rows(cursor.statistics("flights"))],
    "row identifier": lambda cursor: rows(cursor.rowIdColumns("airlines")),
    "versions": lambda cursor: rows(cursor.rowVerColumns("airlines")),
    "procedures": lambda cursor: len(rows(cursor.procedures(schema="public"))),
    "types": lambda cursor: rows(cursor.getTypeInfo()),
}


@pytest.mark.parametrize("what", CATALOG)
def test_catalog(pair: Pair, what: str) -> None:
    for mode in ("plain", "cursors"):
        found = same(pair, MODES[mode], lambda connection: CATALOG[what](connection.cursor()))
        if what == "tables":
            assert isinstance(found, list)
            assert ("cubewire", "public", "flights", "TABLE") in [row[:4] for row in found]
        if what == "schemas":
            assert isinstance(found, list)
            assert "public" in {row[1] for row in found}
        if what == "columns":
            assert isinstance(found, list)
            assert len(found) > 50


def test_rows(pair: Pair, options: str) -> None:
    def run(connection: pyodbc.Connection) -> object:
        cursor = connection.cursor()
        plain = cursor.execute("SELECT * FROM airlines ORDER BY carrier")
        found: list[object] = [columns(plain), rows(plain)]
        cursor.execute(FLIGHTS, 30)
        found += [columns(cursor), tuple(cursor.fetchone()), len(cursor.fetchmany(5))]
        found.append(rows(cursor))
        return found

    assert len(same(pair, options, run)[-1]) == 24  # type: ignore[index]


def test_parameters(pair: Pair, options: str) -> None:
    def run(connection: pyodbc.Connection) -> object:
        statement = (
            "SELECT count(*) FROM flights WHERE flight_id <= ? AND carrier = ? AND flight_date >= ?"
            " AND distance_km > ? AND scheduled_departure < ?"
        )
        values = (
            2000,
            "UA",
            datetime.date(2013, 1, 1),
            Decimal("321.5"),
            datetime.datetime(2013, 1, 3, 12, 0),
        )
        cursor = connection.cursor()
        found = [rows(cursor.execute(statement, values)) for _ in range(3)]
        found.append(rows(cursor.execute("SELECT name FROM airlines WHERE carrier = ?", None)))
        found.append(rows(cursor.execute("SELECT name FROM airlines WHERE name LIKE ?", "A%")))
        return found

    same(pair, options, run)


def test_errors_in_a_transaction(pair: Pair, options: str) -> None:
    """The driver sets savepoints around each statement, and goes on after an error."""

    def run(connection: pyodbc.Connection) -> object:
        cursor = connection.cursor()
        found: list[object] = [rows(cursor.execute("SELECT 1 AS one"))]
        for statement in ("SELECT nope FROM airlines", "SELECT 1/0", "SELECT * FROM nothing"):
            with pytest.raises(pyodbc.Error) as problem:
                cursor.execute(statement).fetchall()
            found.append(problem.value.args)
            try:
                found.append(rows(cursor.execute("SELECT count(*) FROM airlines")))
            except pyodbc.Error as error:
                found.append(error.args)
                connection.rollback()
        connection.commit()
        found.append(rows(cursor.execute("SELECT 2 AS two")))
        connection.rollback()
        return found

    same(pair, options, run)


def test_escapes(pair: Pair) -> None:
    """ODBC's own syntax, which the driver rewrites."""

    def run(connection: pyodbc.Connection) -> object:
        cursor = connection.cursor()
        return [
            rows(cursor.execute(statement))
            for statement in (
                "SELECT {fn UCASE(name)} FROM airlines WHERE carrier = 'UA'",
                "SELECT count(*) FROM flights WHERE flight_id <= 2000"
                " AND flight_date = {d '2013-01-02'}",
                "SELECT count(*) FROM flights WHERE flight_id <= 2000"
                " AND scheduled_departure >= {ts '2013-01-02 12:00:00'}",
                "SELECT {fn CONCAT(carrier, '!')} FROM airlines WHERE carrier = 'AA'",
            )
        ]

    same(pair, "", run)


def test_three_part_names(ours: Target) -> None:
    """As Microsoft Query writes them."""
    statement = (
        "SELECT airlines.carrier, airlines.name FROM cubewire.public.airlines airlines"
        " WHERE (airlines.carrier='UA')"
    )
    with closing(pyodbc.connect(connection_text(ours))) as connection:
        assert rows(connection.execute(statement)) == [("UA", "United Air Lines Inc.")]


def test_connection_information(pair: Pair) -> None:
    kinds = ("SQL_DBMS_NAME", "SQL_DATABASE_NAME", "SQL_USER_NAME", "SQL_TXN_CAPABLE")

    def run(connection: pyodbc.Connection) -> object:
        found = [connection.getinfo(getattr(pyodbc, kind)) for kind in kinds]
        return found, connection.getinfo(pyodbc.SQL_DBMS_VER)[:3]

    same(pair, "", run)


def test_cancel(ours: Target) -> None:
    with closing(pyodbc.connect(connection_text(ours), autocommit=True)) as connection:
        cursor = connection.cursor()
        with (
            pytest.raises(pyodbc.Error, match=r"57014|cancel"),
            repeating(cursor.cancel, 0.4, 2.0),
        ):
            cursor.execute(SLOW)
        assert rows(connection.execute("SELECT count(*) FROM airlines")) == [(16,)]


@pytest.mark.skipif(shutil.which("isql") is None, reason="isql is not installed")
def test_isql(ours: Target, tmp_path: Path) -> None:
    """unixODBC's own program, with a data source in a file."""
    (tmp_path / "odbc.ini").write_text(
        f"[cubes]\nDriver={DRIVER}\nServername={ours.host}\nPort={ours.port}\n"
        f"Database={ours.database}\nUseDeclareFetch=1\n"
    )
    environment = {**ours.environment, "ODBCINI": str(tmp_path / "odbc.ini")}
    given = "SELECT origin, count(*) AS n FROM flights GROUP BY 1 ORDER BY 1\nhelp\nhelp airlines\n"
    command = ["isql", "cubes", ours.user, ours.password, "-b", "-d,"]
    code, out, _ = run_client(command, environment, given=given)
    assert code == 0
    lines = out.splitlines()
    assert lines[:3] == ["EWR,120835", "JFK,111279", "LGA,104662"]
    assert any(line.startswith("cubewire,public,flights,TABLE") for line in lines)
    assert any(line.startswith("cubewire,public,airlines,carrier") for line in lines)
