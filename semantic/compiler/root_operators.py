"""The prefix operators ``|/`` and ``||/``: roots of double precision.

The parser makes functions of them that bind tighter than anything; in PostgreSQL they bind looser
than arithmetic (``|/ a + b`` is the root of the sum), and know no numeric, as the functions do.
"""

from __future__ import annotations

from sqlglot import exp

from semantic.compiler.positions import position_of
from semantic.errors import UnsupportedError

_ARITHMETIC = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod, exp.Pow)


def is_root_operator(node: exp.Expr) -> bool:
    """Whether a root is an operator and no call, which knows where its name stands."""
    return isinstance(node, exp.Sqrt | exp.Cbrt) and "start" not in (node._meta or {})


def normalise_roots(tree: exp.Expr, others: tuple[type[exp.Expr], ...]) -> None:
    """Give the operators their operands, as double precision.

    Args:
        tree: a statement, changed in place.
        others: operators that bind as these do.

    Raises:
        UnsupportedError: an operator follows that PostgreSQL gives to the operand (0A000).
    """
    for root in list(tree.find_all(exp.Sqrt, exp.Cbrt)):
        if is_root_operator(root):
            if _is_followed(root, (*_ARITHMETIC, *others)):
                raise UnsupportedError(
                    "an operator behind the operand of |/ or ||/ is not supported",
                    hint="Put parentheses around the operand, or around the root.",
                    position=position_of(root),
                )
            double = exp.DataType(this=exp.DType.DOUBLE, nested=False)
            root.set("this", exp.Cast(this=root.this, to=double))


def _is_followed(root: exp.Expr, operators: tuple[type[exp.Expr], ...]) -> bool:
    """Whether one of the operators has what ends with this root on its left."""
    node, around = root, root.parent
    while around is not None and not isinstance(around, exp.Paren):
        if isinstance(around, operators):
            if around.this is node:
                return True
        elif not isinstance(around, exp.Neg | exp.BitwiseNot | exp.Sqrt | exp.Cbrt):
            return False
        node, around = around, around.parent
    return False
