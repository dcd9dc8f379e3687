"""Which expressions of the model are NULL where a join has found no row."""

from __future__ import annotations

from sqlglot import exp

from semantic.compiler.dialect import within_moment


def is_null_of_nulls(tree: exp.Expr) -> bool:
    """Whether an expression over a row is surely NULL where all of the row's columns are."""
    tree = within_moment(tree)
    if isinstance(tree, exp.Column):
        return True
    if isinstance(tree, exp.And | exp.Or):
        return is_null_of_nulls(tree.this) and is_null_of_nulls(tree.expression)
    if isinstance(tree, _EITHER):
        return is_null_of_nulls(tree.this) or is_null_of_nulls(tree.expression)
    if isinstance(tree, exp.Concat):
        return not tree.args.get("coalesce") and any(map(is_null_of_nulls, tree.expressions))
    return isinstance(tree, _ALONE) and is_null_of_nulls(tree.this)


_EITHER = (
    *(exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.DPipe, exp.Like, exp.ILike),
    *(exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE),
)
_ALONE = (
    *(exp.Paren, exp.Cast, exp.Not, exp.Neg, exp.Between, exp.Lower, exp.Upper, exp.Length),
    *(exp.Substring, exp.Trim, exp.Round, exp.Abs, exp.Floor, exp.Ceil, exp.TimestampTrunc),
)
