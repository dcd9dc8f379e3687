"""Expressions of a plan as text, and the names in them that stand for other things."""

from __future__ import annotations

import re

from sqlglot import exp

from semantic.compiler.dialect import dialect_of

MEASURE_TABLE = "measure:"
BOUND = "bound:"
"""How the names of placeholders start that stand for values of policies. Nobody is shown them."""
SUBQUERY_TABLE = "subquery:"
# Shows expressions; made once, since EXPLAIN's text belongs to every compiled statement.
_GENERATOR = dialect_of("postgres").generator()
_BOUND = re.compile(rf'\$"{BOUND}\w+"')
_SUBQUERY = re.compile(f'SELECT "{SUBQUERY_TABLE}"\\."(\\w+)"')


def sql_text(node: exp.Expr | None) -> str:
    """A plan expression as one line of text."""
    if node is None:
        return ""
    text = _SUBQUERY.sub(r"subquery \1", _GENERATOR.generate(node, copy=False))
    return _BOUND.sub("$policy", text) if BOUND in text else text
