"""DuckDB's rules, all in one place, and what leaves for the client."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from semantic.compiler.api import SessionSettings
from semantic.compiler.expressions.duckdb import casts, numeric, sets
from semantic.compiler.expressions.duckdb.aggregates import (
    AGGREGATE_NODES,
    AGGREGATES,
)
from semantic.compiler.expressions.duckdb.arithmetic import OPERATORS
from semantic.compiler.expressions.duckdb.arrays import ARRAYS, array, element
from semantic.compiler.expressions.duckdb.buckets import BUCKETS
from semantic.compiler.expressions.duckdb.build import call, cast, string
from semantic.compiler.expressions.duckdb.conditions import CONDITIONS
from semantic.compiler.expressions.duckdb.dates import DATES
from semantic.compiler.expressions.duckdb.intervals import INTERVALS, sendable
from semantic.compiler.expressions.duckdb.json_paths import JSON_PATHS, TEXTS, as_float, part, text
from semantic.compiler.expressions.duckdb.json_text import JSON_TEXTS
from semantic.compiler.expressions.duckdb.literals import null
from semantic.compiler.expressions.duckdb.numbers import NUMBERS
from semantic.compiler.expressions.duckdb.quoting import QUOTING
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
from semantic.compiler.expressions.types import is_quotient, numeric_scale
from semantic.errors import UnsupportedError
from semantic.model.types import INTERVAL, NUMERIC, TEXT, PostgresType


def _collated(translator: Translator, node: exp.Expr) -> Value:
    """COLLATE, of which DuckDB knows bytewise order as its own."""
    name = node.expression.name
    if name not in ("C", "POSIX", "default", "ucs_basic"):
        raise UnsupportedError(f'the collation "{name}" is not supported on DuckDB')
    return translator.settled(node.this)


def _cast(translator: Translator, node: exp.Expr) -> Value:
    """A cast; of the text of a JSON number, where that can be had as double precision only."""
    if translator.types.of(node).name == "float8":
        found = as_float(translator, node.this)
        if found is not None:
            return found
    return explicit_cast(translator, node)


def _session(translator: Translator, node: exp.Expr) -> Value:
    """current_user and its like."""
    return Value(string(session_value(node, translator.settings)), translator.types.of(node))


def _row(translator: Translator, node: exp.Expr) -> Value:
    """A row, as COUNT(DISTINCT (a, b)) counts it: with its NULLs, which are equal there."""
    if not isinstance(node.parent, exp.Distinct):
        raise UnsupportedError("a row as a value is not supported on DuckDB")
    fields = [translator.settled(item).node for item in node.expressions]
    return Value(call("row", *fields), PostgresType("record"))


_NODES: dict[type[exp.Expr], NodeRule] = {
    exp.Column: column,
    exp.Parameter: parameter,
    exp.Tuple: _row,
    exp.Literal: literal,
    exp.ByteString: escaped_string,
    exp.Null: null_node,
    exp.Boolean: boolean,
    exp.Paren: parenthesised,
    exp.Cast: _cast,
    exp.Collate: _collated,
    exp.Array: array,
    exp.JSONExtract: part,
    exp.JSONBExtract: part,
    **dict.fromkeys(TEXTS, text),
    exp.Bracket: element,
    **dict.fromkeys(SESSION_NODES, _session),
    **dict.fromkeys((exp.Subquery, exp.Select, exp.Union, exp.Except, exp.Intersect), subquery),
    **CONDITIONS,
    **OPERATORS,
    **AGGREGATE_NODES,
}
_FUNCTIONS: dict[str, FunctionRule] = {
    **STRINGS,
    **QUOTING,
    **NUMBERS,
    **BUCKETS,
    **DATES,
    **INTERVALS,
    **ARRAYS,
    **JSON_PATHS,
    **JSON_TEXTS,
    **AGGREGATES,
}
SUPPORTED_FUNCTIONS = frozenset(_FUNCTIONS)


def translate(node: exp.Expr, environment: TypeEnvironment, settings: SessionSettings) -> exp.Expr:
    """An expression with PostgreSQL's meaning as a new tree of DuckDB's SQL."""
    value = _value(Translator(environment, settings, _NODES, _FUNCTIONS), node)
    return numeric.sort_key(value)


def is_text_form(kind: PostgresType) -> bool:
    """Numbers whose decimals differ by row are handed up as their texts."""
    return is_quotient(kind)


def translate_column(
    node: exp.Expr,
    environment: TypeEnvironment,
    settings: SessionSettings,
    kind: PostgresType,
) -> exp.Expr:
    """An expression as the column of a query that stands in another one."""
    value = _value(Translator(environment, settings, _NODES, _FUNCTIONS), node)
    if is_quotient(kind) and value.type.name != "numeric":
        value = casts.convert(value, NUMERIC)
    if value.type.name == "numeric":
        return numeric.handed_up(value, kind)
    if value.type.is_array and value.text is not None:
        raise UnsupportedError(
            "an array of numbers whose decimals differ cannot be handed up on DuckDB",
            hint="Round its elements to a fixed number of decimals.",
        )
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


def translate_result(
    node: exp.Expr,
    environment: TypeEnvironment,
    settings: SessionSettings,
    target: PostgresType,
) -> exp.Expr:
    """An expression as the Arrow type that stands for the announced type."""
    value = _value(Translator(environment, settings, _NODES, _FUNCTIONS), node)
    if target.name == "numeric":
        return _numeric_result(value, target)
    if value.type.name != target.name:
        value = casts.convert(value, target)
    if target.name in ("json", "jsonb"):
        return casts.document_text(value.node)
    if target.name in ("text", "varchar", "bpchar", "name", "uuid"):
        return cast(value.node, "VARCHAR")
    if target.is_array and target.element.name == "numeric":
        return numeric.element_texts(value)
    node = cast(value.node, duckdb_type(target))
    return sendable(node, target) if target.element == INTERVAL else node


def _value(translator: Translator, node: exp.Expr) -> Value:
    value = translator.value(node)
    if value.raw is not None:
        return Value(string(value.raw), TEXT)
    return null(TEXT) if value.type.name == "unknown" else value


def _numeric_result(value: Value, target: PostgresType) -> exp.Expr:
    if value.type.name != "numeric":
        value = casts.convert(value, PostgresType("numeric"))
    size = numeric_scale(target)
    if size is not None:
        if numeric.fixed_scale(value) == size[1]:
            return cast(value.node, duckdb_type(target))
        raise UnsupportedError(
            f"numeric({size[0]},{size[1]}) is not known here on DuckDB",
            hint="Cast the value to that type.",
        )
    return numeric.text_of(value)
