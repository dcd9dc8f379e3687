"""What a measure's formula is over no rows at all: 0 for a count, and whatever is made of it."""

from __future__ import annotations

from sqlglot import exp

from semantic.compiler.aggregate_trees import is_aggregate
from semantic.compiler.sketches import is_counted
from semantic.compiler.stages import (
    Calculation,
    Fill,
    Grain,
    Leaf,
    Restriction,
    SemiAdditive,
    Shift,
    Window,
    children_of,
    spec_of,
    stages_in,
)
from semantic.compiler.trees import enclose, rebuild

_COUNTS = (exp.Count, exp.ApproxDistinct, exp.CountIf)
_COUNT_NAMES = frozenset({"regr_count", "count_if", "approx_count_distinct", "count_star"})
# What is NULL if one of its parts is.
_STRICT = (
    exp.Paren, exp.Cast, exp.Neg, exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod,
    exp.Round, exp.Abs, exp.Literal, exp.Nullif,
)  # fmt: skip


def value_of_no_rows(formula: exp.Expr, *, portable: bool) -> exp.Expr | None:
    """The value as an expression of constants; None for NULL."""
    if _is_null(formula):
        return None
    if portable and _is_count(formula):
        return exp.Literal.number(0)

    def constant(node: exp.Expr) -> exp.Expr | None:
        if not is_aggregate(node):
            return None
        return exp.Literal.number(0) if _is_count(node) else exp.Null()

    return rebuild(formula, constant)


def row_of_nothing(tree: exp.Expr) -> exp.Expr | None:
    """A staged formula over no rows at all; None where that cannot be said."""
    spec = spec_of(tree)
    if isinstance(spec, Leaf):
        return value_of_no_rows(children_of(tree)[0], portable=spec.portable) or exp.Null()
    if isinstance(spec, Calculation):
        values = {id(node): row_of_nothing(node) for node in stages_in(children_of(tree)[0])}
        if any(value is None for value in values.values()):
            return None
        return rebuild(children_of(tree)[0], lambda node: _enclosed(values.get(id(node))))
    if isinstance(spec, Fill | Restriction | Shift | Window | SemiAdditive):
        return row_of_nothing(children_of(tree)[0])
    if isinstance(spec, Grain) and spec.mode != "exactly" and not _is_count(children_of(tree)[0]):
        return exp.Null()
    return None


def _enclosed(node: exp.Expr | None) -> exp.Expr | None:
    return None if node is None else enclose(node)


def _is_null(node: exp.Expr) -> bool:
    """Whether a formula is surely NULL over no rows."""
    if is_aggregate(node):
        return not _is_count(node)
    if isinstance(node, exp.Bracket):
        return any(is_counted(item) for item in node.walk())
    if isinstance(node, exp.Nullif):
        return _is_null(node.this)
    if not isinstance(node, _STRICT) or isinstance(node, exp.Literal):
        return False
    return any(_is_null(child) for child in node.iter_expressions() if not _is_type(child))


def _is_type(node: exp.Expr) -> bool:
    return isinstance(node, exp.DataType)


def _is_count(node: exp.Expr) -> bool:
    while isinstance(node, exp.Filter):
        node = node.this
    if isinstance(node, _COUNTS):
        return True
    return isinstance(node, exp.Anonymous) and node.name.lower() in _COUNT_NAMES
