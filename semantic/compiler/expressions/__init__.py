"""Scalar expressions: their PostgreSQL types, and their meaning in each warehouse's dialect.

What a dialect cannot do exactly as PostgreSQL would is refused (0A000), never approximated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sqlglot import exp

from semantic.compiler.api import SessionSettings
from semantic.compiler.expressions import postgres
from semantic.compiler.expressions.allowed import check_functions, check_node
from semantic.compiler.expressions.duckdb import dialect as duckdb
from semantic.compiler.expressions.environment import TypeEnvironment
from semantic.compiler.expressions.inference import infer
from semantic.compiler.expressions.sets import FROM_SPLITS, set_columns
from semantic.compiler.expressions.sets import SETS as FROM_FUNCTIONS
from semantic.errors import UnsupportedError
from semantic.model.types import PostgresType


class _Dialect(Protocol):
    """One module a dialect."""

    def translate(
        self, node: exp.Expr, environment: TypeEnvironment, settings: SessionSettings, /
    ) -> exp.Expr:
        """See ``translate`` below."""

    def cast_result(
        self,
        node: exp.Expr,
        source: PostgresType,
        target: PostgresType,
        grouped: bool | None,
        /,
    ) -> exp.Expr:
        """See ``cast_result`` below."""

    def common_form(self, node: exp.Expr, kind: PostgresType, /) -> exp.Expr:
        """See ``common_form`` below."""

    def common_kind(self, kind: PostgresType, /) -> PostgresType:
        """See ``common_kind`` below."""

    def set_lists(
        self,
        function: str,
        arguments: Sequence[exp.Expr],
        environment: TypeEnvironment,
        settings: SessionSettings,
        /,
    ) -> list[exp.Expr] | None:
        """See ``set_lists`` below."""


_DIALECTS: dict[str, _Dialect] = {"duckdb": duckdb, "postgres": postgres}


def translate(
    node: exp.Expr, dialect: str, environment: TypeEnvironment, settings: SessionSettings
) -> exp.Expr:
    """A new tree for a dialect, with PostgreSQL's meaning. The tree that is given stays as it is.

    Raises:
        UnsupportedError: 0A000, the dialect cannot do it exactly.
        SemanticError: 42501 for a function that is not allowed, 22P02 for a literal that is
            no value of its type.
    """
    return _module(dialect).translate(node, environment, settings)


def cast_result(
    node: exp.Expr,
    source: PostgresType,
    target: PostgresType,
    dialect: str,
    *,
    grouped: bool | None = None,
) -> exp.Expr:
    """A translated tree in the type that was announced for its result column.

    A numeric without precision may come as text with PostgreSQL's digits.

    Args:
        node: what ``translate`` made, or a copy of it.
        source: its type, as ``infer`` says.
        target: the type that was announced.
        dialect: of the warehouse.
        grouped: whether the select around it is grouped; None where that is not known. A quotient
            of row values has all of PostgreSQL's zeros at its end only where it is said not to be.
    """
    return _module(dialect).cast_result(node, source, target, grouped)


def common_form(node: exp.Expr, kind: PostgresType, dialect: str) -> exp.Expr:
    """A translated column of one side of a set operation, or an item of VALUES, fit to meet others.

    DuckDB gives a union of DECIMAL(38,2) and DECIMAL(38,5) the type DECIMAL(38,2), and rounds.

    Args:
        node: what ``translate`` made, in the type that all sides have.
        kind: that type.
        dialect: of the warehouse.
    """
    return _module(dialect).common_form(node, kind)


def common_kind(kind: PostgresType, dialect: str) -> PostgresType:
    """The type of the column that sides in ``common_form`` make together."""
    return _module(dialect).common_kind(kind)


def set_lists(
    function: str,
    arguments: Sequence[exp.Expr],
    dialect: str,
    environment: TypeEnvironment,
    settings: SessionSettings,
) -> list[exp.Expr] | None:
    """The lists whose elements are the rows of a function in FROM, a list a column.

    None where the dialect has PostgreSQL's functions themselves.
    """
    return _module(dialect).set_lists(function, arguments, environment, settings)


def _module(dialect: str) -> _Dialect:
    found = _DIALECTS.get(dialect)
    if found is None:
        raise UnsupportedError(f"expressions are not supported on {dialect}")
    return found


__all__ = [
    "FROM_FUNCTIONS",
    "FROM_SPLITS",
    "TypeEnvironment",
    "cast_result",
    "check_functions",
    "check_node",
    "common_form",
    "common_kind",
    "infer",
    "set_columns",
    "set_lists",
    "translate",
]
