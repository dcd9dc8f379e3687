"""Default filters of views: they hold unless the query filters certain columns itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from semantic.model.model import Model
from semantic.model.policy import FilterNode
from semantic.model.template import Reference
from semantic.security.access import OPEN
from semantic.security.context import SecurityContext
from tests.compiler.policies.conftest import TESTER, Company
from tests.compiler.policies.shops import Caller, condition
from tests.compiler.policies.shops import rows as ruled

ACTIVE = condition("active", "equals", True)
UNLESS = replace(
    condition("departments_region", "equals", "north"),
    unless=(Reference(("departments_region",)), Reference(("departments_name",))),
)
OWN = condition("id", "lte", "user.most")


def caller(
    company: Company, *filters: FilterNode, context: SecurityContext = TESTER, **policies: object
) -> Caller:
    model = company.model
    views = (
        replace(view, default_filters=filters) for view in model.views if view.name == "people"
    )
    changed = replace(company, model=Model(model.cubes, tuple(views)))
    return changed.caller(policies, context)  # type: ignore[arg-type]


def ids(asked: Caller, where: str = "") -> list[object]:
    return [row[0] for row in asked.rows(f"SELECT id FROM people{where} ORDER BY id")]


def test_they_are_no_policies(company: Company) -> None:
    asked = caller(company, ACTIVE)
    assert asked.access is OPEN or asked.access == OPEN
    assert ids(asked) == [1, 3, 5, 7]
    assert not asked.compiled("SELECT id FROM people").governed
    assert asked.rows("SELECT COUNT(*), MEASURE(count) FROM people") == [(4, 4)]
    # Those of a view are not those of its cubes.
    assert asked.rows("SELECT COUNT(*) FROM staff") == [(7,)]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("", [1, 2]),
        (" WHERE id > 1", [2]),
        (" WHERE departments_region = 'south'", [3, 4]),
        (" WHERE departments_region IS NOT NULL", [1, 2, 3, 4]),
        (" WHERE departments_name = 'Research' AND id > 3", [4]),
        (" WHERE id IN (SELECT id FROM people)", [1, 2]),
        (" WHERE departments_name IN (SELECT 'Research')", []),
    ],
)
def test_unless(company: Company, where: str, expected: list[object]) -> None:
    assert ids(caller(company, UNLESS), where) == expected


def test_the_condition_must_be_over_the_view_itself(company: Company) -> None:
    asked = caller(company, UNLESS)
    outside = "SELECT id FROM (SELECT * FROM people) AS p WHERE departments_region = 'south'"
    assert asked.rows(outside) == []


def test_beside_policies_and_attributes(company: Company) -> None:
    context = SecurityContext.of("x", attributes={"most": 4})
    asked = caller(company, ACTIVE, OWN, context=context)
    assert ids(asked) == [1, 3]
    rule = ruled(condition("departments_region", "equals", "south"))
    assert ids(caller(company, ACTIVE, context=context, people=[rule])) == [3]
    assert ids(
        caller(company, ACTIVE, context=context, staff=[ruled(condition("id", "gt", 1))])
    ) == [
        3,
        5,
        7,
    ]
    assert ids(caller(company, OWN)) == []
