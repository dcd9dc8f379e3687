"""PostgreSQL as a warehouse that knows little, so that whatever is asked of it has to be split.

Its dialect is ``limited``: PostgreSQL's text, of the few expressions that are listed here.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp
from sqlglot.dialects.postgres import Postgres

from semantic.compiler import dialect as dialects
from semantic.compiler import expressions
from semantic.compiler.api import SessionSettings
from semantic.compiler.expressions import postgres
from semantic.compiler.expressions.environment import TypeEnvironment
from semantic.errors import UnsupportedError
from semantic.model.types import PostgresType

NAME = "limited"

_KNOWN = frozenset(
    (
        exp.Add, exp.And, exp.Between, exp.Boolean, exp.Column, exp.Count, exp.Distinct, exp.EQ,
        exp.Filter, exp.GT, exp.GTE, exp.Identifier, exp.In, exp.Is, exp.LT, exp.LTE, exp.Literal,
        exp.Max, exp.Min, exp.NEQ, exp.Neg, exp.Not, exp.Null, exp.Or, exp.Parameter, exp.Paren,
        exp.Select, exp.Star, exp.Sub, exp.Subquery, exp.Sum, exp.Where,
    )
)  # fmt: skip


class Limited(Postgres):
    """Known to sqlglot by its name."""


class _Expressions:
    """See ``semantic.compiler.expressions``: PostgreSQL's, of a few nodes only."""

    def translate(
        self, node: exp.Expr, environment: TypeEnvironment, settings: SessionSettings, /
    ) -> exp.Expr:
        _check(node)
        return postgres.translate(node, environment, settings)

    def translate_column(
        self,
        node: exp.Expr,
        environment: TypeEnvironment,
        settings: SessionSettings,
        kind: PostgresType,
        /,
    ) -> exp.Expr:
        _check(node)
        return postgres.translate_column(node, environment, settings, kind)

    def is_text_form(self, _kind: PostgresType, /) -> bool:
        return False

    def translate_result(
        self,
        node: exp.Expr,
        environment: TypeEnvironment,
        settings: SessionSettings,
        target: PostgresType,
        /,
    ) -> exp.Expr:
        _check(node)
        return postgres.translate_result(node, environment, settings, target)

    def set_lists(
        self,
        function: str,
        _arguments: Sequence[exp.Expr],
        _environment: TypeEnvironment,
        _settings: SessionSettings,
        /,
    ) -> None:
        raise UnsupportedError(f"function {function} is not known here")


def _check(node: exp.Expr) -> None:
    for item in node.walk():
        if type(item) not in _KNOWN:
            raise UnsupportedError(f"{type(item).__name__} is not known here")


def install() -> None:
    """Make the dialect known in this process."""
    expressions._DIALECTS[NAME] = _Expressions()
    dialects._MOMENTS[NAME] = dialects._MOMENTS["postgres"]
