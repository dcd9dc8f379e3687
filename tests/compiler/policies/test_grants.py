"""Which rows and members several policies give together, of cubes and of views."""

from __future__ import annotations

from dataclasses import replace

import pytest

from semantic.compiler.api import SessionSettings
from semantic.errors import DeniedError, SemanticError
from semantic.model.model import Model
from semantic.model.policy import AccessPolicy, FilterCombination, MemberRule, RowRule
from semantic.model.relations import Join
from semantic.model.template import parse_template
from semantic.security.access import UNGOVERNED, RowTenancy, decide
from semantic.security.context import SecurityContext
from tests.compiler.policies.conftest import Company
from tests.compiler.policies.shops import Caller, condition
from tests.compiler.policies.shops import rows as ruled
from tests.compiler.test_results import normal

NORTH = AccessPolicy(
    groups=("*",),
    member_level=MemberRule(("id", "name", "count")),
    row_level=RowRule((condition("region", "equals", "north"),)),
)
PAID = AccessPolicy(
    groups=("*",),
    member_level=MemberRule(("id", "salary", "payroll", "count")),
    row_level=RowRule((condition("salary", "gt", 100),)),
)


def rows(caller: Caller, sql: str) -> list[tuple[object, ...]]:
    return [normal(row) for row in caller.rows(sql)]


def test_a_use_has_the_rows_of_the_policies_that_give_all_it_names(company: Company) -> None:
    caller = company.caller({"staff": [NORTH, PAID]})
    assert rows(caller, "SELECT id FROM staff ORDER BY 1") == [(1,), (2,), (3,), (7,)]
    assert rows(caller, "SELECT COUNT(*) FROM staff") == [(4,)]
    assert rows(caller, "SELECT id, name FROM staff ORDER BY 1") == [(1, "Ann"), (2, "Bea")]
    assert rows(caller, "SELECT id, salary FROM staff ORDER BY 1") == [(2, 150), (3, 120), (7, 300)]
    assert rows(caller, "SELECT MEASURE(payroll) FROM staff") == [(570,)]
    # Each use by itself.
    sql = "SELECT a.name, b.salary FROM staff a JOIN staff b ON a.id = b.id"
    assert rows(caller, sql) == [("Bea", 150)]
    assert rows(caller, "SELECT name FROM (SELECT * FROM staff) AS s ORDER BY 1") == [
        ("Ann",),
        ("Bea",),
    ]


@pytest.mark.parametrize(
    ("sql", "place", "text"),
    [
        ("SELECT name, salary FROM staff", 14, "staff.salary together with name"),
        (
            "SELECT id FROM staff WHERE name = 'x' OR salary > 1",
            42,
            "staff.salary together with name",
        ),
        ("SELECT active FROM staff", 8, "permission denied for staff.active"),
        ("SELECT id FROM staff ORDER BY hired", 31, "permission denied for staff.hired"),
        ("SELECT name, MEASURE(payroll) FROM staff GROUP BY 1", 14, "staff.payroll together with"),
        ("SELECT * FROM staff", None, "permission denied for staff."),
    ],
)
def test_members_that_no_policy_gives_together(
    company: Company, sql: str, place: int | None, text: str
) -> None:
    caller = company.caller({"staff": [NORTH, PAID]})
    with pytest.raises(DeniedError, match=text) as caught:
        caller.compiled(sql)
    assert (caught.value.sqlstate, caught.value.position) == ("42501", place)


def test_members_of_other_policies_serve_definitions_and_rules(company: Company) -> None:
    only = AccessPolicy(
        groups=("*",),
        member_level=MemberRule(("band", "department", "share")),
        row_level=RowRule((condition("departments.region", "equals", "north"),)),
    )
    caller = company.caller({"staff": [only]})
    sql = "SELECT band, department, MEASURE(share) FROM staff GROUP BY 1, 2 ORDER BY 1"
    assert rows(caller, sql) == [("high", "Sales", 150), ("low", "Sales", 90)]


