"""The same statements over Spark: what it does exactly is done there, the rest staged."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings

from tests.oracle.harness import Laboratory, laboratory
from tests.oracle.statements import Case
from tests.oracle.test_oracle import cases
from tests.support.oracle import OraclePostgres
from tests.support.spark import needs_spark

pytestmark = [needs_spark, pytest.mark.slow, pytest.mark.timeout(3000)]

EXAMPLES = int(os.environ.get("ORACLE_EXAMPLES", "40"))
ANSWERED_AT_LEAST = 0.85


@pytest.fixture(scope="module")
def lab(oracle: OraclePostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    folder = tmp_path_factory.mktemp("spark")
    with laboratory(oracle, folder, ("spark",), "spark_oracle") as made:
        yield made


def test_random_statements(lab: Laboratory) -> None:
    counts: dict[str, int] = {}

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(cases())
    def check(case: Case) -> None:
        problem = lab.problem(case, counts)
        assert not problem, f"{problem}\n{case.ours}\n{case.plain}\n{case.values} {case.zone}"

    check()
    assert counts["answered"] >= ANSWERED_AT_LEAST * sum(counts.values()), counts
