"""Estimated percentiles in PostgreSQL's own SQL: as near as DuckDB's, and merged without loss."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing

import duckdb
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp

from semantic.compiler.dialect import dialect_of
from semantic.compiler.sketches import IN_POSTGRES, RELATIVE_ERROR, estimate
from semantic.compiler.sketches_postgres import joined
from semantic.model.members import Measure
from tests.rollups.test_sketches import GROUPS, NUMBERS, same
from tests.rollups.warehouses import Warehouse, candidates_of, governed_model
from tests.support.oracle import OraclePostgres

Connection = psycopg.Connection[tuple[object, ...]]
SECONDS = settings(max_examples=40, deadline=None, derandomize=True)
FRACTIONS = (0.0, 0.05, 0.5, 0.99, 1.0)
ESTIMATES = "typical_amount, high_weight"


def sql(tree: exp.Expr) -> str:
    return dialect_of("postgres").generate(tree)


def direct(fraction: float) -> str:
    return sql(IN_POSTGRES.estimate(exp.column("v"), fraction))


def merged(fraction: float) -> str:
    return sql(IN_POSTGRES.merged(joined(exp.column("s")), fraction))


@pytest.fixture(scope="module")
def server(oracle: OraclePostgres) -> Iterator[Connection]:
    with psycopg.connect(oracle.dsn, autocommit=True) as connection:
        connection.execute("CREATE TEMPORARY TABLE numbers (g integer, v double precision)")
        yield connection


def one(server: Connection, text: str) -> object:
    row = server.execute(text.encode()).fetchone()
    assert row is not None
    return row[0]


def fill(server: Connection, groups: list[list[float | None]]) -> None:
    server.execute("DELETE FROM numbers")
    with server.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO numbers VALUES (%s, %s)",
            [(number, value) for number, group in enumerate(groups) for value in group],
        )


@pytest.mark.parametrize(
    "values",
    ["random() * 1000", "random() - 0.5", "exp(random() * 40)", "floor(random() * 5)",
     "CASE WHEN random() < 0.5 THEN 0 ELSE -1e-9 END"],
)  # fmt: skip
def test_percentiles_are_within_their_error(server: Connection, values: str) -> None:
    for fraction in FRACTIONS:
        row = server.execute(
            f"SELECT {direct(fraction)}, percentile_cont({fraction}) WITHIN GROUP (ORDER BY v) "
            f"FROM (SELECT {values} AS v FROM generate_series(1, 2001)) AS t".encode()
        ).fetchone()
        assert row is not None
        found, exact = row
        assert isinstance(found, float)
        assert isinstance(exact, float)
        assert abs(found - exact) <= RELATIVE_ERROR * abs(exact) * (1 + 1e-9)


@SECONDS
@given(groups=GROUPS, fraction=st.sampled_from(FRACTIONS))
def test_sketches_of_parts_give_the_estimate_of_the_rows(
    server: Connection, groups: list[list[float | None]], fraction: float
) -> None:
    fill(server, groups)
    parts = f"SELECT {sql(IN_POSTGRES.stored(exp.column('v')))} AS s FROM numbers GROUP BY g"
    whole = one(server, f"SELECT {merged(fraction)} FROM ({parts}) AS t")
    assert same(one(server, f"SELECT {direct(fraction)} FROM numbers"), whole)


@SECONDS
@given(value=NUMBERS)
def test_every_number_is_near_itself(server: Connection, value: float) -> None:
    fill(server, [[value, None]])
    found = one(server, f"SELECT {direct(0.5)} FROM numbers")
    assert isinstance(found, float)
    if math.isfinite(value):
        assert abs(found - value) <= RELATIVE_ERROR * abs(value) * (1 + 1e-9) + 5e-324
    else:
        assert same(found, value)


@SECONDS
@given(values=st.lists(st.floats(-1e9, 1e9), max_size=20), fraction=st.sampled_from(FRACTIONS))
def test_duckdb_estimates_the_same(
    server: Connection, values: list[float], fraction: float
) -> None:
    fill(server, [list(values)])
    measure = Measure("p", "percentile", percentile=fraction, approximate=True)
    made = estimate(measure, exp.column("v"), "duckdb", "")
    assert made is not None
    with closing(duckdb.connect(":memory:")) as engine:
        engine.execute("CREATE TABLE numbers (v double precision)")
        if values:
            engine.executemany("INSERT INTO numbers VALUES (?)", [[value] for value in values])
        text = f"SELECT {dialect_of('duckdb').generate(made)} FROM numbers"
        row = engine.execute(text).fetchone()
    assert row is not None
    found = one(server, f"SELECT {direct(fraction)} FROM numbers")
    assert found == (None if row[0] is None else pytest.approx(row[0], rel=1e-9, abs=5e-324))


@pytest.mark.parametrize(
    "statement",
    [
        f"SELECT kind, {ESTIMATES} FROM sales GROUP BY 1",
        f"SELECT kind, shop_id, {ESTIMATES} FROM sales GROUP BY CUBE (1, 2)",
        "SELECT MEASURE(typical_amount) FILTER (WHERE shop_id > 1), COUNT(*) FROM sales",
        "SELECT MEASURE(high_weight) FROM sales WHERE kind = 'none'",
        "SELECT date_trunc('month', sold_at), typical_amount FROM sales"
        " WHERE sold_at > '2024-01-01 12:00' GROUP BY 1",
        "SELECT q.m, COUNT(*) OVER () FROM (SELECT kind, typical_amount AS m FROM sales GROUP BY 1"
        " HAVING MEASURE(typical_amount) > 5) AS q",
    ],
)
def test_sketches_answer_as_the_source(in_postgres: Warehouse, statement: str) -> None:
    stored = candidates_of([in_postgres.build("sales.by_day")])
    found, rows, expected = in_postgres.answers(statement, stored)
    assert found.rollups == ("sales.by_day",), "\n".join(found.steps.lines())
    assert "STRING_AGG" in found.sql
    assert rows == expected


def test_sketches_under_policies(in_postgres: Warehouse) -> None:
    model = in_postgres.model
    in_postgres.use(governed_model())
    try:
        stored = candidates_of([in_postgres.build("sales.by_day")])
        access = in_postgres.access("kinds", kinds=["a"])
        sql = f"SELECT kind, {ESTIMATES} FROM sales GROUP BY 1"
        found, rows, expected = in_postgres.answers(sql, stored, access=access)
        assert found.rollups == ("sales.by_day",)
        assert len(rows) == 1
        assert rows == expected
    finally:
        in_postgres.use(model)
