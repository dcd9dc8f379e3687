"""The attacks over MariaDB: one of the hidden rows is of a team that only its case tells apart."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pytest

from tests.security.test_attacks import ATTACKS, Attack
from tests.security.twins import MARIADB, Twins, twins
from tests.support.mariadb import is_installed
from tests.support.oracle import OraclePostgres

pytestmark = pytest.mark.skipif(not is_installed(), reason="mariadb-server is not installed")

EVERY = 1 if "NONINTERFERENCE_EXAMPLES" in os.environ else 4
"""Of the attacks: all of them in the long tests."""


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory, oracle: OraclePostgres) -> Iterator[Twins]:
    with twins(tmp_path_factory.mktemp("twins"), oracle, (MARIADB,)) as running:
        yield running


@pytest.mark.parametrize(
    "attack", ATTACKS[::EVERY], ids=lambda attack: re.sub(r"\W+", "_", attack.name)
)
def test_attack(worlds: Twins, attack: Attack) -> None:
    """What comes back is the same in both worlds: an answer, or a refusal."""
    seen = worlds.seen(attack.user, attack.sql.replace("{s}", MARIADB))
    assert (seen.sqlstate or "rows") in {*attack.expected.split("|"), "rows", "0A000"}, seen


@pytest.mark.parametrize(
    ("user", "teams"), [("tw_red", ["red"]), ("tw_both", ["blue", "red"]), ("tw_none", [])]
)
def test_a_policy_tells_case_and_spaces_apart(worlds: Twins, user: str, teams: list[str]) -> None:
    for world in (0, 1):
        rows = worlds.session(world, user).execute(
            f"SELECT DISTINCT team FROM people_{MARIADB} ORDER BY 1"
        )
        assert [row[0] for row in rows.fetchall()] == teams
