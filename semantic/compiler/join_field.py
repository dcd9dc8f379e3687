"""``__cubeJoinField``: the column that stands for the model's join (J1).

No relation has it in PostgreSQL, whose columns cannot be hidden from ``*``.
"""

from __future__ import annotations

from sqlglot import exp

from semantic.compiler.names import fold, name_of
from semantic.compiler.statement import unsupported
from semantic.errors import SemanticError

JOIN_FIELD = "__cubeJoinField"


def is_join_field(node: exp.Expr) -> bool:
    """Whether a column, or an identifier in USING, is the join field."""
    name = node.this if isinstance(node, exp.Column) else node
    return isinstance(name, exp.Identifier) and name_of(name) in (JOIN_FIELD, fold(JOIN_FIELD))


def misplaced_join_field(node: exp.Expr) -> SemanticError:
    """The refusal of the join field where it does not join two cubes."""
    return unsupported(
        f"{JOIN_FIELD} here",
        node,
        f"Write a JOIN b ON a.{JOIN_FIELD} = b.{JOIN_FIELD} for two cubes.",
    )
