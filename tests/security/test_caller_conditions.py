"""Conditions of access policies: PostgreSQL says what each of them is."""

from __future__ import annotations

import re
from itertools import product

import psycopg
import pytest

from semantic.model.condition import Condition
from semantic.model.loader import load_texts
from semantic.model.policy import AccessPolicy
from semantic.model.read_condition import ConditionError, parse_condition
from semantic.model.template import Reference, SecurityContextReference, SqlTemplate, parse_template
from semantic.security.caller_conditions import holds
from semantic.security.context import SecurityContext
from semantic.security.matching import matching_policies
from tests.support.oracle import OraclePostgres

CONDITIONS = """
{ user.flag }
NOT { user.flag }
NOT NOT { user.flag }
{ user.flag } IS TRUE
{ user.flag } IS NOT TRUE
{ user.flag } IS NOT FALSE AND { user.name } = 'ann'
{ user.flag } OR { user.level } > 2
{ user.flag } AND { user.level } > 2 OR { user.name } LIKE 'a%'
{ user.flag } AND ({ user.level } > 2 OR { user.name } LIKE 'a%')
{ user.flag } = true
true <> { user.flag }
{ user.level } = 3
{ user.level } >= 2.5
{ user.level } > -1
{ user.level } <> 3 IS NULL
{ user.level } BETWEEN 1 AND 3
{ user.level } NOT BETWEEN 1 AND 3
{ user.level } IN (1, 2, 3)
{ user.level } NOT IN (1, NULL)
{ user.level } IS DISTINCT FROM 3
{ user.level } IS NOT DISTINCT FROM NULL
{ user.name } = 'ann'
{ user.name } != 'it''s'
{ user.name } IS NULL
{ user.name } IS NOT NULL AND { user.name } < 'b'
{ user.name } IN ('ann', 'bob')
{ user.name } LIKE 'a_n'
{ user.name } NOT LIKE '%n%'
{ user.name } LIKE '100\\%%'
{ user.name } ILIKE 'ANN'
{ user.name } LIKE 'a\\'
'x' IN { user.list }
'x' NOT IN { user.list }
'x' = ANY({ user.list })
{ user.name } = ANY (ARRAY['ann', 'bob', NULL])
'x' <> ALL ({ user.list })
'm' < SOME ({ user.list })
({ user.level } = 3) IS UNKNOWN
{ user.name } = { user.level }
""".strip().splitlines()

ATTRIBUTES: dict[str, tuple[object, ...]] = {
    "flag": (True, False, None, "true", "maybe", 1),
    "level": (3, 0, 2.5, None, "3", "three"),
    "name": ("ann", "it's", "100%", "", None),
    "list": (["x", "y"], ["a"], [], [None], None),
}


def condition(text: str) -> Condition:
    parsed = parse_template(text)
    parts = tuple(
        SecurityContextReference(part.path[1:], position=part.position)
        if isinstance(part, Reference)
        else part
        for part in parsed.parts
    )
    template = SqlTemplate(parsed.text, parts)
    return Condition(template, parse_condition(template))


def literal(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool | int | float):
        return str(value)
    if isinstance(value, list):
        return f"ARRAY[{', '.join(map(literal, value))}]::text[]"
    return "'" + str(value).replace("'", "''") + "'"


def as_sql(text: str, attributes: dict[str, object]) -> str:
    text = re.sub(r"NOT IN (\{[^}]*\})", r"<> ALL (\1)", text)
    text = re.sub(r"IN (\{[^}]*\})", r"= ANY (\1)", text)
    whole = re.sub(r"\{ user\.(\w+) \}", lambda found: literal(attributes[found[1]]), text)
    return f"SELECT ({whole}) IS TRUE"


@pytest.mark.parametrize("text", CONDITIONS)
def test_is_what_postgres_says(oracle: OraclePostgres, text: str) -> None:
    test = condition(text)
    names = re.findall(r"user\.(\w+)", text)
    used = sorted(set(names))
    outcomes = set()
    with psycopg.connect(oracle.dsn, autocommit=True) as connection:
        for values in product(*(ATTRIBUTES[name] for name in used)):
            attributes = dict(zip(used, values, strict=True))
            try:
                row = connection.execute(as_sql(text, attributes).encode()).fetchone()
                expected = row is not None and row[0]
            except psycopg.Error:
                expected = False
            context = SecurityContext.of("ann", attributes=attributes)
            outcomes.add(expected)
            assert holds(test, context) is expected, attributes
    never = text.endswith(("'a\\'", "(1, NULL)", "= { user.level }"))
    assert outcomes == ({False} if never else {True, False})


