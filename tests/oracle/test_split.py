"""The same statements where the warehouse does little of them and the stage does the rest."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings

from tests.oracle.harness import Laboratory, laboratory
from tests.oracle.statements import Case
from tests.oracle.test_oracle import cases, scripts
from tests.support.oracle import OraclePostgres

EXAMPLES = int(os.environ.get("ORACLE_EXAMPLES", "60"))
EVERY = 1 if "ORACLE_EXAMPLES" in os.environ else 8
"""Of the scripts: all of them in the long tests."""
ANSWERED_AT_LEAST = 0.75
SPLIT_AT_LEAST = 0.5
"""Of all statements: fewer would mean that the warehouse does them all."""


@pytest.fixture(scope="module")
def split_lab(
    oracle: OraclePostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Laboratory]:
    folder = tmp_path_factory.mktemp("split")
    with laboratory(oracle, folder, ("limited",), "split_rows") as made:
        yield made


def test_random_statements(split_lab: Laboratory) -> None:
    counts: dict[str, int] = {}
    split = 0

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(cases())
    def check(case: Case) -> None:
        nonlocal split
        problem = split_lab.problem(case, counts)
        assert not problem, f"{problem}\n{case.ours}\n{case.plain}\n{case.values} {case.zone}"
        shown = split_lab.ours["limited"].ask(f"EXPLAIN {case.ours}", case.values, case.oids)
        split += any("Fetch " in str(row[0]) for row in shown.rows)

    check()
    assert counts["answered"] >= ANSWERED_AT_LEAST * sum(counts.values()), counts
    assert split >= SPLIT_AT_LEAST * sum(counts.values()), split


@pytest.mark.parametrize(("ours", "plain"), list(scripts())[::EVERY])
def test_scripts(split_lab: Laboratory, ours: str, plain: str) -> None:
    """Refused or answered, but never otherwise than PostgreSQL does."""
    if len(plain) == 5:
        assert split_lab.ours["limited"].ask(ours).sqlstate == plain
        return
    assert split_lab.problem(Case(ours, plain, ordered="ORDER BY" in plain)) == ""
