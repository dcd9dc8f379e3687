"""Estimates: how far off they are, what merging does to them, and which measures have them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp

from semantic.compiler import sketches
from semantic.compiler.dialect import dialect_of
from semantic.model.members import Measure
from semantic.model.model import Model
from tests.rollups.campaign import catalog, database
from tests.rollups.hll_postgres import REASON, binaries_with_hll, postgres_with_hll
from tests.rollups.warehouses import Warehouse, candidates_of, governed_model, sales_model
from tests.support.oracle import OraclePostgres

HLL_ERROR = 1.04 / math.sqrt(1024)
HLL_ERROR_POSTGRES = 1.04 / math.sqrt(2**sketches.HLL_LOG2_REGISTERS)
# Far enough that a right estimate is never beyond it, near enough that a wrong one is.
SIGMAS = 5
SECONDS = settings(max_examples=30, deadline=None, derandomize=True)
NUMBERS = st.floats(allow_subnormal=True, width=64)
GROUPS = st.lists(st.lists(st.none() | NUMBERS, max_size=8), max_size=6)


def sql(tree: exp.Expr) -> str:
    return dialect_of("duckdb").generate(tree)


def percentile_of(fraction: float, value: str = "v") -> exp.Expr:
    measure = Measure("p", "percentile", percentile=fraction, approximate=True)
    made = sketches.estimate(measure, exp.column(value), "duckdb", "")
    assert made is not None
    return made


def merged_percentile(fraction: float) -> str:
    """The estimate over a column ``s`` of sketches."""

    def change(node: exp.Expr) -> exp.Expr:
        counted = sketches.is_counted(node)
        return sketches.merged_percentile(exp.column("s")) if counted else node

    return sql(percentile_of(fraction).transform(change))


def percentile_sketch() -> str:
    found = next(node for node in percentile_of(0.5).walk() if sketches.is_counted(node))
    return sql(found)


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with closing(duckdb.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE rows (g integer, v double precision)")
        yield connection


def fill(engine: duckdb.DuckDBPyConnection, groups: list[list[float | None]]) -> None:
    engine.execute("DELETE FROM rows")
    found = [(number, value) for number, group in enumerate(groups) for value in group]
    if found:
        engine.executemany("INSERT INTO rows VALUES (?, ?)", found)


def one(engine: duckdb.DuckDBPyConnection, text: str) -> object:
    row = engine.execute(text).fetchone()
    assert row is not None
    return row[0]


def same(left: object, right: object) -> bool:
    both_nan = left != left and right != right
    return both_nan or left == right


@pytest.mark.parametrize("count", [0, 1, 30, 1_000, 20_000, 300_000])
def test_distinct_counts_are_within_their_error(
    engine: duckdb.DuckDBPyConnection, count: int
) -> None:
    for spread in ("i", "'k' || i", "i * 4096", "i / 7.0"):
        found = one(engine, f"SELECT approx_count_distinct({spread}) FROM range({count}) AS t(i)")
        assert isinstance(found, int)
        assert abs(found - count) <= max(1, SIGMAS * HLL_ERROR * count), (spread, found)


@pytest.mark.parametrize(
    "values", ["random() * 1000", "random() - 0.5", "exp(random() * 40)", "-ln(random() + 1e-9)",
               "floor(random() * 5)", "CASE WHEN random() < 0.5 THEN 0 ELSE -1e-9 END"],
)  # fmt: skip
@pytest.mark.parametrize("fraction", [0.0, 0.05, 0.5, 0.99, 1.0])
def test_percentiles_are_within_their_error(
    engine: duckdb.DuckDBPyConnection, values: str, fraction: float
) -> None:
    made = sql(percentile_of(fraction))
    query = (
        f"SELECT {made}, quantile_cont(v, {fraction}) FROM (SELECT {values} AS v FROM range(2001))"
    )
    found, exact = engine.execute(query).fetchall()[0]
    assert abs(found - exact) <= sketches.RELATIVE_ERROR * abs(exact) * (1 + 1e-9)


@SECONDS
@given(groups=GROUPS, fraction=st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0]))
def test_sketches_of_parts_give_the_estimate_of_the_rows(
    engine: duckdb.DuckDBPyConnection, groups: list[list[float | None]], fraction: float
) -> None:
    """Whatever is merged first, with NULLs and groups without values among the parts."""
    fill(engine, groups)
    state = sql(sketches.distinct_sketch(exp.column("v"), ""))
    parts = f"SELECT g, {percentile_sketch()} AS s FROM rows GROUP BY g"
    direct = one(engine, f"SELECT {sql(percentile_of(fraction))} FROM rows")
    whole = one(engine, f"SELECT {merged_percentile(fraction)} FROM ({parts})")
    halves = f"SELECT g % 2 AS g, flatten(list(s)) AS s FROM ({parts}) GROUP BY g % 2"
    paired = one(engine, f"SELECT {merged_percentile(fraction)} FROM ({halves})")
    assert same(direct, whole)
    assert same(direct, paired)
    merged = sql(sketches.merged_distinct(exp.column("s"), ""))
    states = f"SELECT g, {state} AS s FROM rows GROUP BY g"
    assert one(engine, f"SELECT {merged} FROM ({states})") == one(
        engine, "SELECT approx_count_distinct(v) FROM rows"
    )


@SECONDS
@given(value=NUMBERS)
def test_every_number_is_near_itself(engine: duckdb.DuckDBPyConnection, value: float) -> None:
    fill(engine, [[value, None]])
    found = one(engine, f"SELECT {sql(percentile_of(0.5))} FROM rows")
    assert isinstance(found, float)
    if math.isfinite(value):
        # Beside the smallest numbers of all there is no other within the error.
        assert abs(found - value) <= sketches.RELATIVE_ERROR * abs(value) * (1 + 1e-9) + 5e-324
    else:
        assert same(found, value)


ESTIMATES = "shops_about, large_kinds_about, typical_amount, high_weight"


def test_only_what_is_declared_approximate_and_stored_is_estimated(in_duckdb: Warehouse) -> None:
    exact = in_duckdb.compile("SELECT kind, shops_used, middle FROM sales GROUP BY 1").sql
    assert "APPROX_COUNT_DISTINCT" not in exact
    assert "HISTOGRAM" not in exact
    estimated = f"SELECT kind, {ESTIMATES} FROM sales GROUP BY 1"
    text = in_duckdb.compile(estimated).sql
    assert "APPROX_COUNT_DISTINCT" in text
    assert "HISTOGRAM" in text
    model = in_duckdb.model
    in_duckdb.use(without_rollups(model))
    try:
        text = in_duckdb.compile(estimated).sql
    finally:
        in_duckdb.use(model)
    assert "COUNT(DISTINCT" in text
    assert "APPROX_COUNT_DISTINCT" not in text
    assert "HISTOGRAM" not in text


def without_rollups(model: Model) -> Model:
    return replace(model, cubes=tuple(replace(cube, pre_aggregations=()) for cube in model.cubes))


def test_estimates_under_policies(in_duckdb: Warehouse) -> None:
    model = in_duckdb.model
    in_duckdb.use(governed_model())
    try:
        stored = candidates_of([in_duckdb.build("sales.by_day")])
        sql = f"SELECT kind, {ESTIMATES} FROM sales GROUP BY 1"
        for group in ("everything", "kinds"):
            access = in_duckdb.access(group, kinds=["a"])
            statement, rows, expected = in_duckdb.answers(sql, stored, access=access)
            assert statement.rollups == ("sales.by_day",)
            assert rows == expected
        assert len(rows) == 1
        statement, rows, expected = in_duckdb.answers(sql, stored, access=in_duckdb.access("units"))
        assert statement.rollups == ()
        assert rows == expected
    finally:
        in_duckdb.use(model)


def test_postgres_without_the_extension_counts_exactly(in_postgres: Warehouse) -> None:
    assert "COUNT(DISTINCT" in in_postgres.compile("SELECT MEASURE(shops_about) FROM sales").sql
    columns = {item.name: item for item in in_postgres.compiler.rollups()["sales.by_day"].columns}
    assert columns["shops_used"].part == "distinct"
    assert columns["typical_amount"].part == "ddsketch"


@pytest.fixture(scope="module")
def with_hll(oracle: OraclePostgres) -> Iterator[Warehouse]:
    programs = binaries_with_hll()
    if programs is None:
        pytest.skip(REASON)
    with postgres_with_hll(programs) as server:
        found = Warehouse(
            "postgres", database(server, "postgres"), sales_model(), catalog(server, "postgres"),
            sketches=(("default", "sketching"),),
        )  # fmt: skip
        yield found
        found.close()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT kind, shops_about, large_kinds_about FROM sales GROUP BY 1",
        "SELECT MEASURE(shops_about), MEASURE(large_kinds_about) FROM sales",
        "SELECT kind, COUNT(DISTINCT shops_about) FILTER (WHERE shop_id > 1) FROM sales"
        " GROUP BY ROLLUP(1)",
        "SELECT MEASURE(shops_about) FROM sales WHERE kind = 'none'",
        "SELECT date_trunc('month', sold_at), shops_about FROM sales"
        " WHERE sold_at > '2024-01-01 12:00' GROUP BY 1",
    ],
)
def test_sketches_of_postgres(with_hll: Warehouse, sql: str) -> None:
    stored = candidates_of([with_hll.build("sales.by_day")])
    statement, rows, expected = with_hll.answers(sql, stored)
    assert statement.rollups == ("sales.by_day",), "\n".join(statement.steps.lines())
    assert "HLL_UNION_AGG" in statement.sql
    assert rows == expected


def test_sketches_of_postgres_are_within_their_error(with_hll: Warehouse) -> None:
    with_hll.execute("DELETE FROM sales")
    try:
        for count, kind in ((150, "exact"), (30_000, "estimated")):
            with_hll.execute(
                "INSERT INTO sales (id, shop_id, kind) SELECT i, i, 'k' || i % 3"
                f" FROM generate_series(1, {count}) AS i"
            )
            stored = candidates_of([with_hll.build("sales.by_day")])
            sql = "SELECT MEASURE(shops_about) FROM sales"
            _, rows, expected = with_hll.answers(sql, stored)
            assert rows == expected
            found = int(rows[0].strip("(),"))
            error = 0 if kind == "exact" else SIGMAS * HLL_ERROR_POSTGRES * count
            assert abs(found - count) <= error
    finally:
        with_hll.reset(sales_model())


def test_sketches_are_versioned_by_their_engine(in_duckdb: Warehouse) -> None:
    own = in_duckdb.compiler.rollups()["sales.by_day"].version
    published = replace(in_duckdb.published, sketches=(("default", "another"),))
    compiler = type(in_duckdb.compiler)(in_duckdb.model, published, {"default": "duckdb"})
    assert compiler.rollups()["sales.by_day"].version != own
    assert compiler.rollups()["sales.by_city"].version == (
        in_duckdb.compiler.rollups()["sales.by_city"].version
    )
