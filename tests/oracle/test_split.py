"""The same statements where no warehouse does all of them, and the stage does the rest."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings

from tests.oracle.harness import Laboratory, laboratory
from tests.oracle.random_joins import RandomJoins
from tests.oracle.random_totals import RandomTotals
from tests.oracle.statements import Case
from tests.oracle.test_oracle import cases, scripts
from tests.support.oracle import OraclePostgres

EXAMPLES = int(os.environ.get("ORACLE_EXAMPLES", "60"))
JOINS = int(os.environ.get("ORACLE_JOINS", "60"))
EVERY = 1 if "ORACLE_EXAMPLES" in os.environ else 8
"""Of the scripts: all of them in the long tests."""
ANSWERED_AT_LEAST = 0.75
SPLIT_AT_LEAST = 0.5
"""Of all statements: fewer would mean that the warehouse does them all."""


@pytest.fixture(scope="module")
def servers(
    oracle: OraclePostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Laboratory]:
    folder = tmp_path_factory.mktemp("split")
    with laboratory(oracle, folder, ("limited", "mixed"), "split_rows") as made:
        yield made


@pytest.fixture(scope="module")
def limited(servers: Laboratory) -> Laboratory:
    """A warehouse that knows little."""
    return Laboratory(servers.postgres, {"limited": servers.ours["limited"]})


@pytest.fixture(scope="module")
def mixed(servers: Laboratory) -> Laboratory:
    """Two data sources."""
    return Laboratory(servers.postgres, {"mixed": servers.ours["mixed"]})


def is_split(lab: Laboratory, case: Case, how: str = "") -> bool:
    """Whether something is fetched first, and some of it in a way that EXPLAIN says."""
    (client,) = lab.ours.values()
    shown = client.ask(f"EXPLAIN {case.ours}", case.values, case.oids)
    return any("Fetch " in str(row[0]) and how in str(row[0]) for row in shown.rows)


def test_random_statements(limited: Laboratory) -> None:
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
        problem = limited.problem(case, counts)
        assert not problem, f"{problem}\n{case.ours}\n{case.plain}\n{case.values} {case.zone}"
        split += is_split(limited, case)

    check()
    assert counts["answered"] >= ANSWERED_AT_LEAST * sum(counts.values()), counts
    assert split >= SPLIT_AT_LEAST * sum(counts.values()), split


@pytest.mark.parametrize(("ours", "plain"), list(scripts())[::EVERY])
def test_scripts(limited: Laboratory, ours: str, plain: str) -> None:
    """Refused or answered, but never otherwise than PostgreSQL does."""
    if len(plain) == 5:
        assert limited.ours["limited"].ask(ours).sqlstate == plain
        return
    assert limited.problem(Case(ours, plain, ordered="ORDER BY" in plain)) == ""


def test_joins_of_two_data_sources(mixed: Laboratory) -> None:
    counts: dict[str, int] = {}
    split = 0
    for seed in range(JOINS):
        case = RandomJoins(seed).case()
        problem = mixed.problem(case, counts)
        assert not problem, f"{seed}: {problem}\n{case.ours}\n{case.plain}"
        split += is_split(mixed, case)
    assert counts["answered"] >= 0.95 * sum(counts.values()), counts
    assert split >= SPLIT_AT_LEAST * sum(counts.values()), split


def test_totals_before_joins_of_two_data_sources(mixed: Laboratory) -> None:
    counts: dict[str, int] = {}
    grouped = 0
    for seed in range(JOINS):
        case = RandomTotals(seed).case()
        problem = mixed.problem(case, counts)
        assert not problem, f"{seed}: {problem}\n{case.ours}\n{case.plain}"
        grouped += is_split(mixed, case, ": groups of")
    assert counts["answered"] >= 0.9 * sum(counts.values()), counts
    assert grouped >= 0.4 * sum(counts.values()), grouped


@pytest.mark.parametrize("keys", ["2", "a.miles, 2"])
def test_values_that_are_equal_and_not_the_same(mixed: Laboratory, keys: str) -> None:
    """Rows with 0 and with -0 are no group: they are told apart behind the join."""
    sql = (
        "SELECT COUNT(*), a.miles::text || b.city FROM trips a JOIN customers b "
        f"ON a.from_id = b.id GROUP BY {keys}"
    )
    assert mixed.problem(Case(sql, sql)) == ""
