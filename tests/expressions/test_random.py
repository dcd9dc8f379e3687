"""Values that nobody thought of: arithmetic, casts, dates and texts agree with PostgreSQL."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from decimal import Decimal

import psycopg
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from connectors.errors import WarehouseError
from semantic.errors import SemanticError
from tests.expressions.bench import Bench, comparable
from tests.support.oracle import OraclePostgres

MANY = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
INTEGERS = st.integers(-(2**31) + 1, 2**31 - 1) | st.integers(-20, 20)
BIG = st.integers(-(2**63) + 1, 2**63 - 1)
DECIMALS = st.decimals(
    min_value=Decimal("-99999999"), max_value=Decimal("99999999"), places=3, allow_nan=False
) | st.decimals(min_value=Decimal("-9"), max_value=Decimal("9"), places=1, allow_nan=False)
FLOATS = st.floats(allow_nan=False, allow_infinity=False, width=64)
DAYS = st.dates(datetime.date(1, 1, 1), datetime.date(9000, 12, 31))
TIMES = st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2100, 1, 1))
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
ASCII = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)


@pytest.fixture(scope="module")
def bench(oracle: OraclePostgres) -> Iterator[Bench]:
    made = Bench.start(oracle.dsn)
    yield made
    made.close()


def agree(bench: Bench, text: str, *, loose: bool = False) -> None:
    """The same value, or an error in both. ``loose``: zeros at a numeric's end may differ."""
    try:
        kind, expected = bench.expected(text, "")
    except psycopg.Error:
        with pytest.raises((WarehouseError, SemanticError)):
            bench.failing(text, "")
        return
    actual = answered(bench, text, "", kind)
    if actual is None:
        return
    if loose and kind == "numeric":
        assert [Decimal(str(value)) for value in actual] == [Decimal(str(v)) for v in expected]
    else:
        assert actual == expected


# Refusals that depend on the values. PostgreSQL minds the pattern's end only when it gets there.
REFUSALS = ("a quotient this small", "Like pattern must not end with escape")


def answered(bench: Bench, text: str, rest: str, kind: str) -> list[object] | None:
    """DuckDB's answer; None where it is refused, or its digits do not fit, which is allowed."""
    try:
        return [comparable(value, kind) for value in bench.actual(text, rest, kind)]
    except (WarehouseError, SemanticError) as error:
        refused = error.sqlstate in ("0A000", "22003")
        if not refused and not any(words in error.message for words in REFUSALS):
            raise
        return None


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def number(value: object) -> str:
    text = format(value, "f") if isinstance(value, Decimal) else str(value)
    return f"({text})" if text.startswith("-") else text


@given(INTEGERS, INTEGERS, st.sampled_from(["+", "-", "*", "/", "%", "&", "|", "#", "<", "="]))
@MANY
def test_integers(bench: Bench, one: int, two: int, operator: str) -> None:
    agree(bench, f"{number(one)} {operator} {number(two)}")


@given(BIG, BIG, st.sampled_from(["+", "-", "*", "/", "%"]))
@MANY
def test_bigints(bench: Bench, one: int, two: int, operator: str) -> None:
    agree(bench, f"{number(one)}::int8 {operator} {number(two)}::int8")


@given(DECIMALS, DECIMALS | INTEGERS, st.sampled_from(["+", "-", "*", "/", "%", "<", "="]))
@MANY
def test_numerics(bench: Bench, one: Decimal, two: Decimal | int, operator: str) -> None:
    agree(bench, f"{number(one)} {operator} {number(two)}")


@given(DECIMALS, DECIMALS, INTEGERS, st.sampled_from(["+", "-", "*", "/"]))
@MANY
def test_quotients_go_on(
    bench: Bench, one: Decimal, two: Decimal, three: int, operator: str
) -> None:
    agree(bench, f"{number(one)} / {number(two)} {operator} {number(three)}", loose=True)


@given(DECIMALS, DECIMALS, st.integers(-3, 8))
@MANY
def test_rounding(bench: Bench, one: Decimal, two: Decimal, places: int) -> None:
    assume(two != 0)
    agree(bench, f"round({number(one)}, {places})")
    agree(bench, f"trunc({number(one)}, {places})")
    agree(bench, f"round({number(one)} / {number(two)}, {places})")


