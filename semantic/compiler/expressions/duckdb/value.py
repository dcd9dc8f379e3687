"""A translated expression with what is known of it."""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from semantic.compiler.expressions.types import INTEGERS
from semantic.model.types import PostgresType


@dataclass(frozen=True, slots=True)
class Value:
    """A tree of DuckDB's SQL.

    PostgreSQL's numeric is any of DuckDB's exact number types here (an integer type or DECIMAL). A
    quotient has as many digits as PostgreSQL's rules give it, which differ from row to row: it is
    DECIMAL(38,24), made from a text that holds exactly PostgreSQL's digits.

    Attributes:
        node: the tree.
        type: PostgreSQL's type.
        text: for a quotient, the tree of its exact text.
        scale: of a numeric, where it is the same in every row; 0 for what is physically an integer.
        raw: a bare literal's text, not yet of any type; None for everything else.
    """

    node: exp.Expr
    type: PostgresType
    text: exp.Expr | None = None
    scale: int | None = None
    raw: str | None = None

    @property
    def whole(self) -> bool:
        """Whether it is a whole number of any type."""
        return self.scale == 0 or self.type.name in INTEGERS
