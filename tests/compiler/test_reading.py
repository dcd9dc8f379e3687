"""Expressions are read as PostgreSQL reads them, or refused: precedence and associativity.

Random expressions run on PostgreSQL as they are, and once more with the parentheses that our tree
would have. Where both succeed they are equal.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

import psycopg
import pytest
from sqlglot import exp

from semantic.compiler.parse import parse, refuse_misread
from semantic.errors import SemanticError
from tests.support.oracle import OraclePostgres

Connection = psycopg.Connection[tuple[object, ...]]
SOURCE = "FROM (VALUES (5, 7, 'x', true)) AS t(a, b, s, p)"
# Not about reading: types that the parentheses leave undecided.
TYPE_ERRORS = {"42601", "42883", "42804", "42725"}
OPERATORS = ["+", "-", "*", "/", "%", "&", "|", "#", "^", "<<", ">>"]
COMPARISONS = ["=", "<", ">", "<=", ">=", "<>", "!="]


class Expressions:
    """Makes random expressions of three types."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def any(self, depth: int) -> str:
        kind = self._random.choice((self.number, self.text, self.truth))
        return kind(depth)

    def _pick(self, *items: str) -> str:
        return self._random.choice(items)

    def number(self, depth: int) -> str:
        if depth <= 0:
            return self._pick("1", "2", "3", "a", "b", "-1")
        left, right = self.number(depth - 1), self.number(depth - 1)
        return self._pick(
            f"{left} {self._pick(*OPERATORS)} {right}",
            f"{left} {self._pick(*OPERATORS)} {right}",
            f"- {left}",
            f"~ {left}",
            f"{left}::int8",
            f"({left})",
            f"CASE WHEN {self.truth(depth - 1)} THEN {left} END",
        )

    def text(self, depth: int) -> str:
        if depth <= 0:
            return self._pick("'x'", "'1'", "s", "'a%'")
        left, right = self.text(depth - 1), self.text(depth - 1)
        number = self.number(depth - 1)
        return self._pick(
            f"{left} || {right}", f"{number}::text", f"{left} || {number}", f"({left})"
        )

    def truth(self, depth: int) -> str:
        if depth <= 0:
            return self._pick("true", "false", "p")
        truth, more = self.truth(depth - 1), self.truth(depth - 1)
        text, other = self.text(depth - 1), self.text(depth - 1)
        one, two, three = (self.number(depth - 1) for _ in range(3))
        return self._pick(
            f"{one} {self._pick(*COMPARISONS)} {two}",
            f"{truth} AND {more}",
            f"{truth} OR {more}",
            f"NOT {truth}",
            f"{one} IS NULL",
            f"{truth} IS NOT TRUE",
            f"{text} LIKE {other}",
            f"{text} NOT ILIKE {other}",
            f"{text} ~ {other}",
            f"{one} BETWEEN {two} AND {three}",
            f"{one} NOT IN ({two}, {three})",
            f"{one} IS DISTINCT FROM {two}",
            f"{one} = ANY (ARRAY[{two}])",
            f"{truth} ISNULL",
            f"({truth})",
        )


def in_parentheses(node: exp.Expr) -> exp.Expr:
    """The tree with parentheses around every operator."""
    arguments: dict[str, object] = {}
    for key, value in node.args.items():
        if isinstance(value, exp.Expr):
            arguments[key] = in_parentheses(value)
        elif isinstance(value, list):
            arguments[key] = [
                in_parentheses(item) if isinstance(item, exp.Expr) else item for item in value
            ]
        else:
            arguments[key] = value
    copy = node.__class__(**arguments)
    operators = (exp.Binary, exp.Unary, exp.Between, exp.In, exp.Is, exp.Cast)
    is_operator = isinstance(copy, operators) and not isinstance(copy, exp.Paren)
    return exp.Paren(this=copy) if is_operator else copy


@pytest.fixture(scope="module")
def connection(oracle: OraclePostgres) -> Iterator[Connection]:
    with psycopg.connect(oracle.dsn, autocommit=True) as opened:
        yield opened


def _answer(connection: Connection, expression: str) -> object:
    try:
        return connection.execute(f"SELECT {expression} {SOURCE}".encode()).fetchall()
    except psycopg.Error as error:
        return error.sqlstate


@pytest.mark.parametrize("seed", range(4))
def test_random_expressions(seed: int, connection: Connection) -> None:
    expressions = Expressions(seed)
    compared = 0
    for number in range(250):
        text = expressions.any(1 + number % 4)
        expected = _answer(connection, text)
        if "--" in text or str(expected) in TYPE_ERRORS:
            continue
        try:
            tree = parse(f"SELECT {text} {SOURCE}").tree
            for node in tree.walk():
                refuse_misread(node)
        except SemanticError:
            continue
        again = in_parentheses(tree.expressions[0]).sql("postgres")
        assert _answer(connection, again) in (expected, "42725", "42883", "42804"), text
        compared += 1
    assert compared > 100


@pytest.mark.parametrize("seed", range(2))
def test_random_numbers(seed: int, connection: Connection) -> None:
    """Each is one constant of PostgreSQL's value and type, whatever stands beside it."""
    pick = random.Random(seed).choice
    compared = 0
    for _ in range(400):
        prefix = pick(("", "", "0x", "0X", "0o", "0b"))
        number = prefix + "".join(pick("0011729_._eEaf+-") for _ in range(pick(range(1, 9))))
        before, after = pick((("", ""), ("(", ")"), ("-", "::numeric"), ("", "+1")))
        text = f"{before}{number}{after}"
        if number.strip("+-") != number or "--" in text:
            continue
        expected = _answer(connection, f"{text}, pg_typeof({text})")
        if expected == "42601" and re.fullmatch(r"\d[^-+]*", number):
            with pytest.raises(SemanticError):
                parse(f"SELECT {text} {SOURCE}")
        if isinstance(expected, str):
            continue
        (ours,) = parse(f"SELECT {text} {SOURCE}").tree.expressions
        again = ours.sql("postgres")
        assert _answer(connection, f"{again}, pg_typeof({again})") == expected, text
        compared += 1
    assert compared > 60


@pytest.mark.parametrize(
    "text",
    [
        *("1_000a", "0x1F'a'", "1_0$1", "1a", "1$1", "1=1THEN", "10e", "1_0é", "1_0\u00a0x"),
        *("0x", "0b12", "0o8", "0x1G", "0x1F_", "$1_0", "$1a"),
        *("0x1F.5", ".0x1F", ".5.5", "1..2", "1_0.0_0.0_0", "1_0.a", "1_0.5_"),
    ],
)
def test_numbers_with_something_behind(text: str, connection: Connection) -> None:
    assert _answer(connection, text) == "42601"
    with pytest.raises(SemanticError):
        parse(f"SELECT {text}")