def test_hidden_rows_of_a_joined_cube_are_not_there(company: Company) -> None:
    caller = company.caller({"departments": [ruled(condition("region", "equals", "south"))]})
    sql = "SELECT id, department, region FROM staff WHERE id < 4 ORDER BY 1"
    assert rows(caller, sql) == [(1, None, None), (2, None, None), (3, "Research", "south")]
    # A rule over a joined cube sees what the caller may see of it.
    both = company.caller(
        {
            "departments": [ruled(condition("region", "equals", "south"))],
            "staff": [ruled(condition("region", "set"))],
        }
    )
    assert rows(both, "SELECT id FROM staff ORDER BY 1") == [(3,), (4,)]
    assert rows(both, "SELECT MEASURE(paid), COUNT(to_whom) FROM payments") == [(119.5, 2)]


def test_a_cube_whose_policies_apply_to_nobody_is_not_there(company: Company) -> None:
    caller = company.caller({"departments": [AccessPolicy(groups=("board",))]})
    for sql in ("SELECT COUNT(*) FROM departments", "SELECT id FROM departments"):
        with pytest.raises(SemanticError) as caught:
            caller.compiled(sql)
        assert caught.value.sqlstate == "42P01"
        assert caught.value.message == 'relation "departments" does not exist'
    assert rows(caller, "SELECT id, region FROM staff WHERE id < 3 ORDER BY 1") == [
        (1, None),
        (2, None),
    ]
    plan = caller.compiled("SELECT region FROM staff").steps
    policies = [name for step in plan.walk() for name in step.policies]
    assert policies == ["departments: no access policy applies to the caller"]


def test_nothing_of_a_governed_model_is_read_without_a_decision(company: Company) -> None:
    caller = company.caller({"staff": [ruled(condition("id", "gt", 1))]})
    settings = SessionSettings("tester", "cubewire")
    with pytest.raises(SemanticError, match='relation "staff" does not exist'):
        caller.compiler.bind("SELECT id FROM staff", settings)
    own = SessionSettings("tester", "cubewire", access=UNGOVERNED)
    assert caller.compiler.bind("SELECT id FROM staff", own) is not None


# Views


def test_a_view_has_the_rows_that_its_policies_and_those_of_its_cubes_leave(
    company: Company,
) -> None:
    view = ruled(condition("departments_region", "equals", "north", "south"))
    caller = company.caller({"people": [view], "staff": [ruled(condition("salary", "gte", 100))]})
    assert rows(caller, "SELECT id FROM people ORDER BY 1") == [(2,), (3,)]
    assert rows(caller, "SELECT COUNT(*), MEASURE(payroll) FROM people") == [(2, 270)]
    assert rows(caller, "SELECT MEASURE(pay_per_head) FROM people") == [(135,)]


def test_members_of_a_view_are_those_that_both_give(company: Company) -> None:
    caller = company.caller({"people": [AccessPolicy(groups=("*",))], "staff": [NORTH, PAID]})
    assert rows(caller, "SELECT name FROM people ORDER BY 1") == [("Ann",), ("Bea",)]
    assert rows(caller, "SELECT salary FROM people ORDER BY 1") == [(120,), (150,), (300,)]
    with pytest.raises(DeniedError, match=r"staff\.salary together with name"):
        caller.compiled("SELECT name, salary FROM people")
    with pytest.raises(DeniedError, match=r"permission denied for staff\.active"):
        caller.compiled("SELECT active FROM people")


def test_masks_of_views(company: Company) -> None:
    own = AccessPolicy(
        groups=("*",),
        row_level=RowRule((condition("departments_region", "equals", "north"),)),
    )
    masked = AccessPolicy(
        groups=("*",), member_masking=MemberRule(("name", "payroll", "departments_name", "rich"))
    )
    caller = company.caller({"people": [own, masked]})
    sql = "SELECT id, name, departments_name, rich FROM people WHERE id IN (2, 3) ORDER BY 1"
    assert rows(caller, sql) == [(2, "Bea", "Sales", True), (3, "C***", "(a department)", None)]
    # The view's own measure is made of one that is masked.
    sql = "SELECT MEASURE(payroll), MEASURE(pay_per_head) FROM people"
    assert rows(caller, sql) == [(0, None)]
    assert rows(caller, "SELECT payroll FROM people WHERE id = 2") == [(0,)]


