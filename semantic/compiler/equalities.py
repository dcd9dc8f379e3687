"""Equalities in conditions, as tools spell them."""

from __future__ import annotations

from sqlglot import exp


def null_safe(node: exp.Expr) -> exp.Expr:
    """The equality inside ``a = b OR (a IS NULL AND b IS NULL)``, as some tools write it."""
    if not isinstance(node, exp.Or):
        return node
    sides = [bare(node.this), bare(node.expression)]
    equal = next((side for side in sides if isinstance(side, exp.EQ)), None)
    nulls = next((side for side in sides if isinstance(side, exp.And)), None)
    if equal is None or nulls is None:
        return node
    tested = [_tested(nulls.this), _tested(nulls.expression)]
    compared = [bare(equal.this), bare(equal.expression)]
    return equal if tested in (compared, compared[::-1]) else node


def bare(node: exp.Expr) -> exp.Expr:
    """A node without parentheses around it."""
    while isinstance(node, exp.Paren):
        node = node.this
    return node


def _tested(node: exp.Expr) -> exp.Expr | None:
    """What an ``IS NULL`` is about."""
    node = bare(node)
    if not isinstance(node, exp.Is) or node.args.get("negate"):
        return None
    return bare(node.this) if isinstance(node.expression, exp.Null) else None