@given(st.floats(-1e7, 1e7), st.floats(-1e7, 1e7), st.sampled_from(["+", "-", "*", "/", "<", "="]))
@MANY
def test_floats(bench: Bench, one: float, two: float, operator: str) -> None:
    # An overflow is an error in PostgreSQL and infinity in DuckDB.
    if operator in "*/":
        assume(abs(one) > 1e-100 and abs(two) > 1e-100)
        assume(operator == "*" or abs(two) > 1e-3)
    agree(bench, f"'{one!r}'::float8 {operator} '{two!r}'::float8")


@given(FLOATS, FLOATS, FLOATS, st.sampled_from(["+", "-"]), st.sampled_from(["+", "-", "*"]))
@MANY
def test_floats_overflow(
    bench: Bench, one: float, two: float, three: float, first: str, second: str
) -> None:
    if second == "*" and three != 0:
        # What is too small to be told from zero is an error in PostgreSQL and zero in DuckDB.
        result = (one + two if first == "+" else one - two) * three
        assume(result != 0)
    a, b, c = (f"'{value!r}'::float8" for value in (one, two, three))
    agree(bench, f"({a} {first} {b}) {second} {c} < 0")


# Beyond 2^53 PostgreSQL prints a digit more where the shortest text lies on the edge of rounding.
MODERATE = FLOATS.filter(lambda value: abs(value) < 2**53) | st.floats(-1e6, 1e6)


@given(MODERATE)
@MANY
def test_text_of_floats(bench: Bench, value: float) -> None:
    agree(bench, f"'{value!r}'::float8::text")
    agree(bench, f"round('{value!r}'::float8)")


@given(st.floats(-(2.0**100), 2.0**100, width=32, allow_subnormal=False))
@MANY
def test_text_of_reals(bench: Bench, value: float) -> None:
    agree(bench, f"'{value!r}'::float4::text")


@given(st.floats(-1e13, 1e13).filter(lambda value: abs(value) > 1e-12), st.integers(0, 6))
@MANY
def test_floats_as_numerics(bench: Bench, value: float, places: int) -> None:
    agree(bench, f"'{value!r}'::float8::numeric")
    agree(bench, f"round('{value!r}'::float8::numeric, {places})")
    agree(bench, f"'{value!r}'::float8::int8")


@given(DECIMALS)
@MANY
def test_casts_of_numerics(bench: Bench, value: Decimal) -> None:
    for kind in ("int8", "float8", "text", "numeric(20,1)", "numeric(30,5)"):
        agree(bench, f"{number(value)}::{kind}")


@given(DAYS, DAYS, st.integers(-40000, 40000))
@MANY
def test_dates(bench: Bench, one: datetime.date, two: datetime.date, count: int) -> None:
    agree(bench, f"date '{one}' - date '{two}'")
    agree(bench, f"date '{one}' + {number(count)}")
    for field in ("year", "quarter", "month", "week", "dow", "doy", "isoyear", "century", "epoch"):
        agree(bench, f"extract({field} from date '{one}')")


@given(TIMES, TIMES)
@MANY
def test_timestamps(bench: Bench, one: datetime.datetime, two: datetime.datetime) -> None:
    agree(bench, f"timestamp '{one}' - timestamp '{two}'")
    agree(bench, f"age(timestamp '{one}', timestamp '{two}')")
    agree(bench, f"extract(epoch from timestamp '{one}')")
    agree(bench, f"(timestamp '{one}')::timestamptz")
    agree(bench, f"to_char(timestamp '{one}', 'YYYY-MM-DD HH12:MI:SS.US am Dy Mon Q IYYY-IW D WW')")
    for field in ("hour", "day", "week", "month", "quarter", "year", "decade", "century"):
        agree(bench, f"date_trunc('{field}', timestamp '{one}')")


@given(TIMES, st.sampled_from(["minute", "hour", "day", "week", "month", "year"]))
@MANY
def test_zoned(bench: Bench, one: datetime.datetime, field: str) -> None:
    agree(bench, f"date_trunc('{field}', timestamptz '{one}+00')")
    agree(bench, f"(timestamptz '{one}+00')::timestamp")
    agree(bench, f"(timestamptz '{one}+00')::date")
    agree(bench, f"extract(hour from timestamptz '{one}+00')")
    agree(bench, f"timestamptz '{one}+00' at time zone 'Europe/Paris'")


