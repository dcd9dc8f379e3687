"""Arithmetic of double precision and real, whose overflow is an error in PostgreSQL (22003).

DuckDB goes on with infinity. Sums, differences and products of what is infinite never become finite
again, so one look at the result of a whole tree of them tells whether any of them overflowed.
"""

from __future__ import annotations

from sqlglot import exp

from semantic.compiler.expressions import operators
from semantic.compiler.expressions.duckdb.build import atom, cast, sql
from semantic.compiler.expressions.duckdb.spelling import duckdb_type
from semantic.compiler.expressions.duckdb.translator import Translator
from semantic.compiler.expressions.duckdb.value import Value
from semantic.compiler.expressions.types import FLOATS
from semantic.model.types import FLOAT8, PostgresType

# A cast that fails, since ``error()`` would make DuckDB take it for something that varies.
_CHECKED = """CASE WHEN isfinite(_1) THEN _1 WHEN _2 AND NOT isfinite(_1)
THEN CAST(concat('value out of range: overflow ', _1) AS DOUBLE) ELSE _1 END"""
# The same where the result is too much to be written or computed twice.
_CHECKED_ONCE = """list_transform([{'r': _1, 'f': _2}], lambda x:
CASE WHEN isfinite(x.r) THEN x.r WHEN x.f AND NOT isfinite(x.r)
THEN CAST(concat('value out of range: overflow ', x.r) AS DOUBLE) ELSE x.r END)[1]"""
_SIMPLE = (exp.Column, exp.Literal, exp.Cast, exp.DataType, exp.Identifier, exp.Paren)
_SIGNS = (exp.Add, exp.Sub, exp.Mul, exp.Neg)


def float_operation(translator: Translator, node: exp.Expr, found: operators.Operator) -> Value:
    """A binary operator of floats."""
    if found.result != FLOAT8:
        return _reals(translator, node, found)
    tests: list[exp.Expr] = []
    tree = _tree(translator, node, found, tests)
    finite: exp.Expr = exp.true()
    for test in tests:
        finite = test if isinstance(finite, exp.Boolean) else exp.And(this=finite, expression=test)
    if all(isinstance(item, (*_SIMPLE, *_SIGNS)) for item in tree.walk()):
        return Value(exp.Paren(this=sql(_CHECKED, tree, finite)), FLOAT8)
    return Value(sql(_CHECKED_ONCE, tree, finite), FLOAT8)


def _tree(
    translator: Translator, node: exp.Expr, found: operators.Operator, tests: list[exp.Expr]
) -> exp.Expr:
    """An operation with those inside it, unchecked.

    ``tests`` gets what has to be true of operands, so that an infinite result has overflowed.
    """
    left = atom(_operand(translator, node.this, found.left, tests))
    if isinstance(node, exp.Div):
        divisor = translator.typed(node.expression, FLOAT8)
        right = not_zero(atom(divisor), "DOUBLE")
        if not isinstance(divisor, exp.Literal):
            # What is infinite here would be zero in the end.
            tests.append(sql("NOT isnan(_1)", divisor.copy()))
    else:
        right = atom(_operand(translator, node.expression, found.right, tests))
    return type(node)(this=left, expression=right)


def _operand(
    translator: Translator, node: exp.Expr, kind: PostgresType, tests: list[exp.Expr]
) -> exp.Expr:
    inner = node
    while isinstance(inner, exp.Paren):
        inner = inner.this
    if isinstance(inner, exp.Add | exp.Sub | exp.Mul | exp.Div):
        left, right = translator.types.of(inner.this), translator.types.of(inner.expression)
        found = operators.binary(type(inner), left, right, inner)
        if found.result == FLOAT8 and found.left.name in FLOATS:
            return exp.Paren(this=_tree(translator, inner, found, tests))
    leaf = translator.typed(node, kind)
    if not isinstance(node, exp.Literal):
        tests.append(sql("isfinite(_1)", leaf.copy()))
    return leaf


def _reals(translator: Translator, node: exp.Expr, found: operators.Operator) -> Value:
    """Of two reals: in double precision, which rounds alike, and cast, which fails if too big."""
    left = atom(cast(translator.typed(node.this, found.left), "DOUBLE"))
    right = atom(cast(translator.typed(node.expression, found.right), "DOUBLE"))
    if isinstance(node, exp.Div):
        right = not_zero(right, "DOUBLE")
    made = type(node)(this=left, expression=right)
    return Value(cast(made, duckdb_type(found.result)), found.result)


def not_zero(node: exp.Expr, spelled: str) -> exp.Expr:
    """A divisor of that type, with PostgreSQL's error where it is zero."""
    if isinstance(node, exp.Literal) and not node.is_string and float(node.this) != 0:
        return node
    if isinstance(node, exp.Column):
        template = (
            f"CASE WHEN _1 = 0 THEN CAST(fails('22012: division by zero') AS {spelled}) ELSE _1 END"
        )
        return exp.Paren(this=sql(template, node))
    template = (
        "list_transform([_1], lambda v: CASE WHEN v = 0 "
        f"THEN CAST(fails('22012: division by zero') AS {spelled}) ELSE v END)[1]"
    )
    return sql(template, node)
