"""The attacks over MariaDB: one of the hidden rows is of a team that only its case tells apart."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.security.test_attacks import ATTACKS, Attack
from tests.security.twins import MARIADB, Twins, twins
from tests.support.mariadb import is_installed
from tests.support.oracle import OraclePostgres

pytestmark = pytest.mark.skipif(not is_installed(), reason="mariadb-server is not installed")

long = pytest.mark.skipif("NONINTERFERENCE_EXAMPLES" not in os.environ, reason="make test-long")


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory, oracle: OraclePostgres) -> Iterator[Twins]:
    with twins(tmp_path_factory.mktemp("twins"), oracle, (MARIADB,)) as running:
        yield running


@long
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: re.sub(r"\W+", "_", attack.name))
def test_attack(worlds: Twins, attack: Attack) -> None:
    """What comes back is the same in both worlds: an answer, or a refusal."""
    seen = worlds.seen(attack.user, attack.sql.replace("{s}", MARIADB))
    assert (seen.sqlstate or "rows") in {*attack.expected.split("|"), "rows", "0A000"}, seen


def test_a_policy_tells_case_and_spaces_apart(oracle: OraclePostgres, tmp_path: Path) -> None:
    with twins(tmp_path, oracle, (MARIADB,), worlds=(1,)) as running:
        for user, teams in (("tw_red", ["red"]), ("tw_both", ["blue", "red"]), ("tw_none", [])):
            rows = running.session(0, user).execute(
                f"SELECT DISTINCT team FROM people_{MARIADB} ORDER BY 1"
            )
            assert [row[0] for row in rows.fetchall()] == teams
