"""What depends on the session, parameters, subqueries, and what ``translate`` leaves alone."""

from __future__ import annotations

from decimal import Decimal

import duckdb
import pytest
from sqlglot import exp, parse_one

from semantic.compiler.api import SessionSettings
from semantic.compiler.expressions import (
    infer,
    is_text_form,
    translate,
    translate_column,
    translate_result,
)
from semantic.compiler.expressions.types import QUOTIENT
from semantic.errors import SemanticError, UnsupportedError
from semantic.model.types import INT4, NAME, NUMERIC, TEXT, PostgresType

SETTINGS = SessionSettings(user="it's me", database="shop", search_path=("sales", "public"))


class Environment:
    """Parameters of given types, and one column that is a quotient."""

    def __init__(self, *parameters: str) -> None:
        self._parameters = parameters

    def column(self, node: exp.Column) -> PostgresType:
        return {"q": QUOTIENT, "i": INT4, "s": TEXT}[node.name]

    def parameter(self, index: int) -> PostgresType:
        return PostgresType(self._parameters[index])

    def subquery(self, node: exp.Expr) -> PostgresType:
        return INT4

    def subquery_columns(self, node: exp.Expr) -> tuple[PostgresType, ...]:
        raise AssertionError(node)


def emitted(text: str, *parameters: str, dialect: str = "duckdb") -> str:
    tree = parse_one(text, read="postgres")
    before = repr(tree)
    result = translate(tree, dialect, Environment(*parameters), SETTINGS).sql(dialect)
    assert repr(tree) == before
    return result


@pytest.mark.parametrize("dialect", ["duckdb", "postgres"])
def test_the_session_answers_for_the_client(dialect: str) -> None:
    assert "it''s me" in emitted("current_user", dialect=dialect)
    assert "it''s me" in emitted("upper(session_user)", dialect=dialect)
    assert "'shop'" in emitted("current_database()", dialect=dialect)
    assert "'sales'" in emitted("current_schema", dialect=dialect)
    assert infer(parse_one("current_user", read="postgres"), Environment()) == NAME


@pytest.mark.parametrize(
    ("kind", "value", "expression", "expected"),
    [
        ("int4", 7, "$1 + 1", 8),
        ("int8", 7, "$1 / 2", 3),
        ("text", "x", "$1 || 'y'", "xy"),
        ("numeric", Decimal("1.50"), "$1", "1.50"),
        ("numeric", Decimal("1.50"), "$1 * 2", "3.00"),
        ("numeric", Decimal("10"), "$1 / 4", "2.5000000000000000"),
        ("numeric", Decimal("2.345"), "round($1, 2)", "2.35"),
        ("float8", 1.5, "$1 * 2", 3.0),
        ("bool", True, "not $1", False),
        ("date", "2024-01-31", "($1 + 1)::text", "2024-02-01"),
        ("timestamp", "2024-01-31 10:00:00", "($1)::date::text", "2024-01-31"),
        ("interval", "1 day 02:00:00", "$1::text", "1 day 02:00:00"),
        ("int4", None, "$1 is null", True),
    ],
)
def test_parameters(kind: str, value: object, expression: str, expected: object) -> None:
    tree = parse_one(expression, read="postgres")
    environment = Environment(kind)
    source = infer(tree, environment)
    target = NUMERIC if source.name == "numeric" else source
    sql = translate_result(tree, "duckdb", environment, SETTINGS, target).sql("duckdb")
    row = duckdb.execute(f"SELECT {sql}", [value]).fetchone()
    assert row is not None
    assert row[0] == expected


