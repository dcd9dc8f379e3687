"""Makes trees of DuckDB's SQL out of text templates.

In a template ``_1``, ``_2`` ... stand for operands. A lambda's names get a prefix that no column
has, since DuckDB prefers a column. Calls stay as they are written: none is turned into one of the
library's own function nodes, whose rendering depends on its operands.

``fails('22012: division by zero')`` stands for an integer that cannot be had: a cast of that text,
which fails. ``error()`` will not do, since DuckDB takes it for something that varies: then it
answers ``x IN (SELECT ...)`` over a correlated subquery with NULL where that is false.
"""

from __future__ import annotations

import re
from functools import lru_cache

from sqlglot import exp, parse_one

_NO_CALLS = r"\b(?!(?:CAST|IN|AND|OR|NOT|WHEN|THEN|ELSE|DECIMAL)\b)"
_CALL = re.compile(_NO_CALLS + r"([A-Za-z_]\w*)\(")
_LAMBDA = re.compile(r"lambda (\w+):")
_FIELDS = re.compile(r"\b(cw_\w+)((?:\.[a-z]\w*)+)")
_FIELD = re.compile(r"\.(\w+)")
_PLACE = re.compile(r"_([1-9])\Z")
_MARK = "fn__"
_FAILS = _MARK + "fails"
# What may stand as an operand without parentheses.
_ATOMS = (
    exp.Column,
    exp.Literal,
    exp.Paren,
    exp.Anonymous,
    exp.Cast,
    exp.Case,
    exp.Boolean,
    exp.Null,
    exp.Subquery,
    exp.Array,
    exp.Bracket,
    exp.Star,
    exp.Window,
    exp.Filter,
    exp.Parameter,
)


@lru_cache(maxsize=1024)
def _template(text: str) -> exp.Expr:
    for name in set(_LAMBDA.findall(text)):
        text = re.sub(rf"(?<![\w.'])({name})(?![\w'])", r"cw_\1", text)
    # In HAVING a dotted name is taken for a column, even inside a lambda.
    text = _FIELDS.sub(lambda found: found[1] + _FIELD.sub(r"['\1']", found[2]), text)
    tree = parse_one(_CALL.sub(rf"{_MARK}\1(", text), read="duckdb")
    for node in list(tree.find_all(exp.Anonymous)):
        if node.name.lower() == _FAILS:
            node.replace(exp.Cast(this=node.expressions[0], to=exp.DataType.build("INT")))
    return _settled(tree)


def _settled(node: exp.Expr) -> exp.Expr:
    """The template with its lambdas as finished text, where they hold no operand."""
    if isinstance(node, exp.Lambda) and not any(
        _PLACE.match(item.name) for item in node.find_all(exp.Column)
    ):
        # Nothing in it ever changes: it need not be built and rendered each time.
        text = node.sql("duckdb").replace(_MARK.upper(), "")
        return exp.Var(this=text)
    for key, value in node.args.items():
        if isinstance(value, exp.Expr):
            node.set(key, _settled(value))
        elif isinstance(value, list):
            node.set(key, [_settled(v) if isinstance(v, exp.Expr) else v for v in value])
    return node


def sql(template: str, *operands: exp.Expr) -> exp.Expr:
    """A tree for a template with its operands filled in. An operand used twice is copied."""
    used: set[int] = set()

    def fill(node: exp.Expr, enclosed: bool) -> exp.Expr:
        if isinstance(node, exp.Column) and "table" not in node.args:
            place = _PLACE.match(node.name)
            if place:
                return take(int(place[1]) - 1, enclosed)
        arguments: dict[str, object] = {}
        inside = isinstance(node, exp.Anonymous | exp.Paren | exp.Cast | exp.Array)
        for key, value in node.args.items():
            if isinstance(value, exp.Expr):
                arguments[key] = fill(value, inside)
            elif isinstance(value, list):
                arguments[key] = [
                    fill(item, inside) if isinstance(item, exp.Expr) else item for item in value
                ]
            else:
                arguments[key] = value
        name = arguments.get("this")
        if isinstance(node, exp.Anonymous) and isinstance(name, str):
            arguments["this"] = name.removeprefix(_MARK)
        return node.__class__(**arguments)

    def take(place: int, enclosed: bool) -> exp.Expr:
        operand = operands[place]
        if place in used:
            operand = operand.copy()
        used.add(place)
        return operand if enclosed else atom(operand)

    return fill(_template(template), True)


def call(name: str, *arguments: exp.Expr) -> exp.Expr:
    """A function call, rendered as it stands."""
    return exp.Anonymous(this=name, expressions=list(arguments))


def atom(node: exp.Expr) -> exp.Expr:
    """A node in parentheses unless nothing around it could tear it apart."""
    return node if isinstance(node, _ATOMS) else exp.Paren(this=node)


def string(text: str) -> exp.Expr:
    """A string literal."""
    return exp.Literal.string(text)


def number(value: int | str) -> exp.Expr:
    """A number; a negative one in parentheses."""
    text = str(value)
    if text.startswith("-"):
        return exp.Paren(this=exp.Neg(this=exp.Literal.number(text[1:])))
    return exp.Literal.number(text)


@lru_cache(maxsize=256)
def _data_type(text: str) -> exp.DataType:
    return exp.DataType.build(text, dialect="duckdb")


def cast(node: exp.Expr, to: str) -> exp.Expr:
    """``CAST(node AS to)``, ``to`` in DuckDB's spelling."""
    return exp.Cast(this=node, to=_data_type(to).copy())
