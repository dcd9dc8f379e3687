"""DuckDB's rules, all in one place, and what leaves for the client."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from semantic.compiler.api import SessionSettings
from semantic.compiler.expressions.duckdb import casts, numeric, sets
from semantic.compiler.expressions.duckdb.aggregates import (
    AGGREGATE_NODES,
    AGGREGATES,
    has_aggregate,
)
from semantic.compiler.expressions.duckdb.arithmetic import OPERATORS
from semantic.compiler.expressions.duckdb.build import cast, string
from semantic.compiler.expressions.duckdb.conditions import CONDITIONS
from semantic.compiler.expressions.duckdb.dates import DATES
from semantic.compiler.expressions.duckdb.intervals import INTERVALS
from semantic.compiler.expressions.duckdb.literals import null
from semantic.compiler.expressions.duckdb.numbers import NUMBERS
from semantic.compiler.expressions.duckdb.spelling import duckdb_type
from semantic.compiler.expressions.duckdb.strings import STRINGS
from semantic.compiler.expressions.duckdb.translator import (
    FunctionRule,
    NodeRule,
    Translator,
    boolean,
    column,
    escaped_string,
    explicit_cast,
    literal,
    parameter,
    parenthesised,
    subquery,
)
from semantic.compiler.expressions.duckdb.translator import null as null_node
from semantic.compiler.expressions.duckdb.value import Value
from semantic.compiler.expressions.environment import TypeEnvironment
from semantic.compiler.expressions.syntax import SESSION_NODES, session_value
from semantic.compiler.expressions.types import QUOTIENT, numeric_scale, sql_name
from semantic.errors import UnsupportedError
from semantic.model.types import TEXT, PostgresType


def _collated(translator: Translator, node: exp.Expr) -> Value:
    """COLLATE, of which DuckDB knows bytewise order as its own."""
    name = node.expression.name
    if name not in ("C", "POSIX", "default", "ucs_basic"):
        raise UnsupportedError(f'the collation "{name}" is not supported on DuckDB')
    return translator.settled(node.this)


def _session(translator: Translator, node: exp.Expr) -> Value:
    """current_user and its like."""
    return Value(string(session_value(node, translator.settings)), translator.types.of(node))


_NODES: dict[type[exp.Expr], NodeRule] = {
    exp.Column: column,
    exp.Parameter: parameter,
    exp.Literal: literal,
    exp.ByteString: escaped_string,
    exp.Null: null_node,
    exp.Boolean: boolean,
    exp.Paren: parenthesised,
    exp.Cast: explicit_cast,
    exp.Collate: _collated,
    **dict.fromkeys(SESSION_NODES, _session),
    **dict.fromkeys((exp.Subquery, exp.Select, exp.Union, exp.Except, exp.Intersect), subquery),
    **CONDITIONS,
    **OPERATORS,
    **AGGREGATE_NODES,
}
_FUNCTIONS: dict[str, FunctionRule] = {
    **STRINGS,
    **NUMBERS,
    **DATES,
    **INTERVALS,
    **AGGREGATES,
}
SUPPORTED_FUNCTIONS = frozenset(_FUNCTIONS)


def translate(node: exp.Expr, environment: TypeEnvironment, settings: SessionSettings) -> exp.Expr:
    """An expression with PostgreSQL's meaning as a new tree of DuckDB's SQL."""
    translator = Translator(environment, settings, _NODES, _FUNCTIONS)
    value = translator.value(node)
    if value.raw is not None:
        return string(value.raw)
    if value.type.name == "unknown":
        return null(TEXT).node
    return value.node


def set_lists(
    function: str,
    arguments: Sequence[exp.Expr],
    environment: TypeEnvironment,
    settings: SessionSettings,
) -> list[exp.Expr]:
    """The lists whose elements are the rows of a function in FROM."""
    translator = Translator(environment, settings, _NODES, _FUNCTIONS)
    return sets.set_lists(translator, function, arguments)


def cast_result(
    node: exp.Expr, source: PostgresType, target: PostgresType, grouped: bool | None
) -> exp.Expr:
    """A translated tree as the Arrow type that stands for the announced type."""
    inner = node
    while isinstance(inner, exp.Paren):
        inner = inner.this
    exact = numeric.exact_text(inner)
    if exact is not None and grouped is not False and not has_aggregate(exact):
        # In a grouped select this must be a grouping key, and DuckDB knows it by its whole tree.
        exact = None
    value = Value(node, source, text=exact)
    if source.name == "unknown":
        value = Value(node, TEXT)
    if target.name == "numeric":
        return _numeric_result(value, target)
    if value.type.name != target.name:
        value = casts.convert(value, target)
    if target.name in ("text", "varchar", "bpchar", "name", "json", "jsonb", "uuid"):
        return cast(value.node, "VARCHAR")
    if target.is_array and target.element.name == "numeric":
        return numeric.element_texts(value.node)
    return cast(value.node, duckdb_type(target))


def _numeric_result(value: Value, target: PostgresType) -> exp.Expr:
    if value.type.name != "numeric":
        value = casts.convert(value, PostgresType("numeric"))
    if numeric_scale(target) is not None:
        if target.modifier == value.type.modifier:
            return cast(value.node, duckdb_type(target))
        raise UnsupportedError(f"{sql_name(target)} is not supported on DuckDB")
    return numeric.text_of(value)


def common_form(node: exp.Expr, kind: PostgresType) -> exp.Expr:
    """A number without declared scale in the type of quotients, which holds any scale there is."""
    if common_kind(kind) == kind:
        return node
    return cast(node, numeric.QUOTIENT_TYPE)


def common_kind(kind: PostgresType) -> PostgresType:
    """Numbers without declared scale are known by the row only, once they have met others."""
    return QUOTIENT if kind.name == "numeric" and numeric_scale(kind) is None else kind
