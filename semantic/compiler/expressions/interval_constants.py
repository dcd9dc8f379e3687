"""Interval constants in the forms in which the parser leaves them."""

from __future__ import annotations

from sqlglot import exp

from semantic.compiler.expressions.moments import IntervalParts, parse_interval
from semantic.errors import UnsupportedError


def interval_text(node: exp.Expr) -> str | None:
    """The text of an interval constant; None for anything else."""
    while isinstance(node, exp.Paren):
        node = node.this
    if isinstance(node, exp.Interval) and isinstance(node.this, exp.Literal):
        unit = node.args.get("unit")
        if unit is None:
            return str(node.this.this)
        if isinstance(unit, exp.Var):
            return f"{node.this.this} {unit.name}"
        raise UnsupportedError("interval constants with a range of fields are not supported")
    if isinstance(node, exp.Cast) and node.args["to"].this == exp.DType.INTERVAL:
        return interval_text(node.this)
    return str(node.this) if isinstance(node, exp.Literal) and node.is_string else None


def constant_interval(node: exp.Expr) -> IntervalParts | None:
    """The parts of an interval constant; None for anything else."""
    text = interval_text(node)
    return None if text is None else parse_interval(text)
