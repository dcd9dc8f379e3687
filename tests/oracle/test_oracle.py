"""Whatever is asked of a cube: PostgreSQL's answer over the cube's rows, or a clean refusal."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.mark.structures import ParameterSet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.oracle.harness import Laboratory
from tests.oracle.statements import Case, Statements

EXAMPLES = int(os.environ.get("ORACLE_EXAMPLES", "300"))
ANSWERED_AT_LEAST = 0.75
"""Of all statements: fewer would mean that the generator asks for what is refused anyway."""
RARE_AT_MOST = 0.02
"""Errors of values that PostgreSQL does not come across, as it orders its work otherwise; groups of
equal numbers that go by another of their spellings."""

SCRIPTS = sorted(Path(__file__).parent.glob("*.slt"))


class Drawn:
    """Choices that hypothesis makes, and shrinks towards the first of each."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw

    def integer(self, low: int, high: int) -> int:
        return self._draw(st.integers(low, high))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    return Statements(Drawn(draw)).case()


def test_random_statements(lab: Laboratory) -> None:
    counts: dict[str, int] = {}

    @settings(
        max_examples=EXAMPLES,
        derandomize="ORACLE_EXAMPLES" not in os.environ,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(cases())
    def check(case: Case) -> None:
        problem = lab.problem(case, counts)
        assert not problem, f"{problem}\n{case.ours}\n{case.plain}\n{case.values} {case.zone}"

    check()
    rare = counts.get("early", 0) + counts.get("spelled", 0)
    assert rare <= RARE_AT_MOST * sum(counts.values()), counts
    assert counts["answered"] >= ANSWERED_AT_LEAST * sum(counts.values()), counts


def scripts() -> Iterator[ParameterSet]:
    """Over cubes, and the same over rows: nothing where that is the same text, or a SQLSTATE.

    ``regressions.slt`` holds what was wrong once, the others a theme each.
    """
    for path in SCRIPTS:
        line = 1
        for block in path.read_text().split("\n\n"):
            start, line = line, line + block.count("\n") + 2
            lines = [text for text in block.splitlines() if not text.startswith("#")]
            if lines:
                ours, _, plain = "\n".join(lines).partition("\n----\n")
                yield pytest.param(ours, plain.strip() or ours, id=f"{path.stem}:{start}")


@pytest.mark.parametrize(("ours", "plain"), list(scripts()))
def test_scripts(lab: Laboratory, ours: str, plain: str) -> None:
    if len(plain) == 5:
        for client in lab.ours.values():
            answer = client.ask(ours)
            assert answer.sqlstate == plain
            assert answer.helpful
        return
    assert lab.problem(Case(ours, plain, ordered="ORDER BY" in plain)) == ""
    assert not any(client.ask(ours).sqlstate for client in lab.ours.values())
