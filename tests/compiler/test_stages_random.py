"""Measures with contexts of their own over random rows: what plain SQL says of them."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass

import duckdb
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from semantic.compiler.api import SessionSettings
from semantic.compiler.compiler import Compiler
from semantic.compiler.rewrite import RULES
from semantic.model.loader import load_model
from tests.compiler.analyst import Analyst, probe_postgres
from tests.compiler.conftest import Row
from tests.compiler.shop import probe_duckdb, published
from tests.compiler.stages_reference import (
    AGGREGATES,
    ALIGNED,
    FLAT,
    LENGTHS,
    SHIFTS,
    TABLE,
    TIMES,
    WINDOWS,
    Question,
    model_text,
)
from tests.compiler.test_results import normal
from tests.support.duck import memory_database
from tests.support.oracle import OraclePostgres

ZONES = ("UTC", "America/New_York")
FILTERS = (None, None, "kind <> 'b'", "units > 2", "place IS NOT NULL")
MONTHS = ("2023-01-01", "2023-12-01", "2024-01-01", "2024-02-01", "2024-03-01", "2024-04-01")
# Where months and years end, leap days, and hours that clocks skip or repeat.
ODD = (
    "2023-01-31 23:59:59", "2023-02-28 00:00:00", "2023-03-01 00:00:00", "2023-12-31 22:00:00",
    "2024-01-01 00:00:00", "2024-01-31 12:00:00", "2024-02-28 23:00:00", "2024-02-29 12:00:00",
    "2024-03-01 00:00:00", "2024-03-10 02:30:00", "2024-03-10 07:00:00", "2024-03-31 08:00:00",
)  # fmt: skip
# Rows that lie a window's length apart, to the second.
APART = [
    f"{datetime.datetime(2024, 3, 15, 12) - datetime.timedelta(hours=hours):%Y-%m-%d %H:%M:%S}"
    for hours in (0, 24, 36, 168, 169, 192, 336, 696, 744, 8784)
]
times = st.one_of(
    st.none(),
    st.sampled_from(ODD),
    st.sampled_from(APART),
    st.sampled_from(APART),
    st.datetimes(datetime.datetime(2022, 12, 1), datetime.datetime(2024, 4, 30)).map(
        lambda item: f"{item:%Y-%m-%d %H:00:00}"
    ),
)
rows = st.lists(
    st.tuples(
        times,
        st.sampled_from(("a", "b", "c", None)),
        st.sampled_from(("x", "y", None)),
        st.one_of(st.none(), st.integers(-3, 9)),
    ),
    max_size=14,
)


@st.composite
def questions(draw: st.DrawFn) -> tuple[Question, list[str], str]:
    """A query, its measures and the session's time zone."""
    time = draw(st.sampled_from(TIMES))
    unit = draw(st.sampled_from((None, "raw", *LENGTHS)))
    if time == "day" and unit == "hour":
        unit = "day"
    bounds = draw(st.one_of(st.none(), st.tuples(st.sampled_from(MONTHS), st.sampled_from(MONTHS))))
    if bounds is not None:
        bounds = (min(bounds), max(bounds))
    question = Question(time, unit, draw(st.booleans()), bounds, draw(st.sampled_from(FILTERS)))
    # Hours of a zone that changes its clocks are not moved by days without change.
    zone = draw(st.sampled_from(ZONES))
    if time == "instant" and unit in {"hour", "raw"}:
        zone = "UTC"
    aggregates = st.sampled_from(sorted(AGGREGATES))
    windows = st.sampled_from([item.name for item in WINDOWS])
    shifts = st.sampled_from(sorted(ALIGNED[unit]))
    over_time = st.builds(lambda a, n: f"{a}_{n}_{time}", aggregates, st.one_of(windows, shifts))
    measures = draw(
        st.lists(st.one_of(over_time, st.sampled_from(FLAT)), min_size=1, max_size=3, unique=True)
    )
    return question, measures, zone


@dataclass
class Bench:
    """The model over both warehouses, and what analyses its statements."""

    postgres: psycopg.Connection[Row]
    duck: duckdb.DuckDBPyConnection
    compilers: dict[str, Compiler]
    analysts: dict[str, Analyst]

    def fill(self, found: list[tuple[str | None, str | None, str | None, int | None]]) -> None:
        text = "DELETE FROM moments;"
        for number, (moment, kind, place, units) in enumerate(found):
            day = None if moment is None else moment[:10]
            instant = None if moment is None else f"{moment}+00"
            values = (number, moment, day, instant, kind, place, units, units)
            shown = ", ".join("NULL" if item is None else f"'{item}'" for item in values)
            text += f"INSERT INTO moments VALUES ({shown});"
        self.postgres.execute(text.encode())
        self.duck.execute(text)

    def ask(self, name: str, sql: str, zone: str) -> tuple[list[Row], str]:
        settings = SessionSettings("tester", "cubewire", time_zone=zone)
        compiler = self.compilers[name]
        bound = compiler.bind(sql, settings)
        assert bound is not None
        analysis = self.analysts[name].analyse(bound.analysis_sql)
        statement = compiler.compile(bound, analysis, settings)
        if name == "duckdb":
            self.duck.execute(f"SET TimeZone = '{zone}'")
            return self.duck.execute(statement.sql).fetchall(), statement.sql
        return self.plain(statement.sql, zone), statement.sql

    def plain(self, sql: str, zone: str) -> list[Row]:
        self.postgres.execute(f"SET TimeZone = '{zone}'".encode())
        return self.postgres.execute(sql.encode()).fetchall()


@pytest.fixture(scope="module")
def bench(oracle: OraclePostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("moments")
    (folder / "moments.yml").write_text(model_text())
    model = load_model(folder, {}).model
    assert model is not None
    with psycopg.connect(oracle.dsn, autocommit=True) as connection:
        for name in ("moments_base", "moments_duckdb", "moments_postgres"):
            connection.execute(f"CREATE DATABASE {name}".encode())
    duck = memory_database()
    duck.execute(TABLE)
    with psycopg.connect(oracle.dsn.replace("/postgres", "/moments_base"), autocommit=True) as base:
        base.execute(TABLE.encode())
        types = {
            "duckdb": published(model, "duckdb", lambda sql: probe_duckdb(duck, sql)),
            "postgres": published(model, "postgres", lambda sql: probe_postgres(base, sql)),
        }
        compilers = {
            name: Compiler(model, item, {"default": name}, RULES) for name, item in types.items()
        }
        analysts = {
            name: Analyst(oracle.dsn.replace("/postgres", f"/moments_{name}"), item)
            for name, item in types.items()
        }
        yield Bench(base, duck, compilers, analysts)
        for analyst in analysts.values():
            analyst.close()


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(found=rows, question=questions())
def test_as_plain_sql(
    bench: Bench,
    found: list[tuple[str | None, str | None, str | None, int | None]],
    question: tuple[Question, list[str], str],
) -> None:
    asked, measures, zone = question
    bench.fill(found)
    expected = sorted(map(normal, bench.plain(asked.reference(measures), zone)), key=repr)
    for name in bench.compilers:
        sql = asked.measured(measures)
        actual, emitted = bench.ask(name, sql, zone)
        assert sorted(map(normal, actual), key=repr) == expected, f"{name} {zone}\n{sql}\n{emitted}"


def test_every_measure_is_asked_for() -> None:
    """The lists that questions choose from name measures of the model."""
    text = model_text()
    names = [f"rows_{name}_day" for name in (*SHIFTS, *(item.name for item in WINDOWS))]
    assert all(f"name: {name}," in text for name in (*names, *FLAT))
