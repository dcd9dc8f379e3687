"""Scalar expressions: their PostgreSQL types, and their meaning in each warehouse's dialect.

What a dialect cannot do exactly as PostgreSQL would is refused (0A000), never approximated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect

from semantic.compiler.api import SessionSettings
from semantic.compiler.expressions import postgres
from semantic.compiler.expressions.allowed import check_functions, check_node
from semantic.compiler.expressions.duckdb import dialect as duckdb
from semantic.compiler.expressions.environment import TypeEnvironment
from semantic.compiler.expressions.features import EVERYTHING, Features
from semantic.compiler.expressions.inference import infer
from semantic.compiler.expressions.portable import DIALECTS as PORTABLE
from semantic.compiler.expressions.portable.dialect import PortableDialect
from semantic.compiler.expressions.portable.tables import Tables
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

    def translate_column(
        self,
        node: exp.Expr,
        environment: TypeEnvironment,
        settings: SessionSettings,
        kind: PostgresType,
        /,
    ) -> exp.Expr:
        """See ``translate_column`` below."""

    def is_text_form(self, kind: PostgresType, /) -> bool:
        """See ``is_text_form`` below."""

    def translate_result(
        self,
        node: exp.Expr,
        environment: TypeEnvironment,
        settings: SessionSettings,
        target: PostgresType,
        /,
    ) -> exp.Expr:
        """See ``translate_result`` below."""

    def set_lists(
        self,
        function: str,
        arguments: Sequence[exp.Expr],
        environment: TypeEnvironment,
        settings: SessionSettings,
        /,
    ) -> list[exp.Expr] | None:
        """See ``set_lists`` below."""


_DIALECTS: dict[str, _Dialect] = {"duckdb": duckdb, "postgres": postgres, **PORTABLE}
_OWN = frozenset(_DIALECTS)


def add_dialect(tables: Tables) -> None:
    """Make a portable dialect known that is not of this package.

    Raises:
        ValueError: its name is that of a dialect of this package, or of none that can be written.
    """
    if tables.dialect in _OWN:
        raise ValueError(f"the dialect {tables.dialect} is known already")
    Dialect.get_or_raise(tables.dialect)
    PORTABLE[tables.dialect] = _DIALECTS[tables.dialect] = PortableDialect(tables)


def tables_of(dialect: str) -> Tables | None:
    """What is known of a portable dialect; None for PostgreSQL and DuckDB, which do everything."""
    found = PORTABLE.get(dialect)
    return None if found is None else found.tables


def features_of(dialect: str) -> Features:
    """The forms of queries that a dialect has."""
    tables = tables_of(dialect)
    return EVERYTHING if tables is None else tables.features


def is_comparable(kind: PostgresType, dialect: str) -> bool:
    """Whether a dialect groups, sorts and compares values of a type as PostgreSQL does."""
    found = PORTABLE.get(dialect)
    return found is None or found.is_comparable(kind)


def is_sortable(kind: PostgresType, dialect: str) -> bool:
    """Whether a dialect sorts values of a type as PostgreSQL does."""
    found = PORTABLE.get(dialect)
    return found is None or found.is_sortable(kind)


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


def has_apart_conditions(dialect: str) -> bool:
    """Whether conditions are no values in a dialect."""
    tables = tables_of(dialect)
    return tables is not None and bool(tables.truth)


def translate_condition(
    node: exp.Expr, dialect: str, environment: TypeEnvironment, settings: SessionSettings
) -> exp.Expr:
    """As ``translate``, for what stands in WHERE, HAVING or ON."""
    found = PORTABLE.get(dialect)
    if found is None:
        return translate(node, dialect, environment, settings)
    return found.translate_condition(node, environment, settings)


def translate_column(
    node: exp.Expr,
    dialect: str,
    environment: TypeEnvironment,
    settings: SessionSettings,
    kind: PostgresType,
) -> exp.Expr:
    """As ``translate``, for a column of type ``kind`` that a query hands up to one around it.

    Where ``is_text_form`` says so it is the value's text; a column of such a type is taken to be a
    text wherever it is read.
    """
    return _module(dialect).translate_column(node, environment, settings, kind)


def is_text_form(kind: PostgresType, dialect: str) -> bool:
    """Whether columns of a type are handed up as texts, which do not compare as the values do."""
    return _module(dialect).is_text_form(kind)


def translate_result(
    node: exp.Expr,
    dialect: str,
    environment: TypeEnvironment,
    settings: SessionSettings,
    target: PostgresType,
) -> exp.Expr:
    """As ``translate``, in the type that was announced to the client for a result column.

    A numeric without precision may come as text with PostgreSQL's digits.
    """
    return _module(dialect).translate_result(node, environment, settings, target)


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
    "Features",
    "TypeEnvironment",
    "add_dialect",
    "check_functions",
    "check_node",
    "features_of",
    "infer",
    "is_comparable",
    "is_sortable",
    "is_text_form",
    "set_columns",
    "set_lists",
    "tables_of",
    "translate",
    "translate_column",
    "translate_result",
]
