"""TPC-H through a semantic model: the answers are PostgreSQL's to the benchmark's own SQL.

The benchmark publishes answers for scale 1 only. At scale 0.1 the reference is what PostgreSQL
makes of the plain statements over plain tables, which have the names of the cubes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from semantic.model.loader import load_model
from tests.support.oracle import OraclePostgres
from tests.support.queries import Query, Trial, read_queries
from tests.support.tables import open_trial
from tests.tpch.data import load_tpch

HERE = Path(__file__).parent
MODELS = HERE / "models"


def read(folder: str) -> list[Query]:
    files = sorted((HERE / "testdata" / folder).glob("*.slt"))
    return [query for path in files for query in read_queries(path)]


BENCHMARK, OTHERS = read("benchmark"), read("queries")
NAMES = [f"q{number}" for number in range(1, len(BENCHMARK) + 1)]


@pytest.fixture(scope="module")
def trial(oracle: OraclePostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    folder = tmp_path_factory.mktemp("tpch")
    warehouse, dsn = load_tpch(oracle, folder)
    with open_trial(folder, MODELS, warehouse, dsn, "public") as opened:
        yield opened


@pytest.mark.parametrize("warehouse", ["duckdb", "postgres"])
@pytest.mark.parametrize("query", BENCHMARK, ids=NAMES)
def test_benchmark(query: Query, warehouse: str, trial: Trial) -> None:
    trial.test(warehouse, query)


@pytest.mark.parametrize("warehouse", ["duckdb", "postgres"])
@pytest.mark.parametrize("query", OTHERS, ids=[query.where for query in OTHERS])
def test_answers(query: Query, warehouse: str, trial: Trial) -> None:
    trial.test(warehouse, query)


@pytest.mark.parametrize("query", BENCHMARK, ids=NAMES)
def test_the_reference_has_rows(query: Query, trial: Trial) -> None:
    assert trial.expected(query)[0].rows


def test_most_are_written_with_measures() -> None:
    report = load_model(MODELS, {})
    assert report.model is not None, report.render_text()
    names = {measure.name for cube in report.model.cubes for measure in cube.measures}
    used = re.compile(rf"\b(?:MEASURE|SUM|AVG)\((?:\w+\.)?(?:{'|'.join(names)}|volume)\)")
    assert len(BENCHMARK) == 22
    assert len(OTHERS) >= 50
    assert sum(bool(used.search(query.sql)) for query in BENCHMARK) >= 15
    assert not any("MEASURE" in query.check for query in BENCHMARK)
