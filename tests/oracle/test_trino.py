"""The same statements over Trino: what it does exactly is done there, the rest staged."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.oracle.harness import Laboratory, laboratory
from tests.oracle.random_check import check_random
from tests.support.oracle import OraclePostgres
from tests.support.trino import why_not

pytestmark = [
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
    pytest.mark.slow,
    pytest.mark.timeout(3000),
]

EXAMPLES = int(os.environ.get("ORACLE_EXAMPLES", "40"))
ANSWERED_AT_LEAST = 0.85


@pytest.fixture(scope="module")
def lab(oracle: OraclePostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    folder = tmp_path_factory.mktemp("trino")
    with laboratory(oracle, folder, ("trino",), "trino_oracle") as made:
        yield made


def test_random_statements(lab: Laboratory) -> None:
    check_random(lab, EXAMPLES, ANSWERED_AT_LEAST)
