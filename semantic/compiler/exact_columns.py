"""Values of the model in the form that a portable dialect's templates take."""

from __future__ import annotations

from sqlglot import exp

from semantic.compiler.expressions.portable.build import sql
from semantic.compiler.expressions.portable.tables import Tables
from semantic.compiler.trees import copied
from semantic.model.types import PostgresType


def exact_column(node: exp.Expr, kind: PostgresType, tables: Tables) -> exp.Expr:
    """A value of the model, in the warehouse's SQL, so that it compares as PostgreSQL's does."""
    if isinstance(node, exp.Literal) and not node.is_string:
        return node
    template = tables.columns.get(kind.name)
    return node if template is None else sql(template, copied(node))
