"""Every operator of row rules, over values of every kind, against PostgreSQL's own comparisons."""

from __future__ import annotations

from dataclasses import replace

import pytest

from semantic.model.policy import FilterNode, FilterOperator
from semantic.model.values import FrozenMap
from semantic.security.context import SecurityContext
from tests.compiler.policies.conftest import Company
from tests.compiler.policies.shops import Caller, condition
from tests.compiler.policies.shops import rows as ruled

ALL = (1, 2, 3, 4, 5, 6, 7)


def ids(caller: Caller) -> tuple[object, ...]:
    return tuple(row[0] for row in caller.rows("SELECT id FROM staff ORDER BY id"))


def left(company: Company, *filters: FilterNode, **attributes: object) -> tuple[object, ...]:
    context = SecurityContext.of("x", attributes=attributes)
    return ids(company.caller({"staff": [ruled(*filters)]}, context))


@pytest.mark.parametrize(
    ("member", "operator", "values", "expected"),
    [
        ("name", "equals", ["Ann"], (1,)),
        ("name", "equals", ["ann"], ()),
        ("name", "equals", ["Ann", "Bea", "Ann"], (1, 2)),
        ("name", "equals", ["Ann", None], (1, 6)),
        ("name", "equals", [None], (6,)),
        ("name", "in", ["Eve"], (5,)),
        ("name", "notEquals", ["Ann"], (2, 3, 4, 5, 6, 7)),
        ("name", "notEquals", ["Ann", None], (2, 3, 4, 5, 7)),
        ("name", "notEquals", [None], (1, 2, 3, 4, 5, 7)),
        ("name", "notIn", ["Ann", "Bea"], (3, 4, 5, 6, 7)),
        ("name", "contains", ["A"], (1, 2, 3, 4)),
        ("name", "contains", ["nn", "v"], (1, 5)),
        ("name", "contains", ["_"], (7,)),
        ("name", "contains", ["%"], (7,)),
        ("name", "contains", ["\\"], ()),
        ("name", "contains", [""], (1, 2, 3, 4, 5, 7)),
        ("name", "notContains", ["a"], (5, 6, 7)),
        ("name", "notContains", ["ann", "eve"], (2, 3, 4, 6, 7)),
        ("name", "startsWith", ["b", "C"], (2, 3)),
        ("name", "notStartsWith", ["b"], (1, 3, 4, 5, 6, 7)),
        ("name", "endsWith", ["A"], (2, 4)),
        ("name", "endsWith", ["_%"], (7,)),
        ("name", "notEndsWith", ["a"], (1, 3, 5, 6, 7)),
        ("name", "gt", ["Carl"], (4, 5, 7)),
        ("name", "set", [], (1, 2, 3, 4, 5, 7)),
        ("name", "notSet", [], (6,)),
        ("salary", "equals", [90, "150"], (1, 2)),
        ("salary", "equals", [90.0], (1,)),
        ("salary", "gt", [120], (2, 7)),
        ("salary", "gte", [120], (2, 3, 7)),
        ("salary", "lt", ["100"], (1, 6)),
        ("salary", "lte", [100], (1, 5, 6)),
        ("salary", "notEquals", [90], (2, 3, 4, 5, 6, 7)),
        ("departments.budget", "equals", [2000.5], (3, 4)),
        ("departments.budget", "gt", ["1000"], (3, 4)),
        ("departments.region", "notEquals", ["north"], (3, 4, 5, 6, 7)),
        ("region", "notSet", [], (5, 6, 7)),
        ("active", "equals", [True], (1, 3, 5, 7)),
        ("active", "equals", ["false"], (2, 6)),
        ("active", "notEquals", [True], (2, 4, 6)),
        ("rich", "equals", [True], (2, 3, 7)),
        ("hired", "inDateRange", ["2021-05-31", "2021-06-01"], (2, 3)),
        ("hired", "inDateRange", ["2020-01-15"], (1, 6)),
        ("hired", "inDateRange", ["2020-01-15 08:00:00", "2021-05-31"], (1, 2)),
        ("hired", "notInDateRange", ["2020-01-01", "2021-12-31"], (5, 7)),
        ("hired", "beforeDate", ["2020-01-15"], (7,)),
        ("hired", "beforeOrOnDate", ["2020-01-15"], (1, 6, 7)),
        ("hired", "beforeOrOnDate", ["2020-01-15T00:00:00"], (6, 7)),
        ("hired", "afterDate", ["2021-05-31"], (3, 5)),
        ("hired", "afterOrOnDate", ["2021-05-31"], (2, 3, 5)),
        ("hired", "afterOrOnDate", ["2022-12-31T23:59:59Z"], (5,)),
        ("hired", "equals", ["2021-05-31"], (2,)),
        ("hired.month", "equals", ["2020-01-01"], (1, 6)),
    ],
)  # fmt: skip
def test_operators(
    company: Company,
    member: str,
    operator: FilterOperator,
    values: list[object],
    expected: tuple[object, ...],
) -> None:
    assert left(company, condition(member, operator, *values)) == expected


