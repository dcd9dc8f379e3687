"""A translated expression with what is known of it."""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from semantic.model.types import PostgresType


@dataclass(frozen=True, slots=True)
class Value:
    """A tree of the warehouse's SQL, which stands anywhere without parentheses.

    Attributes:
        node: the tree.
        type: PostgreSQL's type.
        size: of a numeric, where they are known: digits at most, and decimals, which are the same
            in every row.
        raw: a bare string literal, not yet of any type.
    """

    node: exp.Expr
    type: PostgresType
    size: tuple[int, int] | None = None
    raw: str | None = None

    @property
    def is_untyped_null(self) -> bool:
        """Whether it is a bare NULL."""
        return isinstance(self.node, exp.Null) and self.type.name == "unknown" and self.raw is None


def common_size(one: tuple[int, int], two: tuple[int, int]) -> tuple[int, int]:
    """Digits and decimals of a numeric type that holds the values of both."""
    scale = max(one[1], two[1])
    return max(one[0] - one[1], two[0] - two[1]) + scale, scale
