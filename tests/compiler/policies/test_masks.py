"""Masked members: their masks stand for their values wherever they are used."""

from __future__ import annotations

import pytest

from semantic.errors import DeniedError
from semantic.model.policy import AccessPolicy, MemberRule, RowRule
from semantic.security.context import SecurityContext
from tests.compiler.policies.conftest import Company
from tests.compiler.policies.shops import Caller, condition
from tests.compiler.test_results import normal

MASKED = ("name", "salary", "hired", "payroll", "average_salary", "rich")
EVERYBODY = AccessPolicy(groups=("*",), member_masking=MemberRule(MASKED))
LEADS = AccessPolicy(
    groups=("leads",),
    row_level=RowRule((condition("department_id", "equals", "user.department"),)),
)
LEAD = SecurityContext.of("bea", groups=frozenset({"leads"}), attributes={"department": 1})


def rows(caller: Caller, sql: str) -> list[tuple[object, ...]]:
    return [normal(row) for row in caller.rows(sql)]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT name, salary FROM staff ORDER BY id LIMIT 2", [("A***", -1), ("B***", -1)]),
        # What is made of a masked member is made of its mask.
        ("SELECT DISTINCT initial FROM staff WHERE id = 1", [("A*",)]),
        ("SELECT band, COUNT(*) FROM staff GROUP BY 1", [("low", 7)]),
        ("SELECT COUNT(*) FROM staff WHERE salary > 0", [(0,)]),
        ("SELECT COUNT(*) FROM staff WHERE rich", [(0,)]),
        ("SELECT MAX(salary), MIN(name), COUNT(hired) FROM staff", [(-1, "A***", 0)]),
        ("SELECT hired_term, term_start, hired_fiscal FROM staff WHERE id = 1", [(None,) * 3]),
        ("SELECT date_trunc('month', hired), extract(year FROM hired) FROM staff WHERE id = 1",
         [(None, None)]),
        # Measures: grouped, as rows (M5), in HAVING, in ORDER BY, over no rows, in others.
        ("SELECT MEASURE(payroll), MEASURE(average_salary), COUNT(*) FROM staff", [(0, None, 7)]),
        ("SELECT payroll, average_salary FROM staff WHERE id = 2", [(0, None)]),
        ("SELECT SUM(payroll) FROM staff", [(0,)]),
        ("SELECT department_id FROM staff GROUP BY 1 HAVING MEASURE(payroll) > 1", []),
        ("SELECT MEASURE(share), MEASURE(highest_band) FROM staff", [(0, "low")]),
        ("SELECT share FROM staff WHERE id = 2", [(0,)]),
        ("SELECT MEASURE(payroll) FROM staff WHERE id = 99", [(None,)]),
        ("SELECT active, MEASURE(payroll) FROM staff GROUP BY ROLLUP (1) ORDER BY 1, 2",
         [(False, 0), (True, 0), (None, 0), (None, 0)]),
        ("SELECT SUM(MEASURE(payroll)) OVER () FROM staff", [(0,)]),
        # Over joins: the definition of another cube's member, a view, the model's join.
        ("SELECT to_whom FROM payments WHERE id = 1", [("A***",)]),
        ("SELECT name, salary, payroll, rich FROM people WHERE id = 2", [("B***", -1, 0, None)]),
        ("SELECT MEASURE(pay_per_head) FROM people", [(0,)]),
        # A measure as a value of another cube's rows.
        ("SELECT cost, heads FROM units WHERE id = 1", [(0, 2)]),
        ("SELECT MEASURE(total_cost), MEASURE(per_head) FROM units", [(0, 0)]),
        ("SELECT per_head FROM units WHERE id = 1", [(0,)]),
        ("SELECT s.name, SUM(p.paid) FROM payments p JOIN staff s ON p.staff_id = s.id "
         "WHERE s.id = 1 GROUP BY 1", [("A***", 30.5)]),
    ],
)  # fmt: skip
def test_everybody_sees_masks(company: Company, sql: str, expected: object) -> None:
    assert rows(company.caller({"staff": [EVERYBODY]}), sql) == expected


def test_rows_of_ones_own_are_not_masked(company: Company) -> None:
    caller = company.caller({"staff": [EVERYBODY, LEADS]}, LEAD)
    sql = "SELECT id, name, salary, initial, band FROM staff WHERE id IN (1, 2, 3) ORDER BY 1"
    assert rows(caller, sql) == [
        (1, "Ann", 90, "An", "low"),
        (2, "Bea", 150, "Be", "high"),
        (3, "C***", -1, "C*", "low"),
    ]
    assert rows(caller, "SELECT to_whom FROM payments WHERE id IN (3, 4) ORDER BY 1") == [
        ("Bea",),
        ("C***",),
    ]
    assert rows(caller, "SELECT COUNT(*) FROM staff WHERE rich") == [(1,)]
    # A measure over rows of which some are masked is masked as a whole.
    assert rows(caller, "SELECT MEASURE(payroll), MEASURE(share) FROM staff") == [(0, 0)]
    assert rows(caller, "SELECT COUNT(hired_term), COUNT(hired) FROM staff") == [(2, 2)]


def test_a_policy_without_masks_and_row_rules_shows_all(company: Company) -> None:
    everything = AccessPolicy(groups=("leads",))
    caller = company.caller({"staff": [EVERYBODY, everything]}, LEAD)
    assert rows(caller, "SELECT MEASURE(payroll), MEASURE(share) FROM staff WHERE id < 3") == [
        (240, 120)
    ]
    assert rows(caller, "SELECT name, salary FROM staff WHERE id = 1") == [("Ann", 90)]


def test_a_measure_is_seen_where_the_policies_that_contribute_do_not_mask_it(
    company: Company,
) -> None:
    north = AccessPolicy(
        groups=("*",),
        member_level=MemberRule(("payroll", "region", "id")),
        row_level=RowRule((condition("region", "equals", "north"),)),
    )
    others = AccessPolicy(
        groups=("*",),
        member_level=MemberRule(("active", "id")),
        member_masking=MemberRule(("payroll",)),
    )
    caller = company.caller({"staff": [north, others]})
    assert rows(caller, "SELECT region, MEASURE(payroll) FROM staff GROUP BY 1") == [("north", 240)]
    assert rows(caller, "SELECT MEASURE(payroll) FROM staff") == [(0,)]
    assert rows(caller, "SELECT active, MEASURE(payroll) FROM staff WHERE active GROUP BY 1") == [
        (True, 0)
    ]
    with pytest.raises(DeniedError, match=r"permission denied for staff\.active together with"):
        rows(caller, "SELECT region, active FROM staff")


def test_keys_and_joins_are_those_of_the_rows(company: Company) -> None:
    masked = AccessPolicy(
        groups=("*",), member_masking=MemberRule(("id", "department_id", "salary"))
    )
    caller = company.caller({"staff": [masked]})
    assert rows(caller, "SELECT DISTINCT id, department_id FROM staff") == [(None, None)]
    # The model's joins still find their partners, and each row counts once.
    assert rows(
        caller, "SELECT department, COUNT(*) FROM staff WHERE department = 'Sales' GROUP BY 1"
    ) == [("Sales", 2)]
    sql = "SELECT MEASURE(s.count), MEASURE(p.paid) FROM payments p CROSS JOIN staff s"
    assert rows(caller, sql) == [(4, 119.5)]
    # A condition that the client writes is over what the client sees.
    assert rows(caller, "SELECT COUNT(*) FROM payments p JOIN staff s ON p.staff_id = s.id") == [
        (0,)
    ]
