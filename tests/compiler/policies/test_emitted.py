"""What governed statements become: plans, SQL for both warehouses, types of what is bound."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from semantic.model.policy import AccessPolicy, FilterCombination, MemberRule
from semantic.security.context import SecurityContext
from tests.compiler.datadriven import Case, run
from tests.compiler.policies.conftest import Company
from tests.compiler.policies.shops import condition
from tests.compiler.policies.shops import rows as ruled

FILES = sorted((Path(__file__).parent / "testdata").glob("*.test"))

POLICIES: dict[str, dict[str, Sequence[AccessPolicy]]] = {
    "equal": {"staff": [ruled(condition("department_id", "equals", "user.department"))]},
    "nested": {
        "staff": [
            ruled(
                FilterCombination(
                    "or", (condition("region", "in", "user.regions"), condition("name", "notSet"))
                ),
                condition("name", "notContains", "50%_"),
            )
        ]
    },
    "many": {"staff": [ruled(condition("id", "in", *range(40)))]},
    "masked": {
        "staff": [
            ruled(condition("department_id", "equals", "user.department")),
            AccessPolicy(groups=("*",), member_masking=MemberRule(("salary", "name", "payroll"))),
        ]
    },
    "view": {"people": [ruled(condition("departments_region", "equals", "user.region"))]},
    "nobody": {"departments": [AccessPolicy(groups=("board",))]},
}
CONTEXT = SecurityContext.of(
    "x", attributes={"department": 1, "regions": ["north", "south"], "region": "north"}
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_emitted(path: Path, duckdb_company: Company, postgres_company: Company) -> None:
    def perform(case: Case) -> str:
        policies = POLICIES[case.options["policies"]]
        duckdb, postgres = (
            company.caller(policies, CONTEXT).compiled(case.text)
            for company in (duckdb_company, postgres_company)
        )
        assert duckdb.steps == postgres.steps
        bound = ", ".join(use.type.name for use in postgres.parameters)
        return "\n".join(
            (
                *postgres.steps.lines(),
                f"bound: {bound}",
                f"postgres: {postgres.sql}",
                f"duckdb: {duckdb.sql}",
            )
        )

    run(path, perform)
