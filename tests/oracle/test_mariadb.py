"""The same statements over MariaDB: its answers are PostgreSQL's, or a refusal.

Its tables compare text without case, and its server is in another time zone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.oracle.harness import Laboratory, laboratory
from tests.oracle.random_check import check_random
from tests.oracle.statements import Case
from tests.oracle.test_oracle import scripts
from tests.support.mariadb import is_installed
from tests.support.oracle import OraclePostgres

pytestmark = pytest.mark.skipif(not is_installed(), reason="mariadb-server is not installed")

EXAMPLES = int(os.environ.get("ORACLE_EXAMPLES", "25"))
EVERY = 1 if "ORACLE_EXAMPLES" in os.environ else 20
"""Of the scripts: all of them in the long tests."""
ANSWERED_AT_LEAST = 0.9


@pytest.fixture(scope="module")
def mariadb_lab(
    oracle: OraclePostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Laboratory]:
    folder = tmp_path_factory.mktemp("mariadb")
    with laboratory(oracle, folder, ("mariadb",), "mariadb_rows") as made:
        yield made


def test_random_statements(mariadb_lab: Laboratory) -> None:
    check_random(mariadb_lab, EXAMPLES, ANSWERED_AT_LEAST)


@pytest.mark.parametrize(("ours", "plain"), list(scripts())[::EVERY])
def test_scripts(mariadb_lab: Laboratory, ours: str, plain: str) -> None:
    """Refused or answered, but never otherwise than PostgreSQL does."""
    if len(plain) == 5:
        assert mariadb_lab.ours["mariadb"].ask(ours).sqlstate == plain
        return
    assert mariadb_lab.problem(Case(ours, plain, ordered="ORDER BY" in plain)) == ""