# Nested rules, recursion, tenants


def test_rules_within_rules(company: Company) -> None:
    rule = FilterCombination(
        "or",
        (
            FilterCombination(
                "and", (condition("active", "equals", True), condition("salary", "lt", 100))
            ),
            condition("name", "notSet"),
        ),
    )
    caller = company.caller({"staff": [ruled(rule)]})
    assert rows(caller, "SELECT id FROM staff ORDER BY 1") == [(1,), (6,)]
    nothing = company.caller({"staff": [ruled(FilterCombination("or", ()))]})
    assert rows(nothing, "SELECT COUNT(*) FROM staff") == [(0,)]


def test_a_rule_that_needs_its_own_rows_is_refused(company: Company) -> None:
    back = Join("staff", "many_to_one", parse_template("{CUBE}.id = {staff}.department_id"))
    model = company.model
    cubes = (
        replace(cube, joins=(back,)) if cube.name == "departments" else cube for cube in model.cubes
    )
    caller = replace(company, model=Model(tuple(cubes), model.views)).caller(
        {
            "departments": [ruled(condition("staff.salary", "set"))],
            "staff": [ruled(condition("departments.region", "set"))],
        }
    )
    with pytest.raises(SemanticError, match="infinite recursion detected in policy") as caught:
        caller.compiled("SELECT id FROM staff")
    assert caught.value.sqlstate == "42P17"


TENANT = RowTenancy("region", {"payments": "region"}, frozenset())


@pytest.mark.parametrize(
    ("tenant", "expected"), [("north", (2, 3, 60.5)), ("east", (0, 0, None)), (None, (0, 0, None))]
)
def test_tenants_see_their_own_rows(
    company: Company, tenant: str | None, expected: tuple[object, ...]
) -> None:
    caller = company.caller(
        {}, SecurityContext.of("x", tenant=tenant, attributes={"tenant": "north"})
    )
    types = {(relation, name): kind for relation, name, kind in caller.published.types}
    access = decide(caller.model, types, caller.context, tenancy=TENANT)
    caller.__dict__["access"] = access
    assert rows(caller, "SELECT COUNT(*) FROM staff") == [expected[:1]]
    assert rows(caller, "SELECT COUNT(*), MEASURE(paid) FROM payments") == [expected[1:]]


def test_a_cube_without_a_tenant_is_closed_unless_it_is_shared(company: Company) -> None:
    caller = company.caller({}, SecurityContext.of("x", tenant="north"))
    types = {(relation, name): kind for relation, name, kind in caller.published.types}
    closed = decide(caller.model, types, caller.context, tenancy=RowTenancy("region"))
    without = {name for name, item in closed.relations.items() if not item.grants}
    assert "payments" not in without
    closed = decide(caller.model, types, caller.context, tenancy=RowTenancy("name"))
    without = {name for name, item in closed.relations.items() if not item.grants}
    assert "payments" in without
    assert "staff" not in without
    shared = RowTenancy("name", shared=frozenset({"payments"}))
    assert decide(caller.model, types, caller.context, tenancy=shared).of("payments") is None


def test_what_has_no_policy_is_closed_where_the_default_is_deny(company: Company) -> None:
    caller = company.caller({"staff": [NORTH]})
    types = {(relation, name): kind for relation, name, kind in caller.published.types}
    access = decide(caller.model, types, caller.context, default="deny")
    assert {name for name, item in access.relations.items() if item.grants} == {"staff"}
    assert access.relations["people"].reasons == (
        "it has no access policy, and security.default is deny",
    )
