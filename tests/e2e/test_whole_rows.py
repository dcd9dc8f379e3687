"""Whole rows as values of composite types, and pg_sleep, message by message beside PostgreSQL."""

from __future__ import annotations

import asyncpg
import psycopg
import pytest

from proxy.wire import backend, frontend
from tests.e2e.targets import Pair, Target
from tests.support.raw_client import RawClient

FIRST_USER_OID = 16384
STATEMENTS = [
    "SELECT f, f.flight_id FROM flights f WHERE flight_id <= 700 ORDER BY 2",
    "SELECT a, carrier, a FROM airlines a ORDER BY carrier",
]


def answer(target: Target, sql: str, *parts: bytes | None, form: int) -> tuple[object, object]:
    """The columns and the rows of a statement, its parameters in text."""
    with RawClient.connect(target.host, target.port, 30.0) as client:
        client.startup(target.user, target.database, target.password)
        messages = client.exchange(
            frontend.Parse("", sql, ()),
            frontend.Bind("", "", (), parts, (form,)),
            frontend.Describe("P", ""),
            frontend.Execute("", 0),
            frontend.Sync(),
        )
    assert not [item for item in messages if isinstance(item, backend.ErrorResponse)]
    columns = [
        (
            item.name,
            min(item.type_oid, FIRST_USER_OID),
            item.type_size,
            item.type_modifier,
            item.format,
        )
        for message in messages
        if isinstance(message, backend.RowDescription)
        for item in message.fields
    ]
    return columns, [item.values for item in messages if isinstance(item, backend.DataRow)]


@pytest.mark.parametrize("form", [0, 1])
@pytest.mark.parametrize("sql", STATEMENTS)
def test_rows_are_those_of_postgres(sql: str, form: int, pair: Pair) -> None:
    assert answer(pair.ours, sql, form=form) == answer(pair.postgres, sql, form=form)


@pytest.mark.parametrize("form", [0, 1])
@pytest.mark.parametrize("value", [b"0.01", b"-1", b"NaN", None])
def test_sleep_answers_as_postgres(value: bytes | None, form: int, pair: Pair) -> None:
    sql = "SELECT pg_sleep($1)"
    mine = answer(pair.ours, sql, value, form=form)
    assert mine == answer(pair.postgres, sql, value, form=form)


async def test_asyncpg_reads_records(ours: Target) -> None:
    connection = await asyncpg.connect(**ours.arguments)
    try:
        row = await connection.fetchrow("SELECT a FROM airlines a WHERE carrier = 'AA'")
        assert dict(row["a"]) == {"carrier": "AA", "name": "American Airlines Inc.", "count": 1}
    finally:
        await connection.close()


REFUSED = [
    "COPY (SELECT a FROM airlines a) TO STDOUT",
    "CREATE TEMP TABLE whole AS SELECT a FROM airlines a",
    "SELECT a FROM airlines a ORDER BY 1",
    "SELECT DISTINCT a FROM airlines a",
    "SELECT f FROM airlines a LEFT JOIN flights f USING (carrier)",
    "SELECT a FROM flights f CROSS JOIN airlines a",
    "SELECT x.a FROM (SELECT a FROM airlines a) x",
    "SELECT count(f) FROM airlines a LEFT JOIN flights f USING (carrier)",
    "SELECT count(DISTINCT a) FROM airlines a",
]


@pytest.mark.parametrize("sql", REFUSED)
def test_refused(sql: str, ours: Target) -> None:
    with ours.connect() as connection, pytest.raises(psycopg.errors.FeatureNotSupported) as problem:
        connection.execute(sql.encode())
    assert problem.value.diag.message_hint


@pytest.mark.parametrize("sql", ["SELECT pg_sleep(0), 1", "SELECT pg_sleep(0) FROM airlines"])
def test_sleep_is_alone(sql: str, ours: Target) -> None:
    with ours.connect() as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(sql.encode())
