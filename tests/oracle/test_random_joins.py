"""Joins of cubes at random: what PostgreSQL answers over the plain tables."""

from __future__ import annotations

import os

from tests.oracle.harness import Laboratory
from tests.oracle.random_joins import RandomJoins

EXAMPLES = int(os.environ.get("ORACLE_JOINS", "150"))
START = int(os.environ.get("ORACLE_JOINS_START", "0"))


def test_random_joins(lab: Laboratory) -> None:
    counts: dict[str, int] = {}
    for seed in range(START, START + EXAMPLES):
        case = RandomJoins(seed).case()
        problem = lab.problem(case, counts)
        assert not problem, f"{seed}: {problem}\n{case.ours}\n{case.plain}"
    assert counts["answered"] >= 0.95 * sum(counts.values()), counts
