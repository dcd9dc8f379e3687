"""Queries as tools send them: their rows are those of plain SQL over plain tables.

The blocks of ``testdata/queries`` (their format: ``tests.support.queries``) run on our server
over DuckDB and over PostgreSQL, and what checks them in PostgreSQL over tables that hold the cubes'
rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.demo_data import SCHEMA, load_demo
from tests.support.oracle import OraclePostgres
from tests.support.queries import Query, Trial, read_queries
from tests.support.server import REPOSITORY
from tests.support.tables import open_trial

FILES = sorted((Path(__file__).parent / "testdata" / "queries").glob("*.slt"))
QUERIES = [query for path in FILES for query in read_queries(path)]


@pytest.fixture(scope="module")
def trial(oracle: OraclePostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    folder = tmp_path_factory.mktemp("demo")
    warehouse, dsn = load_demo(oracle, folder)
    with open_trial(folder, REPOSITORY / "cube_models", warehouse, dsn, SCHEMA) as opened:
        yield opened


@pytest.mark.parametrize("warehouse", ["duckdb", "postgres"])
@pytest.mark.parametrize("query", [pytest.param(query, id=query.where) for query in QUERIES])
def test_answers(query: Query, warehouse: str, trial: Trial) -> None:
    trial.test(warehouse, query)


def test_there_are_enough() -> None:
    answered = [query for query in QUERIES if query.check and not query.known]
    assert len(answered) >= 450
    by_tool = {path.stem.partition("_")[0] for path in FILES}
    assert by_tool >= {
        *("metabase", "tableau", "powerbi", "superset", "quicksight", "thoughtspot"),
        *("lookerstudio", "sigma", "excel", "hex", "grafana"),
    }
