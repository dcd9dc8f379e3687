"""What a client is told when a statement cannot be run, and what EXPLAIN tells of those that can.

``testdata/errors.test``: a statement, and its error as psql would show it. With REWRITE=1 the
errors are written anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.compiler.datadriven import Case, run
from tests.e2e.targets import Target

ERRORS = Path(__file__).parent / "testdata" / "errors.test"
Connection = psycopg.Connection[tuple[object, ...]]


@pytest.fixture(scope="module")
def connection(ours: Target) -> Iterator[Connection]:
    with ours.connect() as opened:
        yield opened


def shown(error: psycopg.Error, sql: str) -> str:
    """An error's fields and, where it has a place, the line with a mark below."""
    found = error.diag
    lines = [f"{found.sqlstate} {found.message_primary}"]
    if found.statement_position is not None:
        place = int(found.statement_position) - 1
        start = sql.rfind("\n", 0, place) + 1
        lines += [sql[start:].split("\n", 1)[0], " " * (place - start) + "^"]
    if found.message_hint is not None:
        lines.append(f"hint: {found.message_hint}")
    return "\n".join(lines)


def test_errors(connection: Connection) -> None:
    def perform(case: Case) -> str:
        with pytest.raises(psycopg.Error) as caught:
            connection.execute(case.text.encode())
        return shown(caught.value, case.text)

    run(ERRORS, perform)


def test_a_cube_off_the_search_path_is_named_with_its_schema(ours: Target) -> None:
    with ours.connect() as connection:
        connection.execute("SET search_path = nothing")
        for name, meant in (("airlines", "public.airlines"), ("airline", "airlines")):
            with pytest.raises(psycopg.errors.UndefinedTable) as caught:
                connection.execute(f"SELECT * FROM {name}".encode())
            assert caught.value.diag.message_hint == f'Perhaps you meant "{meant}".'


STATEMENT = """SELECT carrier_name, MEASURE(on_time_rate) FROM flights
WHERE origin = 'JFK' GROUP BY 1 ORDER BY 2 DESC"""


def test_explain(connection: Connection) -> None:
    # The demo's pre-aggregations are built in the background: they would answer it at some moment.
    connection.execute("SET cubewire.rollups = 'off'")
    try:
        lines = [str(row[0]) for row in connection.execute(f"EXPLAIN {STATEMENT}".encode())]
    finally:
        connection.execute("RESET cubewire.rollups")
    assert lines[0].startswith("select [carrier_name=")
    assert "  scan " in lines[1]
    facts = dict(line.split(": ", 1) for line in lines if not line.startswith((" ", "select")))
    members = facts["Members"].split(", ")
    assert {"flights.on_time_rate", "flights.carrier_name", "flights.origin"} <= set(members)
    assert facts["Join paths"] == "flights -> airlines"
    assert facts["Policies"] == facts["Rollups"] == "none"
    assert facts["Data source"] == "default"
    assert facts["SQL"].startswith("SELECT ")


def plan_of(connection: Connection, sql: str) -> list[Any]:
    return [row[0] for row in connection.execute(sql.encode(), prepare=False).fetchall()]


def test_explain_execute_is_explain_of_the_prepared_text(connection: Connection) -> None:
    text = "SELECT origin, MEASURE(count) FROM flights WHERE carrier = $1 GROUP BY 1 LIMIT $2"
    connection.execute(f"PREPARE counted(text, bigint) AS {text}".encode())
    connection.execute("PREPARE named(text) AS SELECT relname FROM pg_class WHERE relname = $1")
    try:
        lines = plan_of(connection, "EXPLAIN EXECUTE counted('UA', 1 + 1)")
        assert str(lines[0]).startswith("select [origin=")
        assert any(line.startswith("Members: flights.count") for line in lines)
        (first, *_) = plan_of(connection, "EXPLAIN (ANALYZE) EXECUTE counted('UA', 2)")
        assert "rows=2 loops=1" in str(first)
        lines = plan_of(connection, "EXPLAIN (COSTS OFF) EXECUTE named('pg_class')")
        assert "(relname = 'pg_class'::text)" in str(lines[-1])
        with pytest.raises(psycopg.errors.SyntaxError, match="wrong number of parameters"):
            connection.execute("EXPLAIN EXECUTE counted('UA')")
        with pytest.raises(
            psycopg.errors.InvalidSqlStatementName, match='"nothing" does not exist'
        ):
            connection.execute("EXPLAIN EXECUTE nothing")
    finally:
        connection.execute("DEALLOCATE ALL")


@pytest.mark.parametrize(
    "text",
    [
        "SELECT carrier_name, departure_delay + $1 AS late FROM flights WHERE origin = $2",
        "SELECT relname, $1::int AS late FROM pg_class WHERE relname = $2",
    ],
)
def test_explain_execute_of_a_statement_of_the_protocol(connection: Connection, text: str) -> None:
    """As sqlx asks, whenever it describes a statement, which columns can be NULL."""
    connection.pgconn.prepare(b"sqlx_s_1", text.encode())
    try:
        ((document,),) = plan_of(
            connection, "EXPLAIN (VERBOSE, FORMAT JSON) EXECUTE sqlx_s_1(NULL, NULL)"
        )
        assert document["Plan"]["Node Type"] in ("Select", "Result")
    finally:
        connection.execute("DEALLOCATE sqlx_s_1")


def test_a_session_sees_itself_by_its_own_number(connection: Connection) -> None:
    rows = connection.execute("SELECT pid FROM pg_stat_activity").fetchall()
    assert rows == [(connection.info.backend_pid,)]


def test_explain_as_json(connection: Connection) -> None:
    row = connection.execute(f"EXPLAIN (FORMAT JSON) {STATEMENT}".encode()).fetchone()
    assert row is not None
    (document,) = row[0] if isinstance(row[0], list) else json.loads(str(row[0]))
    assert document["Plan"]["Node Type"] == "Select"
    (scan,) = document["Plan"]["Plans"]
    assert scan["Node Type"] == "Scan"
    assert scan["Relation Name"] == "flights"
    assert document["Relations"] == ["flights"]
    assert document["Join Paths"] == ["flights -> airlines"]
    assert "Execution Time" not in document


def test_explain_analyze(connection: Connection) -> None:
    row = connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {STATEMENT}".encode()).fetchone()
    assert row is not None
    (document,) = row[0] if isinstance(row[0], list) else json.loads(str(row[0]))
    answer = connection.execute(STATEMENT.encode()).fetchall()
    assert document["Plan"]["Actual Rows"] == len(answer)
    assert 0 < document["Plan"]["Actual Startup Time"] <= document["Plan"]["Actual Total Time"]
    assert document["Execution Time"] > 0
    lines = [str(row[0]) for row in connection.execute(f"EXPLAIN ANALYZE {STATEMENT}".encode())]
    assert f" rows={len(answer)} loops=1)" in lines[0]
    assert lines[-1].startswith("Execution Time: ")
