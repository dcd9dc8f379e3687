"""What rollups answer and what they do not; either way the answer is that of the source."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.rollups.warehouses import Warehouse, candidates_of

DATA = Path(__file__).parent / "testdata"


@dataclass(frozen=True)
class Case:
    """A statement, what is built when it is run, and what is to be seen in its plan."""

    name: str
    options: dict[str, str]
    sql: str
    reason: str

    @property
    def built(self) -> list[str]:
        return self.options.get("built", self.options.get("rollup", "")).split(",")

    @property
    def zone(self) -> str:
        return self.options.get("zone", "UTC")


def read_cases(file: str) -> list[Case]:
    """Blocks of a name, options, a statement, and perhaps a reason below a line."""
    found = []
    for block in (DATA / file).read_text().strip().split("\n\n"):
        name, options, *rest = block.split("\n")
        sql, _, reason = "\n".join(rest).partition("\n----\n")
        pairs = dict(word.partition("=")[::2] for word in options.split())
        found.append(Case(name.removeprefix("# "), pairs, sql, reason.strip()))
    return found


def read(case: Case, warehouse: Warehouse) -> tuple[tuple[str, ...], str, str]:
    """The rollups a statement reads, its plan and its SQL, once its rows were compared."""
    if case.options.get("only", warehouse.dialect) != warehouse.dialect:
        pytest.skip(f"only on {case.options['only']}")
    stored = [warehouse.build(f"sales.{name}") for name in case.built]
    statement, rows, expected = warehouse.answers(case.sql, candidates_of(stored), case.zone)
    plan = "\n".join(statement.steps.lines())
    assert rows == expected, f"{plan}\n{statement.sql}"
    return statement.rollups, plan, statement.sql


@pytest.mark.parametrize("case", read_cases("answered.test"), ids=lambda case: case.name)
def test_answered_from_a_rollup(case: Case, warehouse: Warehouse) -> None:
    rollups, plan, sql = read(case, warehouse)
    assert rollups == (f"sales.{case.options['rollup']}",), plan
    if "source" in case.options:
        assert "FROM sales" in sql, sql
    else:
        assert "FROM sales" not in sql, sql


@pytest.mark.parametrize("case", read_cases("not_answered.test"), ids=lambda case: case.name)
def test_not_answered_from_a_rollup(case: Case, warehouse: Warehouse) -> None:
    rollups, plan, _ = read(case, warehouse)
    assert rollups == (), plan
    assert case.reason in plan