OPERATORS: tuple[FilterOperator, ...] = (
    "equals", "notEquals", "in", "notIn", "contains", "notContains", "startsWith",
    "notStartsWith", "endsWith", "notEndsWith", "gt", "gte", "lt", "lte", "inDateRange",
    "notInDateRange", "beforeDate", "beforeOrOnDate", "afterDate", "afterOrOnDate",
)  # fmt: skip
NESTED = FrozenMap((("x", "Ann"),))
ODD = {
    "missing": None, "null": None, "empty": [], "with_null": ["Ann", None], "nested": {"x": "Ann"},
    "lists": [["Ann"]], "nul": "a\0b", "surrogate": "\ud800",
}  # fmt: skip


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("member", ["name", "salary", "hired", "active"])
def test_odd_values_let_no_row_pass(
    duckdb_company: Company, operator: FilterOperator, member: str
) -> None:
    """Missing, NULL, nested, empty, of another type: whatever the operator, also a negated one."""
    attributes = {name: value for name, value in ODD.items() if name != "missing"}
    context = SecurityContext.of("x", attributes=attributes)
    for name in (*ODD, "missing.inner", "nested.y"):
        caller = duckdb_company.caller(
            {"staff": [ruled(condition(member, operator, f"user.{name}"))]}, context
        )
        (grant,) = caller.access.relations["staff"].grants
        assert not getattr(grant.rows, "conditions", None), (name, grant.rows)
        assert getattr(grant.rows, "operator", None) == "or", name


@pytest.mark.parametrize(
    ("member", "operator", "value"),
    [
        ("salary", "equals", "ninety"), ("salary", "notEquals", "1e400"), ("salary", "gt", True),
        ("salary", "lt", 2**63), ("active", "equals", 1), ("hired", "afterDate", "last week"),
        ("hired", "beforeDate", "2024-02-30"), ("hired", "beforeOrOnDate", "9999-12-31"),
        ("name", "equals", True), ("salary", "contains", "9"), ("name", "afterDate", "2024-01-01"),
        ("name", "equals", 1.5), ("departments.budget", "equals", "NaN"),
    ],
)  # fmt: skip
def test_values_of_another_type_let_no_row_pass(
    company: Company, member: str, operator: FilterOperator, value: object
) -> None:
    assert left(company, condition(member, operator, "user.it"), it=value) == ()
    assert left(company, condition(member, operator, value)) == ()


def test_one_filter_that_is_false_leaves_the_others_of_an_or(company: Company) -> None:
    either = condition("id", "equals", 1), condition("salary", "gt", "user.nothing")
    policies = [ruled(filter_) for filter_ in either]
    assert ids(company.caller({"staff": policies})) == (1,)


@pytest.mark.parametrize("count", [2, 32, 33, 10_000])
def test_many_values(company: Company, count: int) -> None:
    names = ["Ann", "Eve", *(f"nobody {number}" for number in range(count - 2))]
    assert left(company, condition("name", "in", "user.names"), names=names) == (1, 5)
    assert left(company, condition("name", "notIn", "user.names"), names=names) == (2, 3, 4, 6, 7)
    numbers = list(range(2, count + 2))
    found = left(company, condition("id", "equals", "user.numbers"), numbers=numbers)
    assert found == ALL[1 : count + 1]
    budgets = [2000.5, *(float(number) for number in range(count - 1))]
    rule = condition("departments.budget", "in", "user.budgets")
    assert left(company, rule, budgets=budgets)[-2:] == (3, 4)


def test_moments_of_other_types_and_zones(company: Company) -> None:
    rule = condition("hired", "afterOrOnDate", "user.since")
    assert left(company, rule, since="2021-06-01T02:00:00+02:00") == (3, 5)
    assert left(company, rule, since="2021-06-01T02:00:01+02:00") == (5,)


def test_values_are_bound_and_shown_to_nobody(company: Company) -> None:
    rule = condition("name", "equals", "user.who")
    caller = company.caller(
        {"staff": [ruled(rule)]}, SecurityContext.of("x", attributes={"who": "S3CRET"})
    )
    statement = caller.compiled("SELECT name FROM staff WHERE salary > 5")
    shown = "\n".join(statement.steps.lines())
    for text in (statement.sql, shown, repr(statement)):
        assert "S3CRET" not in text
        assert "bound:" not in text
    assert "policies (staff.access_policy[1] (group: *))" in shown
    assert statement.governed
    assert [use.of(()) for use in statement.parameters] == ["S3CRET"]


def test_the_clients_parameters_keep_their_numbers(company: Company) -> None:
    rule = condition("salary", "gt", 95), condition("name", "notEquals", "Gus_%")
    caller = company.caller({"staff": [ruled(*rule)]})
    sql = "SELECT id, $2::text FROM staff WHERE salary < $1 AND id <> $3 ORDER BY id LIMIT $4"
    assert caller.rows(sql, [200, "x", 2, 1]) == [(3, "x")]


def test_equal_decisions_are_one_and_others_are_not(company: Company) -> None:
    policies = {"staff": [ruled(condition("name", "equals", "user.who"))]}

    def access(user: str, **attributes: object) -> object:
        context = SecurityContext.of(user, attributes=attributes)
        return company.caller(policies, context).access

    assert access("a", who="x") == access("b", who="x", other=1)
    assert hash(access("a", who="x")) == hash(access("b", who="x"))
    assert access("a", who="x") != access("a", who="y")
    assert access("a", who="1") != access("a", who=["1", "2"])
    assert replace(company).caller({}).access.is_open
