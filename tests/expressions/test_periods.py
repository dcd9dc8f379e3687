"""Starts of the model's periods, by the local clock, through changes of the clock."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import duckdb
import psycopg
import pytest
from sqlglot import exp, parse_one

from semantic.compiler.api import SessionSettings
from semantic.compiler.expressions import translate
from semantic.compiler.expressions.periods import Period, read_period
from semantic.model.types import DATE, TIMESTAMP, TIMESTAMPTZ, PostgresType
from tests.support.oracle import OraclePostgres

ZONES = ("America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "America/Havana", "UTC")
HOUR = 3_600_000_000
PERIODS = [
    Period(12, 0, datetime(2023, 10, 1)),
    Period(12, 0, datetime(1990, 4, 6)),
    Period(3, 0, datetime(2012, 12, 1)),
    Period(1, 0, datetime(2024, 3, 15, 6)),
    Period(6, 0, datetime(2024, 2, 1)),
    Period(5, 0, datetime(2024, 2, 28, 23, 30)),
    Period(48, 0, datetime(2002, 1, 1)),
    Period(0, 14 * 24 * HOUR, datetime(2024, 1, 3)),
    Period(0, 24 * HOUR, datetime(2024, 1, 3, 5)),
    Period(0, 6 * HOUR, datetime(2000, 1, 1)),
    Period(0, HOUR, datetime(2000, 1, 1)),
    Period(0, HOUR // 4, datetime(2000, 1, 1, 0, 5)),
]
# Every 37 minutes through each change of a clock, and some far away.
MOMENTS = [
    start + timedelta(minutes=37 * step)
    for start in (
        datetime(2024, 3, 9, 20),
        datetime(2024, 3, 30, 12),
        datetime(2024, 4, 6, 10),
        datetime(2024, 10, 5, 10),
        datetime(2024, 10, 26, 20),
        datetime(2024, 11, 2, 22),
    )
    for step in range(40)
] + [datetime(1969, 2, 28, 23, 30), datetime(1930, 1, 1), datetime(2199, 12, 31, 23, 59, 59)]


class Environment:
    """Columns by their type's name."""

    def column(self, node: exp.Column) -> PostgresType:
        return {"ts": TIMESTAMP, "tz": TIMESTAMPTZ, "d": DATE}[node.name]

    def parameter(self, index: int) -> PostgresType:
        raise AssertionError(index)

    def subquery(self, node: exp.Expr) -> PostgresType:
        raise AssertionError(node)

    def subquery_columns(self, node: exp.Expr) -> tuple[PostgresType, ...]:
        raise AssertionError(node)


@pytest.fixture(scope="module")
def engines(
    oracle: OraclePostgres,
) -> Iterator[tuple[duckdb.DuckDBPyConnection, psycopg.Connection]]:
    rows = ", ".join(f"('{m}', '{m}+00', '{m:%Y-%m-%d}')" for m in MOMENTS)
    duck = duckdb.connect()
    with psycopg.connect(oracle.dsn, autocommit=True) as postgres:
        for engine in (duck, postgres):
            engine.execute("CREATE TEMP TABLE moments (ts timestamp, tz timestamptz, d date)")
            engine.execute(f"INSERT INTO moments VALUES {rows}".encode().decode())
        yield duck, postgres
    duck.close()


def by_definition(period: Period, local: datetime) -> datetime:
    """The last start that is not after a moment, step by step."""
    if period.microseconds:
        size = timedelta(microseconds=period.microseconds)
        return period.origin + (local - period.origin) // size * size
    month = (local.year - period.origin.year) * 12 + local.month - period.origin.month
    steps = month // period.months
    start = _after(period, steps)
    return start if start <= local else _after(period, steps - 1)


def _after(period: Period, steps: int) -> datetime:
    months = period.origin.month - 1 + steps * period.months
    return period.origin.replace(year=period.origin.year + months // 12, month=months % 12 + 1)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("period", PERIODS, ids=lambda period: period.text)
def test_starts(
    engines: tuple[duckdb.DuckDBPyConnection, psycopg.Connection], zone: str, period: Period
) -> None:
    assert read_period(period.text) == period
    duck, postgres = engines
    settings = SessionSettings(user="u", database="d", time_zone=zone)
    for engine in engines:
        engine.execute(f"SET TimeZone = '{zone}'")
    found = []
    for name, engine in (("duckdb", duck), ("postgres", postgres)):
        items = []
        for column in ("ts", "tz", "d"):
            call = parse_one(f"date_trunc('{period.text}', {column})", read="postgres")
            items.append(translate(call, name, Environment(), settings).sql(name))
        listed = ", ".join(f"CAST({item} AS text)" for item in items)
        sql = f"SELECT {listed}, CAST(tz AS text) FROM moments ORDER BY moments.ts"
        found.append(engine.execute(sql.encode().decode()).fetchall())
    assert found[0] == found[1]
    for moment, (plain, zoned, _, _) in zip(sorted(MOMENTS), found[0], strict=True):
        assert datetime.fromisoformat(plain) == by_definition(period, moment)
        if zone == "Australia/Lord_Howe" or 0 < period.microseconds <= HOUR:
            continue
        local = moment.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        start = by_definition(period, local)
        if exists(start, ZoneInfo(zone)):
            assert datetime.fromisoformat(zoned).replace(tzinfo=None) == start


def exists(local: datetime, zone: ZoneInfo) -> bool:
    """Whether a clock ever shows that time."""
    there = local.replace(tzinfo=zone).astimezone(UTC).astimezone(zone)
    return there.replace(tzinfo=None) == local
