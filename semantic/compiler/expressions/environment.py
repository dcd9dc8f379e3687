"""What an expression needs to know of the statement around it."""

from __future__ import annotations

from typing import Protocol

from sqlglot import exp

from semantic.model.types import PostgresType


class TypeEnvironment(Protocol):
    """The types of an expression's leaves."""

    def column(self, node: exp.Column) -> PostgresType:
        """The type of a column."""

    def parameter(self, index: int) -> PostgresType:
        """The type of a parameter, 0-based."""

    def subquery(self, node: exp.Expr) -> PostgresType:
        """The type of the only column of a subquery."""

    def subquery_columns(self, node: exp.Expr) -> tuple[PostgresType, ...]:
        """The types of all columns of a subquery."""
