"""A dialect of tables as one that the compiler can emit."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from semantic.compiler.api import SessionSettings
from semantic.compiler.expressions.environment import TypeEnvironment
from semantic.compiler.expressions.portable import translator as nodes
from semantic.compiler.expressions.portable.calls import CALLS
from semantic.compiler.expressions.portable.conditions import CONDITIONS
from semantic.compiler.expressions.portable.numbers import NUMBERS
from semantic.compiler.expressions.portable.tables import Tables
from semantic.compiler.expressions.portable.translator import NodeRule, Translator
from semantic.compiler.expressions.portable.value import Value
from semantic.compiler.expressions.types import STRINGS, is_quotient, numeric_scale
from semantic.errors import UnsupportedError
from semantic.model.types import TEXT, PostgresType

_RULES: dict[type[exp.Expr], NodeRule] = {
    exp.Column: nodes.column,
    exp.Parameter: nodes.parameter,
    exp.Literal: nodes.literal,
    exp.ByteString: nodes.escaped_string,
    exp.Null: nodes.null,
    exp.Boolean: nodes.boolean,
    exp.Paren: nodes.inner,
    exp.Cast: nodes.cast,
    exp.Collate: nodes.collated,
    **dict.fromkeys(
        (exp.Subquery, exp.Select, exp.Union, exp.Except, exp.Intersect), nodes.subquery
    ),
    **CALLS,
    **CONDITIONS,
    **NUMBERS,
}


class PortableDialect:
    """See the functions of ``semantic.compiler.expressions``, which these are one dialect's of."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.features = tables.features

    def translate(
        self, node: exp.Expr, environment: TypeEnvironment, settings: SessionSettings, /
    ) -> exp.Expr:
        """An expression with PostgreSQL's meaning."""
        return self._settled(node, environment, settings).node

    def translate_condition(
        self, node: exp.Expr, environment: TypeEnvironment, settings: SessionSettings, /
    ) -> exp.Expr:
        """An expression of type boolean where the dialect has a condition."""
        return Translator(self.tables, environment, settings, _RULES).condition(node)

    def translate_column(
        self,
        node: exp.Expr,
        environment: TypeEnvironment,
        settings: SessionSettings,
        kind: PostgresType,
        /,
    ) -> exp.Expr:
        """An expression as the column of a query that stands in another one."""
        if is_quotient(kind):
            raise self._refused("a numeric whose decimals differ by row")
        return self._settled(node, environment, settings).node

    def is_text_form(self, _kind: PostgresType, /) -> bool:
        """No type has another form between queries."""
        return False

    def translate_result(
        self,
        node: exp.Expr,
        environment: TypeEnvironment,
        settings: SessionSettings,
        target: PostgresType,
        /,
    ) -> exp.Expr:
        """An expression in the form that the connector reads as the announced type."""
        made = Translator(self.tables, environment, settings, _RULES)
        value = self._settled(node, environment, settings)
        if target.name == "numeric":
            value = made.converted(value, PostgresType("numeric"))
            size = numeric_scale(target)
            if size is not None and (value.size is None or value.size[1] != size[1]):
                raise self._refused(f"numeric({size[0]},{size[1]}) that is not known as such")
        elif not {target.name, value.type.name} <= set(STRINGS):
            value = made.converted(value, PostgresType(target.name))
        template = self.tables.results.get(target.name)
        return value.node if template is None else made.filled(template, [value.node])

    def set_lists(
        self,
        function: str,
        _arguments: Sequence[exp.Expr],
        _environment: TypeEnvironment,
        _settings: SessionSettings,
        /,
    ) -> list[exp.Expr] | None:
        """Functions in FROM are not in the tables."""
        raise self._refused(f"{function} in FROM")

    def is_comparable(self, kind: PostgresType, /) -> bool:
        """Whether values are grouped and sorted as PostgreSQL groups and sorts them."""
        return kind.name in self.tables.comparable or kind.name == "unknown"

    def is_sortable(self, kind: PostgresType, /) -> bool:
        """Whether values are sorted as PostgreSQL sorts them."""
        return self.is_comparable(kind) and kind.name not in self.tables.unsorted

    def _settled(
        self, node: exp.Expr, environment: TypeEnvironment, settings: SessionSettings
    ) -> Value:
        made = Translator(self.tables, environment, settings, _RULES)
        value = made.stored(node)
        return made.converted(value, TEXT) if value.type.name == "unknown" else value

    def _refused(self, what: str) -> UnsupportedError:
        return UnsupportedError(f"{what} is not supported on {self.tables.title}")