@given(TIMES, st.integers(-50, 50), st.integers(-400, 400), st.integers(-100000, 100000))
@MANY
def test_intervals(
    bench: Bench, one: datetime.datetime, months: int, days: int, seconds: int
) -> None:
    interval = f"'{months} months {days} days {seconds} seconds'"
    agree(bench, f"interval {interval}")
    agree(bench, f"timestamp '{one}' + interval {interval}")
    agree(bench, f"timestamp '{one}' - interval {interval}")
    agree(bench, f"timestamptz '{one}+00' + interval {interval}")
    agree(bench, f"timestamptz '{one}+00' - interval {interval}")
    agree(bench, f"date '{one.date()}' - interval {interval}")
    agree(bench, f"- interval {interval} + interval '1 day'")
    agree(bench, f"3 * interval {interval}")
    agree(bench, f"date '{one.date()}' + interval {interval}")
    agree(bench, f"extract(epoch from interval {interval})")


@given(TEXTS, TEXTS, st.integers(-6, 8), st.integers(0, 8))
@MANY
def test_texts(bench: Bench, one: str, two: str, start: int, length: int) -> None:
    first, second = quoted(one), quoted(two)
    for call in (
        f"substring({first}, {number(start)}, {length})",
        f"left({first}, {number(start)})",
        f"right({first}, {number(start)})",
        f"strpos({first}, {second})",
        f"replace({first}, {second}, 'x')",
        f"split_part({first}, {second}, 2)",
        f"lpad({first}, {length}, {second})",
        f"rpad({first}, {length}, {second})",
        f"length({first})",
        f"octet_length({first})",
        f"md5({first})",
        f"btrim({first}, {second})",
        f"translate({first}, {second}, 'ab')",
        f"{first} < {second}",
        f"overlay({first} placing {second} from {length + 1})",
        f"concat_ws(',', {first}, {second})",
        f"starts_with({first}, {second})",
    ):
        agree(bench, call)


@given(ASCII, st.text("ab%_\\.", max_size=6))
@MANY
def test_patterns(bench: Bench, text: str, pattern: str) -> None:
    agree(bench, f"{quoted(text)} like {quoted(pattern)}")
    agree(bench, f"{quoted('aab' + text)} like {quoted(pattern)}")
    agree(bench, f"upper({quoted(text)}) || lower({quoted(text)}) || initcap({quoted(text)})")


PIECES = st.sampled_from(
    [
        "a",
        "b",
        ".",
        "\\d",
        "\\s",
        "[ab]",
        "[^a]",
        "a*",
        "b+",
        "[0-9]?",
        "(a)",
        "(?:b)",
        "a{1,2}",
        "^",
        "$",
    ]
)


@given(ASCII, st.lists(PIECES, max_size=4), st.booleans())
@MANY
def test_regular_expressions(bench: Bench, text: str, pieces: list[str], prefix: bool) -> None:
    pattern = quoted("".join(pieces))
    subject = quoted(("aabb1 " if prefix else "") + text)
    agree(bench, f"{subject} ~ {pattern}")
    agree(bench, f"{subject} ~* {pattern}")
    agree(bench, f"regexp_replace({subject}, {pattern}, '<\\&>')")
    agree(bench, f"regexp_replace({subject}, {pattern}, 'x', 'g')")
    agree(bench, f"substring({subject} from {pattern})")


@given(st.lists(INTEGERS, min_size=1, max_size=6))
@example([0, 0, 0, 208166601])
@MANY
def test_aggregates_of_integers(bench: Bench, values: list[int]) -> None:
    rows = ", ".join(f"({value})" for value in values)
    columns = f"FROM (VALUES {rows}) AS v(i4)"
    for call in ("sum(i4)", "avg(i4)", "stddev(i4)", "var_pop(i4)", "sum(i4) / 7.0"):
        kind, expected = bench.expected(call, columns)
        assert answered(bench, call, columns, kind) in (None, expected)


@given(st.lists(DECIMALS, min_size=1, max_size=6))
@MANY
def test_aggregates_of_numerics(bench: Bench, values: list[Decimal]) -> None:
    rows = ", ".join(f"({value:f}::numeric(12,3))" for value in values)
    columns = f"FROM (VALUES {rows}) AS v(n)"
    for call in ("sum(n)", "avg(n)", "stddev_pop(n)", "variance(n)", "round(avg(n), 2)"):
        kind, expected = bench.expected(call, columns)
        assert answered(bench, call, columns, kind) in (None, expected)
