"""Reading parameters and quoted strings: what the tokenizer alone would take for something else."""

from __future__ import annotations

import pytest
from sqlglot import exp
from sqlglot.errors import ParseError

from semantic.compiler.dialect import dialect_of
from semantic.compiler.number_literals import with_whole_numbers
from semantic.compiler.parse import UnparsableStatement, parse
from semantic.errors import SemanticError


@pytest.mark.parametrize(
    ("sql", "parameters", "strings"),
    [
        ("SELECT a FROM t WHERE a IN ($1,$2,$3)", ["1", "2", "3"], []),
        ("SELECT $1,$2", ["1", "2"], []),
        ("SELECT '$1,$2', $1", ["1"], ["$1,$2"]),
        ("SELECT $$it's $1,$2$$, $2", ["2"], ["it's $1,$2"]),
        ("SELECT $tag$ $$ $1 $tag$ || $1", ["1"], [" $$ $1 "]),
        ("SELECT E'\\'$1', $1", ["1"], []),
        ('SELECT "$1,$2", a$1 FROM t WHERE b = $1 -- $1,$2', ["1"], []),
        ("SELECT /* $1,$2 ' */ $1,$2", ["1", "2"], []),
        ("SELECT a FROM t WHERE a<$1 AND b>=$2 OR c=-$3", ["1", "2", "3"], []),
        ("SELECT a@>$1, b||$2", ["1", "2"], []),
    ],
)
def test_parameters_are_told_from_strings(
    sql: str, parameters: list[str], strings: list[str]
) -> None:
    tree = parse(sql).tree
    assert [node.name for node in tree.find_all(exp.Parameter, bfs=False)] == parameters
    literals = tree.find_all(exp.Literal, bfs=False)
    assert [node.this for node in literals if node.is_string] == strings


@pytest.mark.parametrize("sql", ["SELECT a FROM t WHERE b = :name", "SELECT ':x', a[1:2], :name1"])
def test_parameters_of_other_drivers_are_no_syntax(sql: str) -> None:
    with pytest.raises(UnparsableStatement) as caught:
        parse(sql)
    assert caught.value.sqlstate == "42601"
    assert str(caught.value) == 'syntax error at or near ":"'
    parse("SELECT ':x', a[1:2], b::text")


@pytest.mark.parametrize("sql", ["SELECT @5", "SELECT a + @ b FROM t WHERE a = $1"])
def test_the_prefix_operator_is_no_parameter(sql: str) -> None:
    with pytest.raises(SemanticError) as raised:
        parse(sql)
    assert raised.value.sqlstate == "0A000"
    assert raised.value.position == sql.index("@") + 1


def test_places_are_those_of_the_text() -> None:
    sql = "SELECT a FROM t WHERE a IN ($1,$2) AND bb<$3 AND ccc=1"
    parsed = parse(sql)
    for token in parsed.tokens:
        assert sql[token.start : token.end + 1] == token.text
    for column in parsed.tree.find_all(exp.Column):
        place = column.this.meta
        assert sql[place["start"] : place["end"] + 1] == column.name


@pytest.mark.parametrize(
    ("dialect", "text", "numbers"),
    [
        ("postgres", "a > 1_000 AND b = 0x1F", ["1000", "31"]),
        ("duckdb", "a > 1_000", ["1000"]),
        ("duckdb", "b = 0x1F", None),
        ("duckdb", "a * 1e1-3.5 + 1_0e1", ["1e1", "3.5", "10e1"]),
        ("mysql", "a - (1.5e1+2)", ["1.5e1", "2"]),
        ("postgres", "1e1-3", ["1e1", "3"]),
        ("postgres", "CASE WHEN a = 1THEN 1_0 END", None),
        ("sqlite", "b = 0x1F", ["31"]),
        ("sqlite", "(SELECT 1_000)", None),
        ("spark", "CASE WHEN a = 1 THEN 10L END", ["1", "10"]),
    ],
)
def test_numbers_of_a_warehouse_are_whole_or_an_error(
    dialect: str, text: str, numbers: list[str] | None
) -> None:
    reader = dialect_of(dialect)

    def read() -> list[str]:
        tokens = with_whole_numbers(list(reader.tokenize(text)), text, dialect)
        (tree,) = reader.parser().parse(tokens, text)
        assert tree is not None
        return [node.this for node in tree.find_all(exp.Literal, bfs=False)]

    if numbers is None:
        with pytest.raises(ParseError):
            read()
    else:
        assert read() == numbers
