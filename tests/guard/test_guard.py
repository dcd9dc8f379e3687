"""Hostile texts are told by their size, in linear time, and never parsed on the event loop."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import parse_one
from sqlglot.errors import SqlglotError

from semantic.compiler.guard import GuardLimits, TextSize, Verdict, inspect, measure
from semantic.errors import SemanticError

LIMITS = GuardLimits()


@pytest.mark.parametrize(
    ("sql", "size"),
    [
        ("select 1", TextSize(0, 0)),
        ("select ((1))", TextSize(2, 0)),
        ("select (1), (2), [3]", TextSize(1, 0)),
        ("select f(a[1])", TextSize(2, 0)),
        ("select case when (a) then 1 end", TextSize(2, 0)),
        ("select '((((' || \"((((\" -- ((((\n", TextSize(0, 1)),
        ("select /* ( /* ( */ ( */ (1)", TextSize(1, 0)),
        ("select $$((($$, $x$ $$ ((( $x$", TextSize(0, 0)),
        ("select E'\\'((('", TextSize(0, 0)),
        ("select a::int::text", TextSize(0, 2)),
        ("select 1 + 2 * 3 and not b or c", TextSize(0, 5)),
        ("select 1))))((", TextSize(2, 0)),
        ("select 'it''s ((('", TextSize(0, 0)),
        ("select '((( never ends", TextSize(0, 0)),
        ("select /* ((( never ends", TextSize(0, 0)),
        ("from a join b on c join d using (e)", TextSize(1, 0, 1)),
        ("from a join b join c on d on e", TextSize(0, 0, 2)),
        ("from a cross join b natural left join c", TextSize(0, 0, 0)),
    ],
)
def test_size(sql: str, size: TextSize) -> None:
    assert measure(sql) == size


def test_an_ordinary_statement_goes_on_at_once() -> None:
    sql = "select a, sum(case when b > 1 then c end) from t where d in (1, 2) group by 1"
    assert inspect(sql, LIMITS) is Verdict.INLINE


@pytest.mark.parametrize(
    "sql",
    [
        "select 1 where " + " or ".join(f"a = {number}" for number in range(10_000)),
        "select " + "+".join(["1"] * 400),
        "select " + "(" * 60 + "1" + ")" * 60,
        "select " + "array[" * 18 + "1" + "]" * 18,
        "select " + "date(" * 18 + "a" + ")" * 18,
        "select 1" + "::int" * 400,
        "select * from t " + "join a " * 30,
        "select * from t " + "join a " * 30 + "on x " * 30,
        "select '" + "x" * 20_000 + "'",
    ],
)
def test_a_large_statement_goes_to_the_worker(sql: str) -> None:
    assert inspect(sql, LIMITS) is Verdict.WORKER


def test_a_monstrous_statement_goes_nowhere() -> None:
    with pytest.raises(SemanticError) as deep:
        inspect("select " + "(" * 200 + "1" + ")" * 200, LIMITS)
    assert deep.value.sqlstate == "54001"
    with pytest.raises(SemanticError) as long:
        inspect("select '" + "x" * 2_000_000 + "'", LIMITS)
    assert long.value.sqlstate == "54000"


@pytest.mark.parametrize(
    "piece", ["(", "'", '"', "$a$", "/*", "--\n", "[", "case ", "a=1 or ", "$"]
)
def test_measuring_takes_linear_time(piece: str) -> None:
    sql = piece * (500_000 // len(piece))
    started = time.thread_time()
    measure(sql)
    assert time.thread_time() - started < 6


OPENINGS = ("array[", "(", "f(", "date(", "bigint[", "(select ", "cast((", "(bigint ", "row(1, (")


@given(st.lists(st.sampled_from(OPENINGS), max_size=14))
def test_what_is_parsed_at_once_is_parsed_fast(openings: list[str]) -> None:
    depth = "".join(openings)
    sql = "select " + depth + "1" + depth.count("(") * ")" + depth.count("[") * "]"
    if inspect(sql, LIMITS) is not Verdict.INLINE:
        return
    started = time.process_time()
    with contextlib.suppress(SqlglotError):
        parse_one(sql, read="postgres")
    assert time.process_time() - started < 1