def test_a_missing_attribute_is_null() -> None:
    nobody = SecurityContext.of("ann")
    assert not holds(condition("{ user.admin }"), nobody)
    assert not holds(condition("NOT { user.admin }"), nobody)
    assert not holds(condition("{ user.a.b } = 1"), nobody)
    assert holds(condition("{ user.admin } IS NULL"), nobody)


@pytest.mark.parametrize("value", [["x"], {"a": 1}, float("nan"), [["x"]]])
@pytest.mark.parametrize(
    "text",
    [
        "{ user.a } = 'x'",
        "{ user.a } <> 'x'",
        "NOT { user.a }",
        "{ user.a } = 1 OR true",
        "'x' NOT IN ({ user.a }, 1)",
    ],
)
def test_a_value_of_the_wrong_kind_lets_no_policy_apply(text: str, value: object) -> None:
    assert not holds(condition(text), SecurityContext.of("ann", attributes={"a": value}))


def test_the_contexts_own_names() -> None:
    context = SecurityContext.of("ann", groups=frozenset({"sales", "emea"}), tenant="t1")
    assert holds(condition("'sales' = ANY({ user.groups })"), context)
    assert holds(condition("{ user.name } = 'ann' AND { user.tenant } = 't1'"), context)


def test_a_policy_applies_when_all_its_conditions_hold() -> None:
    both = (condition("{ user.a } = 1"), condition("{ user.b } = 2"))
    policies = (
        AccessPolicy(groups=("*",), conditions=both),
        AccessPolicy(groups=("*",), conditions=both[:1]),
        AccessPolicy(groups=("sales",), conditions=both),
    )
    one = SecurityContext.of("ann", attributes={"a": 1})
    two = SecurityContext.of("ann", attributes={"a": 1, "b": 2})
    assert [number for number, _ in matching_policies(policies, one)] == [1]
    assert [number for number, _ in matching_policies(policies, two)] == [0, 1]


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("{ user.a } == 1", 11, 'write "=" instead of =='),
        ("{ user.a } = '{ user.b }'", 14, "an attribute stands without quotes"),
        ("{ user.a } = ", 13, "the condition ends too early"),
        ("lower({ user.a }) = 'x'", 0, "unexpected lower"),
        ("{ user.a } = 1 ; DROP", 15, "';' is not understood"),
        ("{ user.a } IS 3", 14, '"NULL", "TRUE", "FALSE"'),
        ("{ user.a } NOT = 3", 15, '"IN", "LIKE" or "BETWEEN"'),
        ("({ user.a } = 3", 15, "the condition ends too early"),
        ("{ user.a } = 3)", 14, "unexpected )"),
        ("{ user.a } = -'3'", 14, "a number is expected"),
        ("x = ANY (3)", 0, "unexpected x"),
        ("3 = ANY (3)", 9, "a list such as"),
        ("(" * 60 + "{ user.a }" + ")" * 60, 0, "nested too deep"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(text: str, position: int, message: str) -> None:
    with pytest.raises(ConditionError) as caught:
        condition(text)
    assert caught.value.position == position
    assert message in caught.value.message


def test_a_condition_that_cannot_be_read_is_reported_at_load() -> None:
    report = load_texts(
        {
            "a.yml": "cubes:\n"
            "  - name: a\n"
            "    sql_table: a\n"
            "    dimensions: [{name: id, sql: id, type: number}]\n"
            "    access_policy:\n"
            "      - group: '*'\n"
            "        conditions:\n"
            "          - if: |\n"
            "              { user.a }\n"
            "                == 3\n"
        }
    )
    assert report.model is None
    (problem,) = report.problems
    assert str(problem.location) == "a.yml:10:17"
    assert problem.text.startswith('write "=" instead of ==')
