"""Random policies over random rows: any query answers as over a copy, filtered and masked by hand.

What rows and values a caller may see is worked out here a second time, row by row in Python, and
written into a table. A query of a governed cube and the same query of an open cube over that table
must agree.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from semantic.errors import SemanticError
from semantic.model.policy import (
    AccessPolicy,
    FilterCombination,
    FilterNode,
    MemberFilter,
    MemberRule,
    RowRule,
)
from semantic.security.context import SecurityContext
from tests.compiler.policies.conftest import TESTER, Company
from tests.compiler.policies.shops import condition
from tests.compiler.test_results import normal
from tests.support.duck import memory_database

TABLE = """
CREATE OR REPLACE TABLE things (id INTEGER, number INTEGER, word VARCHAR, flag BOOLEAN,
  shown_number INTEGER, shown_word VARCHAR, shown_flag BOOLEAN)
"""
EXAMPLES = int(os.environ.get("EXAMPLES", "100"))
MEMBERS = ("id", "number", "word", "flag", "longer", "count", "total", "flags")
MASKABLE = ("number", "word", "flag")
MASKS = {"number": -7, "word": None, "flag": None}
WORDS = (None, "", "a", "Ab", "b%", "_", "ba")
NUMBERS = (None, -7, 0, 1, 2, 3)


@dataclass(frozen=True)
class Thing:
    id: int
    number: int | None
    word: str | None
    flag: bool | None


@st.composite
def things(draw: st.DrawFn) -> list[Thing]:
    rows = draw(
        st.lists(
            st.tuples(
                st.sampled_from(NUMBERS),
                st.sampled_from(WORDS),
                st.sampled_from((None, True, False)),
            ),
            max_size=8,
        )
    )
    return [Thing(number, *row) for number, row in enumerate(rows)]


@st.composite
def member_filters(draw: st.DrawFn) -> MemberFilter:
    member = draw(st.sampled_from(("number", "word", "flag")))
    operators = ["equals", "notEquals", "in", "notIn", "set", "notSet"]
    if member == "number":
        operators += ["gt", "lte"]
    if member == "word":
        operators += ["contains", "notContains", "startsWith", "notEndsWith"]
    operator = draw(st.sampled_from(operators))
    if operator in ("set", "notSet"):
        return condition(member, operator)  # type: ignore[arg-type]
    if operator in ("gt", "lte"):
        return condition(member, operator, draw(st.sampled_from((0, 1, 2))))  # type: ignore[arg-type]
    values: list[object] = {  # type: ignore[assignment]
        "number": [0, 1, 2, "user.numbers"],
        "word": ["", "a", "B", "%", "user.words", "user.missing"],
        "flag": [True, False],
    }[member]
    chosen = draw(st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True))
    return condition(member, operator, *chosen)  # type: ignore[arg-type]


FILTERS = st.recursive(
    member_filters(),
    lambda inner: st.builds(
        FilterCombination, st.sampled_from(("and", "or")), st.lists(inner, max_size=2).map(tuple)
    ),
    max_leaves=3,
)


@st.composite
def policies(draw: st.DrawFn) -> AccessPolicy:
    level = draw(st.none() | st.sets(st.sampled_from(MEMBERS), min_size=3))
    masking = draw(st.none() | st.sets(st.sampled_from(MASKABLE), min_size=1))
    filters = draw(st.none() | st.lists(FILTERS, max_size=2))
    return AccessPolicy(
        groups=("*",),
        member_level=None if level is None else MemberRule(tuple(sorted(level))),
        member_masking=None if masking is None else MemberRule(tuple(sorted(masking))),
        row_level=None if filters is None else RowRule(tuple(filters)),
    )


CONTEXT = replace(
    TESTER,
    attributes=SecurityContext.of("", attributes={"numbers": [1, 3], "words": ["Ab"]}).attributes,
)
ATTRIBUTES: dict[str, list[object]] = {"user.numbers": [1, 3], "user.words": ["Ab"]}

QUERIES = (
    (("id", "number"), "SELECT id, number FROM things ORDER BY id"),
    (("id", "word", "longer"), "SELECT id, word, longer FROM things ORDER BY id"),
    (("word",), "SELECT word, COUNT(*) FROM things GROUP BY 1 ORDER BY 1"),
    (("flag", "count"), "SELECT flag, MEASURE(count) FROM things GROUP BY 1 ORDER BY 1"),
    (("total",), "SELECT MEASURE(total) FROM things"),
    (
        ("total", "word"),
        "SELECT word, MEASURE(total) FROM things GROUP BY ROLLUP (1) ORDER BY 1, 2",
    ),
    (("flags",), "SELECT MEASURE(flags), COUNT(*) FROM things"),
    ((), "SELECT COUNT(*) FROM things"),
    (("number",), "SELECT COUNT(*) FROM things WHERE number > 0 OR number IS NULL"),
    (("id", "flag"), "SELECT id FROM things WHERE flag ORDER BY id LIMIT 2"),
    (("number", "word"), "SELECT MAX(number), MIN(word), COUNT(DISTINCT word) FROM things"),
    (("id", "number"), "SELECT id, SUM(number) OVER (ORDER BY id) FROM things ORDER BY id"),
    (
        ("word", "flag"),
        "SELECT word FROM things EXCEPT SELECT word FROM things WHERE flag",
    ),
    (("id", "number"), "SELECT a.id FROM things a JOIN things b ON a.number = b.number ORDER BY 1"),
    (("id",), "SELECT id FROM things WHERE id IN (SELECT MAX(id) FROM things)"),
    (("id", "total"), "SELECT id, total FROM things ORDER BY id"),
)


def passes(thing: Thing, node: FilterNode) -> bool:
    if isinstance(node, FilterCombination):
        found = [passes(thing, item) for item in node.filters]
        return all(found) if node.operator == "and" else any(found)
    value = getattr(thing, node.member.path[0])
    operator = node.operator
    if operator in ("set", "notSet"):
        return (value is None) is (operator == "notSet")
    values: list[object] = []
    for item in node.values:
        name = "user." + ".".join(item.path) if hasattr(item, "path") else None
        if name is None:
            values.append(item)
        elif name in ATTRIBUTES:
            values += ATTRIBUTES[name]
        else:
            return False
    if value is None:
        return operator.startswith("not")
    if operator in ("equals", "in"):
        return value in values
    if operator in ("notEquals", "notIn"):
        return value not in values
    if operator in ("gt", "lte"):
        return value > values[0] if operator == "gt" else value <= values[0]  # type: ignore[operator]
    text, parts = value.lower(), [str(item).lower() for item in values]
    return {
        "contains": any(part in text for part in parts),
        "notContains": not any(part in text for part in parts),
        "startsWith": any(text.startswith(part) for part in parts),
        "notEndsWith": not any(text.endswith(part) for part in parts),
    }[operator]


def given_by(policy: AccessPolicy, member: str) -> bool:
    masked = policy.member_masking is not None and policy.member_masking.covers(member)
    return masked or policy.member_level is None or policy.member_level.covers(member)


def leaves(policy: AccessPolicy, thing: Thing) -> bool:
    return policy.row_level is None or all(passes(thing, item) for item in policy.row_level.filters)


def shown(
    rows: list[Thing], found: list[AccessPolicy], named: tuple[str, ...]
) -> Iterator[tuple[object, ...]]:
    """The rows of the copy, each with its values as they are and as they are shown."""
    contributing = [item for item in found if all(given_by(item, member) for member in named)]
    for thing in rows:
        giving = [item for item in contributing if leaves(item, thing)]
        if giving:
            values = [
                MASKS[member]
                if all(
                    item.member_masking is not None and item.member_masking.covers(member)
                    for item in giving
                )
                else getattr(thing, member)
                for member in MASKABLE
            ]
            yield (thing.id, thing.number, thing.word, thing.flag, *values)


def fill(database: duckdb.DuckDBPyConnection, rows: list[tuple[object, ...]]) -> None:
    database.execute(TABLE)
    if rows:
        database.executemany("INSERT INTO things VALUES (?, ?, ?, ?, ?, ?, ?)", rows)


@pytest.fixture(scope="module")
def copy() -> Iterator[duckdb.DuckDBPyConnection]:
    with memory_database() as database:
        yield database


@settings(
    max_examples=EXAMPLES,
    derandomize="EXAMPLES" not in os.environ,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(rows=things(), found=st.lists(policies(), min_size=1, max_size=3), data=st.data())
def test_as_over_a_copy(
    duckdb_company: Company,
    copy: duckdb.DuckDBPyConnection,
    rows: list[Thing],
    found: list[AccessPolicy],
    data: st.DataObject,
) -> None:
    named, sql = data.draw(st.sampled_from(QUERIES))
    database = duckdb_company.database
    assert isinstance(database, duckdb.DuckDBPyConnection)
    raw = [(t.id, t.number, t.word, t.flag, t.number, t.word, t.flag) for t in rows]
    fill(database, raw)
    governed = duckdb_company.caller({"things": found}, CONTEXT)
    contributes = any(all(given_by(item, member) for member in named) for item in found)
    if not contributes:
        with pytest.raises(SemanticError, match=r"permission denied|does not exist"):
            governed.compiled(sql)
        return
    statement = governed.compiled(sql)
    fill(copy, list(shown(rows, found, named)))
    open_to_all = replace(duckdb_company.caller({}), database=copy)
    answers = (governed.run(statement), open_to_all.rows(sql))
    if "ORDER BY" in sql:
        assert [normal(row) for row in answers[0]] == [normal(row) for row in answers[1]]
    else:
        first, second = ({normal(row) for row in answer} for answer in answers)
        assert first == second