@pytest.mark.parametrize(
    ("inner", "expression", "expected"),
    [
        ("3.3333333333333333", "q", "3.3333333333333333"),
        ("0.50000000000000000000", "q", "0.50000000000000000000"),
        ("-12345.25", "-q", "12345.25"),
        ("66.66666666666666666700", "q", "66.66666666666666666700"),
        ("123456789012345678.5", "q + 0.25", "123456789012345678.75"),
        ("2.50", "q * 2", "5.00"),
        ("2.50", "q * 2.5", "6.250"),
        ("-2.50", "q % 2", "-0.50"),
        ("2.50", "q - 2.500", "0.000"),
        ("2.5", "round(q, 1)", "2.5"),
        ("2.5", "q / 2", "1.25000000000000000000"),
        ("2.5", "q > 2.4", True),
        ("2.5", "q::int", 3),
        ("2.5", "q::text", "2.5"),
        ("0.1", "q::float8", 0.1),
        ("2.50", "coalesce(q, 0) + 1", "3.50"),
        ("2.50", "greatest(q, 2.5, null)", "2.50"),
        ("2.50", "least(3, q)", "2.50"),
        ("2.50", "nullif(q, 1)", "2.50"),
        ("2.50", "nullif(q, 2.5)", None),
        ("2.50", "case when q > 3 then 1 else q end", "2.50"),
        ("2.50", "case when q < 3 then 1 else q end", "1"),
        ("2.50", "abs(-q)", "2.50"),
        ("9999999999999999.5", "q::int8", 10000000000000000),
    ],
)
def test_a_quotient_out_of_a_subquery(inner: str, expression: str, expected: object) -> None:
    tree = parse_one(expression, read="postgres")
    source = infer(tree, Environment())
    target = NUMERIC if source.name == "numeric" else source
    sql = translate_result(tree, "duckdb", Environment(), SETTINGS, target).sql("duckdb")
    row = duckdb.execute(f"SELECT {sql} FROM (SELECT '{inner}' AS q)").fetchone()
    assert row is not None
    assert row[0] == expected


def test_a_subquery_stays_for_the_emitter() -> None:
    assert emitted("i = (select placeholder.x)") == "i = (SELECT placeholder.x)"
    assert emitted("i in (select placeholder.x)") == "i IN (SELECT placeholder.x)"
    assert emitted("exists (select placeholder.x)") == "EXISTS(SELECT placeholder.x)"


@pytest.mark.parametrize(
    ("expression", "kind", "expected"),
    [
        ("i / 4.0", QUOTIENT, "0.75000000000000000000"),
        ("case when i > 0 then 1.50 else 2 end", QUOTIENT, "1.50"),
        ("1.50", NUMERIC, Decimal("1.50")),
        ("i", QUOTIENT, "3"),
        ("i", INT4, 3),
    ],
)
def test_what_a_query_hands_up(expression: str, kind: PostgresType, expected: object) -> None:
    tree = parse_one(expression, read="postgres")
    sql = translate_column(tree, "duckdb", Environment(), SETTINGS, kind).sql("duckdb")
    row = duckdb.execute(f"SELECT {sql} FROM (SELECT 3 AS i)").fetchone()
    assert row is not None
    assert row[0] == expected
    assert is_text_form(kind, "duckdb") == (kind == QUOTIENT)
    assert not is_text_form(kind, "postgres")


def test_digits_that_would_be_lost_are_refused() -> None:
    tree = parse_one("i / 4.0", read="postgres")
    with pytest.raises(UnsupportedError) as caught:
        translate_column(tree, "duckdb", Environment(), SETTINGS, NUMERIC)
    assert caught.value.hint


def test_long_chains_need_no_deep_stack() -> None:
    text = " or ".join(f"i = {number}" for number in range(900))
    assert emitted(text).count(" OR ") == 899


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("i + 'x'", "22P02"),
        ("i = 'x'", "22P02"),
        ("s + 1", "42883"),
        ("cast(s as jsonb) - 'a'", "0A000"),
        ("cast(s as jsonb) || '{}'", "0A000"),
        ("make_date(1, 2)", "42883"),
        ("nope(i)", "42501"),
        ("case when true then i else s end", "42804"),
        ("i in (1, s)", "42804"),
    ],
)
def test_ill_typed(text: str, state: str) -> None:
    with pytest.raises(SemanticError) as caught:
        emitted(text)
    assert caught.value.sqlstate == state
    assert caught.value.position is not None


def test_an_unknown_dialect_is_refused() -> None:
    with pytest.raises(UnsupportedError):
        emitted("i", dialect="teradata")
