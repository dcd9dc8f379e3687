"""SQL with references, apart from any model."""

from __future__ import annotations

import pytest

from semantic.model import template, typenames
from semantic.model.template import (
    CubeSql,
    FilterGroup,
    FilterParameter,
    Reference,
    SecurityContextReference,
    TemplateError,
    parse_name,
    parse_template,
)
from semantic.model.types import PostgresType


def parts(text: str) -> tuple[object, ...]:
    return parse_template(text).parts


def test_references() -> None:
    assert parts("x + 1") == ("x + 1",)
    assert parts("") == ()
    assert parts("{a}") == (Reference(("a",)),)
    assert parts("{ a . b }") == (Reference(("a", "b")),)
    assert parts("{CUBE}.x = {b.c.d}") == (
        Reference(("CUBE",), row=True),
        ".x = ",
        Reference(("b", "c", "d")),
    )
    assert parts("${CUBE}.x") == (Reference(("CUBE",), row=True), ".x")
    assert [item.position for item in parse_template("ab{c}d{e}").references] == [2, 6]


def test_literal_braces() -> None:
    assert parts(r"'\{x\}'") == ("'{x}'",)
    assert parts("x ~ 'a{2}b{1,}c{1, 3}'") == ("x ~ 'a{2}b{1,}c{1, 3}'",)
    assert parts(r"\{{a}\}") == ("{", Reference(("a",)), "}")


def test_hooks() -> None:
    assert parts("{FILTER_PARAMS.o.at.filter('created_at')}") == (
        FilterParameter("o", "at", "created_at"),
    )
    assert parts('{FILTER_PARAMS.o.at.filter("a.b")}') == (FilterParameter("o", "at", "a.b"),)
    assert parts("{FILTER_PARAMS.o.at.filter(lambda x, y: f'{x}')}") == (
        FilterParameter("o", "at", None, "lambda x, y: f'{x}'"),
    )
    assert parts(
        "{FILTER_GROUP(FILTER_PARAMS.o.a.filter('a,b'), FILTER_PARAMS.o.b.filter('b'))}"
    ) == (FilterGroup((FilterParameter("o", "a", "a,b"), FilterParameter("o", "b", "b"))),)
    assert parts("{SECURITY_CONTEXT.a.b}") == (SecurityContextReference(("a", "b")),)
    assert parts("{securityContext.a.filter('x')}") == (SecurityContextReference(("a",), "x"),)
    assert parts("{SECURITY_CONTEXT.a.requiredFilter('x')}") == (
        SecurityContextReference(("a",), "x", required=True),
    )
    assert parts("{orders.sql()}") == (CubeSql("orders"),)


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("a {", 2),
        ("a }", 2),
        ("{}", 0),
        ("{1}x{a b}", 4),
        ("{a.}", 0),
        ("{.a}", 0),
        ("{FILTER_PARAMS.a.b}", 0),
        ("{FILTER_PARAMS.a.filter('x')}", 0),
        ("{FILTER_PARAMS.a.b.filter()}", 0),
        ("{FILTER_GROUP(a.b)}", 0),
        ("{FILTER_GROUP}", 0),
        ("{SECURITY_CONTEXT}", 0),
        ("{SECURITY_CONTEXT.filter('x')}", 0),
        ("{SECURITY_CONTEXT.a.filter(x)}", 0),
        ("{SECURITY_CONTEXT.a.unsafeValue()}", 0),
        ("{SECURITY_CONTEXT.unsafe_value()}", 0),
        ("{a.upper()}", 0),
        ("{a.b.sql()}", 0),
    ],
)
def test_what_is_no_reference(text: str, position: int) -> None:
    with pytest.raises(TemplateError) as caught:
        parse_template(text)
    assert caught.value.position == position


def test_names() -> None:
    assert parse_name("a.b").path == ("a", "b")
    assert parse_name("{CUBE}.a").path == ("CUBE", "a")
    assert parse_name("{CUBE.a}").path == ("CUBE", "a")
    with pytest.raises(TemplateError):
        parse_name("a b")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("BIGINT", PostgresType("int8")),
        ("double  precision", PostgresType("float8")),
        ("numeric", PostgresType("numeric")),
        ("numeric(12, 2)", PostgresType("numeric", ((12 << 16) | 2) + 4)),
        ("numeric(5,-2)", PostgresType("numeric", ((5 << 16) | (-2 & 0x7FF)) + 4)),
        ("varchar(3)", PostgresType("varchar", 7)),
        ("char", PostgresType("bpchar", 5)),
        ("char(4)", PostgresType("bpchar", 8)),
        ("timestamp(3) with time zone", PostgresType("timestamptz", 3)),
        ("timestamp with time zone[]", PostgresType("_timestamptz")),
        ("text[][]", PostgresType("_text")),
        ("numeric(0)", None),
        ("text(3)", None),
        ("varchar(3,3)", None),
        ("timestamp(7)", None),
        ("money", None),
        ("int8; drop", None),
    ],
)
def test_types(text: str, expected: PostgresType | None) -> None:
    assert typenames.parse_type(text) == expected


def test_doctests() -> None:
    import doctest

    for module in (template, typenames):
        outcome = doctest.testmod(module)
        assert outcome.attempted
        assert not outcome.failed
