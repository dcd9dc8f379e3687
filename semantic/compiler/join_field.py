"""Columns that Cube has besides the members: the one that stands for the model's join (J1).

No relation has them in PostgreSQL, whose columns cannot be hidden from ``*``.
"""

from __future__ import annotations

from sqlglot import exp

from semantic.compiler.names import fold, name_of
from semantic.compiler.statement import unsupported
from semantic.errors import SemanticError

JOIN_FIELD = "__cubeJoinField"
USER_FIELD = "__user"


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


def refuse_hidden_field(node: exp.Column) -> None:
    """Refuse a column of Cube's that no relation has here.

    Raises:
        UnsupportedError: the node is one.
    """
    if is_join_field(node):
        raise misplaced_join_field(node)
    if isinstance(node.this, exp.Identifier) and name_of(node.this) == USER_FIELD:
        raise unsupported(
            f"the column {USER_FIELD}",
            node,
            "Write current_user for the session's user.",
        )
