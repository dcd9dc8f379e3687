"""Joins of cubes at random, and with parameters: what PostgreSQL answers over the plain tables."""

from __future__ import annotations

import os

from tests.oracle.harness import Laboratory
from tests.oracle.random_joins import RandomJoins
from tests.oracle.statements import Case

EXAMPLES = int(os.environ.get("ORACLE_JOINS", "150"))
START = int(os.environ.get("ORACLE_JOINS_START", "0"))


def test_random_joins(lab: Laboratory) -> None:
    counts: dict[str, int] = {}
    for seed in range(START, START + EXAMPLES):
        case = RandomJoins(seed).case()
        problem = lab.problem(case, counts)
        assert not problem, f"{seed}: {problem}\n{case.ours}\n{case.plain}"
    assert counts["answered"] >= 0.95 * sum(counts.values()), counts


def test_parameters_of_several_facts(lab: Laboratory) -> None:
    """A condition that filters several facts is in the warehouse's statement as often."""
    case = Case(
        "SELECT MEASURE(o.revenue) * $3 AS r, MEASURE(f.paid_back) AS b "
        "FROM customers c CROSS JOIN orders o CROSS JOIN refunds f "
        "WHERE c.city = $2 AND f.reason <> $1",
        "SELECT (SELECT SUM(amount) FROM orders o JOIN customers c ON c.id = o.customer_id "
        "WHERE c.city = $2) * $3 AS r, (SELECT SUM(amount) FROM refunds f "
        "JOIN customers c ON c.id = f.customer_id WHERE c.city = $2 AND reason <> $1) AS b",
        values=("broken", "Rome", "2"),
        oids=(25, 25, 23),
    )
    assert lab.problem(case) == ""
    assert not any(
        client.ask(case.ours, case.values, case.oids).sqlstate for client in lab.ours.values()
    )
