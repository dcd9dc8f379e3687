"""A translated expression with what is known of it."""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from semantic.compiler.expressions.types import INTEGERS
from semantic.model.types import PostgresType


@dataclass(frozen=True, slots=True)
class Value:
    """A tree of DuckDB's SQL.

    What the forms of a numeric are is said in ``numeric.py``.

    Attributes:
        node: the tree of the value, for computing and comparing.
        type: PostgreSQL's type.
        text: the tree of the exact text of a number whose decimals differ by row (or of the texts
            of an array of such), where there is one.
        scale: decimals of a numeric's tree, where they are known; 0 for what is physically an
            integer.
        raw: a bare literal's text, not yet of any type; None for everything else.
        digits: the tree of the number of decimals that PostgreSQL gives a number whose decimals
            differ by row, where it is known without its text.
        derived: the tree is made of the text, and may fail where the text has too many digits.
    """

    node: exp.Expr
    type: PostgresType
    text: exp.Expr | None = None
    scale: int | None = None
    raw: str | None = None
    digits: exp.Expr | None = None
    derived: bool = False

    @property
    def dynamic(self) -> bool:
        """Whether a numeric's decimals may differ from row to row."""
        return self.text is not None or self.digits is not None

    @property
    def whole(self) -> bool:
        """Whether it is a whole number of any type."""
        return (self.scale == 0 and not self.dynamic) or self.type.name in INTEGERS
