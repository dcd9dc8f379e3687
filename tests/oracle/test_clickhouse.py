"""The same statements over ClickHouse: what it does exactly is done there, the rest staged."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.oracle.harness import Laboratory, laboratory
from tests.oracle.random_check import check_random
from tests.oracle.statements import Case
from tests.oracle.test_oracle import scripts
from tests.support.clickhouse import INSTALLED, REASON
from tests.support.oracle import OraclePostgres

pytestmark = [
    pytest.mark.skipif(not INSTALLED, reason=REASON),
    pytest.mark.timeout(600),
]

EXAMPLES = int(os.environ.get("ORACLE_EXAMPLES", "60"))
EVERY = 1 if "ORACLE_EXAMPLES" in os.environ else 8
"""Of the scripts: all of them in the long tests."""
ANSWERED_AT_LEAST = 0.85


@pytest.fixture(scope="module")
def lab(oracle: OraclePostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    folder = tmp_path_factory.mktemp("clickhouse")
    with laboratory(oracle, folder, ("clickhouse",), "clickhouse_oracle") as made:
        yield made


def test_random_statements(lab: Laboratory) -> None:
    check_random(lab, EXAMPLES, ANSWERED_AT_LEAST)


@pytest.mark.parametrize(("ours", "plain"), list(scripts())[::EVERY])
def test_scripts(lab: Laboratory, ours: str, plain: str) -> None:
    """Refused or answered, but never otherwise than PostgreSQL does."""
    if len(plain) == 5:
        assert lab.ours["clickhouse"].ask(ours).sqlstate == plain
        return
    assert lab.problem(Case(ours, plain, ordered="ORDER BY" in plain)) == ""
