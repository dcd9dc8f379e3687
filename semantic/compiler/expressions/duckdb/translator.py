"""Translates expressions node by node, each by the rule registered for its class or function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sqlglot import exp

from semantic.compiler.api import SessionSettings
from semantic.compiler.expressions.configured import configured_function, warehouse_call
from semantic.compiler.expressions.constants import constant_text, is_null_text
from semantic.compiler.expressions.duckdb import casts, literals, numeric
from semantic.compiler.expressions.duckdb.build import cast
from semantic.compiler.expressions.duckdb.spelling import duckdb_type
from semantic.compiler.expressions.duckdb.value import Value
from semantic.compiler.expressions.duckdb.zones import changes
from semantic.compiler.expressions.environment import TypeEnvironment
from semantic.compiler.expressions.inference import Types
from semantic.compiler.expressions.places import position
from semantic.compiler.expressions.signatures.registry import Resolved
from semantic.compiler.expressions.syntax import Call, call_of
from semantic.compiler.expressions.types import is_quotient
from semantic.errors import SemanticError, UnsupportedError
from semantic.model.types import TEXT, UNKNOWN, PostgresType

NodeRule = Callable[["Translator", exp.Expr], Value]
FunctionRule = Callable[["Translator", Call, Resolved], Value]


class Translator:
    """Translates the expressions of one statement's clause to DuckDB's SQL.

    Attributes:
        environment: the types of the leaves.
        types: PostgreSQL's types of the nodes.
        settings: the session's settings.
        folds: whether the session's time zone has hours that come twice.
    """

    def __init__(
        self,
        environment: TypeEnvironment,
        settings: SessionSettings,
        nodes: dict[type[exp.Expr], NodeRule],
        functions: dict[str, FunctionRule],
    ) -> None:
        self.environment = environment
        self.types = Types(environment)
        self.settings = settings
        self.folds = changes(settings)
        self._nodes = nodes
        self._functions = functions

    def value(self, node: exp.Expr) -> Value:
        """A node translated.

        Raises:
            UnsupportedError: its exact meaning cannot be had.
        """
        rule = self._nodes.get(type(node))
        try:
            if rule is not None:
                return rule(self, node)
            call = call_of(node)
            if call is None:
                raise UnsupportedError(f"{type(node).__name__.upper()} is not supported on DuckDB")
            return self.function(call)
        except SemanticError as error:
            if error.position is None:
                error.position = position(node)
            raise

    def function(self, call: Call) -> Value:
        """A call translated."""
        resolved = self.types.call(call)
        if configured_function(call.node) is not None:
            return self._configured(call, resolved)
        rule = self._functions.get(call.name)
        if rule is None:
            raise UnsupportedError(f"the function {call.name} is not supported on DuckDB")
        return rule(self, call, resolved)

    def _configured(self, call: Call, resolved: Resolved) -> Value:
        """A configured function; the digits of a numeric are those that it gives."""
        typed = zip(call.arguments, resolved.arguments, strict=True)
        found = warehouse_call(call.node, [self.typed(node, kind) for node, kind in typed])
        if resolved.result.name == "numeric":
            return numeric.from_text(cast(found, "VARCHAR"))
        return Value(cast(found, duckdb_type(resolved.result)), resolved.result)

    def typed(self, node: exp.Expr, target: PostgresType) -> exp.Expr:
        """A node in the type that an operator or function takes."""
        return self.coerced(node, target).node

    def coerced(self, node: exp.Expr, target: PostgresType) -> Value:
        """As ``typed``, with what is known of it."""
        value = self.value(node)
        if value.type.name == "unknown" and value.raw is None:
            return literals.null(target)
        if value.type.is_array and value.text is not None:
            raise UnsupportedError(
                "an array of numbers whose decimals differ is not supported here on DuckDB",
                hint="Round its elements to a fixed number of decimals.",
            )
        return casts.convert(value, target, explicit=False, folds=self.folds)

    def settled(self, node: exp.Expr) -> Value:
        """A node where any type will do: a bare literal becomes text."""
        value = self.value(node)
        if value.raw is not None:
            return casts.convert(value, TEXT)
        return literals.null(TEXT) if value.type.name == "unknown" else value


def column(translator: Translator, node: exp.Expr) -> Value:
    """A column stays what it is; a number whose decimals differ by row comes as its text."""
    return _read(node, translator.types.of(node))


def _read(node: exp.Expr, kind: PostgresType) -> Value:
    if is_quotient(kind):
        return numeric.from_text(node.copy())
    return numeric.with_place(Value(node.copy(), kind))


def parameter(translator: Translator, node: exp.Expr) -> Value:
    """A placeholder with its type; a numeric keeps the digits that the client sent."""
    kind = translator.types.of(node)
    plain = node.copy()
    if kind.name == "numeric":
        return numeric.from_text(numeric.with_zero(cast(plain, "VARCHAR")))
    return Value(cast(plain, duckdb_type(kind)), PostgresType(kind.name))


def subquery(translator: Translator, node: exp.Expr) -> Value:
    """A placeholder that the emitter fills in."""
    return _read(node, translator.types.of(node))


def literal(_translator: Translator, node: exp.Expr) -> Value:
    """A number, or a string whose type its surroundings decide."""
    if node.args.get("is_string"):
        return Value(exp.Literal.string(node.this), UNKNOWN, raw=node.this)
    return literals.number_literal(node.this)


def escaped_string(_translator: Translator, node: exp.Expr) -> Value:
    """E'...', its escapes already resolved by the parser."""
    return Value(exp.Literal.string(node.this), UNKNOWN, raw=node.this)


def null(_translator: Translator, _node: exp.Expr) -> Value:
    """NULL, whose type its surroundings decide."""
    return Value(exp.Null(), UNKNOWN)


def boolean(_translator: Translator, node: exp.Expr) -> Value:
    """TRUE or FALSE."""
    return Value(exp.Boolean(this=bool(node.this)), PostgresType("bool"))


def parenthesised(translator: Translator, node: exp.Expr) -> Value:
    """Parentheses stay where they are."""
    inner = translator.value(node.this)
    if inner.raw is not None or isinstance(inner.node, exp.Paren | exp.Null):
        return inner
    return replace(inner, node=exp.Paren(this=inner.node))


_READ_BY_US = ("interval", "json", "jsonb", "bytea")
"""Types, besides arrays, whose texts DuckDB reads otherwise, if it is no literal of ours."""


def explicit_cast(translator: Translator, node: exp.Expr) -> Value:
    """CAST and ``::``."""
    target = translator.types.of(node)
    if isinstance(node.this, exp.Array) and not node.this.expressions and target.is_array:
        return Value(cast(exp.Array(expressions=[]), duckdb_type(target)), target)
    if target.is_array or target.name in _READ_BY_US:
        text = constant_text(node.this)
        if text is not None:
            return casts.convert(
                Value(exp.Literal.string(text), UNKNOWN, raw=text), target, folds=translator.folds
            )
        if is_null_text(node.this):
            return literals.null(target)
    inner = translator.value(node.this)
    if inner.type.name == "unknown" and inner.raw is None:
        return literals.null(target)
    return casts.convert(inner, target, folds=translator.folds)
