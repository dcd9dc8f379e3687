"""The oracle's random statements over one warehouse."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings

from tests.oracle.harness import Laboratory
from tests.oracle.statements import Case
from tests.oracle.test_oracle import cases


def check_random(lab: Laboratory, examples: int, answered_at_least: float) -> None:
    """Answers are PostgreSQL's, or refusals; and a share of the statements is not refused."""
    counts: dict[str, int] = {}

    @settings(
        max_examples=examples,
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
    answered = sum(counts.values()) - counts.get("refused", 0)
    assert answered >= answered_at_least * sum(counts.values()), counts
