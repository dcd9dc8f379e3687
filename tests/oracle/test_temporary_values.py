"""Values of every type survive temporary tables: text and binary are PostgreSQL's to the byte."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import pq, sql
from psycopg.errors import FeatureNotSupported

from tests.oracle.harness import Client, Laboratory
from tests.oracle.test_temporary import fresh

EXAMPLES = 8

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=12)
MICROSECONDS = st.integers(0, 86_400_000_000 - 1)


def _decimal(whole: int, scale: int) -> st.SearchStrategy[str]:
    digits = st.integers(-(10**whole) + 1, 10**whole - 1)
    return digits.map(lambda n: f"{n}e-{scale}")


def _time(micros: int) -> str:
    return str((dt.datetime(2000, 1, 1) + dt.timedelta(microseconds=micros)).time())


DATES = st.dates(dt.date(1, 1, 1)).map(str)
MOMENTS = st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30)).map(str)
FLOATS = st.one_of(
    st.floats(allow_nan=False).map(repr), st.sampled_from(["NaN", "Infinity", "-Infinity", "-0"])
).map(lambda text: text.replace("inf", "Infinity"))
SINGLES = st.one_of(
    st.floats(width=32, allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["NaN", "Infinity", "-Infinity", "-0"]),
)
JSON = st.sampled_from(['{"b": 1, "a": [1, 2.50, null]}', "[]", '"é\\u0041"', "1e5", "null"])

TYPES: dict[str, st.SearchStrategy[str]] = {
    "boolean": st.sampled_from(["t", "f"]),
    "smallint": st.integers(-(2**15), 2**15 - 1).map(str),
    "integer": st.integers(-(2**31), 2**31 - 1).map(str),
    "bigint": st.integers(-(2**63), 2**63 - 1).map(str),
    "real": SINGLES,
    "double precision": FLOATS,
    "numeric(20, 4)": _decimal(18, 4),
    "numeric": _decimal(12, 2),
    "text": TEXT,
    "varchar(12)": TEXT,
    "char(12)": TEXT,
    "name": TEXT.map(lambda text: text.encode()[:60].decode(errors="ignore")),
    "date": DATES,
    "time": MICROSECONDS.map(_time),
    "timetz": MICROSECONDS.map(lambda n: _time(n) + "+05:30"),
    "timestamp": MOMENTS,
    "timestamptz": MOMENTS.map(lambda text: text + "+00"),
    "interval": st.builds(
        lambda months, days, micros: f"{months} months {days} days {micros} microseconds",
        *(st.integers(-999, 999), st.integers(-999, 999), st.integers(-(10**12), 10**12)),
    ),
    "uuid": st.uuids().map(str),
    "json": JSON,
    "jsonb": JSON,
    "bytea": st.binary(max_size=8).map(lambda data: "\\x" + data.hex()),
    "integer[]": st.sampled_from(["{}", "{1,NULL,-3}", "{{1,2},{3,4}}"]),
    "text[]": st.sampled_from(["{}", '{a,NULL,"b\\"c","NULL"}']),
}


# What the warehouse has no exact form of is refused beside a cube, with 0A000.
REFUSED = {kind: {"duckdb"} for kind in ("timetz", "integer[]", "text[]")}


@dataclass(frozen=True, slots=True)
class Column:
    type: str
    values: tuple[str | None, ...]


def _fill(client: Client, column: Column) -> None:
    run = client.connection.execute
    run("DROP TABLE IF EXISTS t, u")
    run(f"CREATE TEMP TABLE t (i int, v {column.type})".encode())
    for number, value in enumerate(column.values):
        literal = sql.Literal(value) if value is not None else sql.SQL("NULL")
        run(sql.SQL("INSERT INTO t VALUES ({}, {})").format(sql.Literal(number), literal))


def _read(client: Client, text: str) -> tuple[object, ...]:
    """Type, text and binary of the rows; the SQLSTATE of an error."""
    found: list[object] = []
    for form in (0, 1):
        result = client.connection.pgconn.exec_params(text.encode(), None, result_format=form)
        if result.status != pq.ExecStatus.TUPLES_OK:
            return ((result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode(),)
        found.append(result.ftype(1))
        found.append([result.get_value(row, 1) for row in range(result.ntuples)])
    return tuple(found)


PLAIN = "SELECT i, v FROM t ORDER BY i"
BESIDE = "SELECT t.i, t.v FROM t, (SELECT COUNT(*) AS n FROM places) AS q ORDER BY t.i"
MADE = BESIDE.replace("SELECT t.i, t.v FROM", "SELECT t.i, t.v INTO TEMP u FROM")


@pytest.mark.parametrize("kind", sorted(TYPES))
def test_every_type(lab: Laboratory, kind: str) -> None:
    answered: set[str] = set()

    with fresh(lab) as own:

        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(st.lists(st.none() | TYPES[kind], max_size=4))
        def check(values: list[str | None]) -> None:
            compare(own, Column(kind, tuple(values)), answered)

        check()
    assert answered | (REFUSED.get(kind) or set()) == set(lab.ours)


def compare(own: Laboratory, column: Column, answered: set[str]) -> None:
    _fill(own.postgres, column)
    expected = _read(own.postgres, PLAIN)
    for name, client in own.ours.items():
        _fill(client, column)
        assert _read(client, PLAIN) == expected, name
        beside = _read(client, BESIDE)
        if beside in (("0A000",), ("22003",)):
            continue
        assert beside == expected, (name, column)
        try:
            client.connection.execute(MADE.encode())
        except FeatureNotSupported:
            continue  # an array of several dimensions
        assert _read(client, "SELECT i, v FROM u ORDER BY i") == expected, (name, column)
        if column.values:
            answered.add(name)


def test_numbers_with_different_decimals(lab: Laboratory) -> None:
    column = Column("numeric", ("1.5", "2.25", "-3", "1e20", None))
    with fresh(lab) as own:
        _fill(own.postgres, column)
        expected = _read(own.postgres, PLAIN)
        for client in own.ours.values():
            _fill(client, column)
            assert _read(client, PLAIN) == expected
            assert _read(client, BESIDE) == expected
            for text in (
                "SELECT 1, SUM(v) FROM t, (SELECT COUNT(*) AS n FROM places) AS q",
                "SELECT i, v * 2 + i FROM t, (SELECT COUNT(*) AS n FROM places) AS q ORDER BY 1",
                "SELECT COUNT(*), v FROM t, (SELECT COUNT(*) AS n FROM places) AS q "
                "GROUP BY v ORDER BY v",
            ):
                plain = text.replace(", (SELECT COUNT(*) AS n FROM places) AS q", "")
                assert _read(client, text) in (_read(own.postgres, plain), ("22003",))


@pytest.mark.parametrize("value", ["infinity", "-infinity", "0044-03-15 BC"])
def test_dates_that_a_warehouse_may_not_have(lab: Laboratory, value: str) -> None:
    column = Column("date", (value,))
    with fresh(lab) as own:
        _fill(own.postgres, column)
        expected = _read(own.postgres, PLAIN)
        for client in own.ours.values():
            _fill(client, column)
            assert _read(client, PLAIN) == expected
            assert _read(client, BESIDE) in (expected, ("0A000",))
