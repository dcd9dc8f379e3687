"""Arrays of one dimension: subscripts, slices and functions."""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from semantic.compiler.expressions.duckdb import casts, numeric
from semantic.compiler.expressions.duckdb.build import call as build_call
from semantic.compiler.expressions.duckdb.build import cast, sql
from semantic.compiler.expressions.duckdb.rules import literal_integer, template
from semantic.compiler.expressions.duckdb.spelling import duckdb_type
from semantic.compiler.expressions.duckdb.translator import FunctionRule, Translator
from semantic.compiler.expressions.duckdb.value import Value
from semantic.compiler.expressions.signatures.registry import Resolved
from semantic.compiler.expressions.syntax import Call
from semantic.compiler.expressions.types import INTEGERS
from semantic.errors import UnsupportedError
from semantic.model.types import INT4, TEXT, PostgresType


def array(translator: Translator, node: exp.Expr) -> Value:
    """ARRAY[...]."""
    kind = translator.types.of(node)
    items = node.expressions
    if len(items) == 1 and isinstance(items[0], exp.Query):
        found = translator.value(items[0]).node
        return Value(exp.Array(expressions=[found]), kind)
    if any(translator.types.of(item).is_array for item in items):
        raise UnsupportedError("arrays of more than one dimension are not supported on DuckDB")
    values = [translator.coerced(item, kind.element) for item in items]
    if kind.name == "_numeric":
        return _numbers(values, kind)
    made = build_call("list_value", *(value.node for value in values))
    return Value(cast(made, duckdb_type(kind)), kind)


def _numbers(values: list[Value], kind: PostgresType) -> Value:
    """An array of numbers; of different scales, each has its own decimals in the array's text."""
    unified = numeric.alike(values) or [
        replace(value, node=numeric.number_of(numeric.text_of(value))) for value in values
    ]
    made = build_call("list_value", *(value.node for value in unified))
    scales = {numeric.fixed_scale(value) for value in values}
    if None not in scales and len(scales) == 1:
        return Value(made, kind)
    return Value(
        made, kind, text=build_call("list_value", *(numeric.text_of(each) for each in values))
    )


def element(translator: Translator, node: exp.Expr) -> Value:
    """``array[n]`` and ``array[m:n]``."""
    subject = translator.value(node.this)
    if subject.text is not None:
        raise UnsupportedError("elements of arrays of such numbers are not supported on DuckDB")
    if not subject.type.is_array:
        raise UnsupportedError("subscripts are supported for arrays only")
    index = node.expressions[0]
    if isinstance(index, exp.Slice):
        return _slice(translator, subject, index)
    constant = literal_integer(index)
    if constant is not None and constant >= 1:
        text = "list_extract(_1, _2)"
    else:
        # From the end to DuckDB, nothing to PostgreSQL.
        text = "CASE WHEN _2 >= 1 THEN list_extract(_1, _2) END"
    place = translator.typed(index, INT4)
    return Value(sql(text, subject.node, place), translator.types.of(node))


def _slice(translator: Translator, subject: Value, node: exp.Slice) -> Value:
    bounds = [
        translator.typed(bound, INT4) if isinstance(bound, exp.Expr) else default
        for bound, default in (
            (node.this, exp.Literal.number(1)),
            (node.expression, build_call("len", subject.node.copy())),
        )
    ]
    text = """CASE WHEN _2 IS NOT NULL AND _3 IS NOT NULL THEN
      list_slice(_1, CASE WHEN _2 < 1 THEN 1 ELSE _2 END,
        CASE WHEN _3 < 1 OR _3 < _2 THEN 0 ELSE _3 END) END"""
    return Value(sql(text, subject.node, *bounds), subject.type)


def _measured(text: str) -> FunctionRule:
    """A length or bound of a dimension, of which an array without elements has none."""

    def translate(translator: Translator, call: Call, resolved: Resolved) -> Value:
        subject = translator.value(call.arguments[0]).node
        dimension = literal_integer(call.arguments[1])
        if dimension is None:
            raise UnsupportedError("the dimension of an array must be a number here")
        if dimension != 1:
            return Value(cast(exp.Null(), "INTEGER"), resolved.result)
        made = sql(f"CASE WHEN len(_1) > 0 THEN CAST({text} AS INTEGER) END", subject)
        return Value(made, resolved.result)

    return translate


def _with_element(text: str) -> FunctionRule:
    """A function of an array (``_1``) and further values of its element type."""

    def translate(translator: Translator, call: Call, resolved: Resolved) -> Value:
        subject, items = _alike(translator, call.arguments[0], call.arguments[1:])
        result = subject.type if resolved.result.is_array else resolved.result
        if resolved.signature.result == "_int4":
            result = resolved.result
        return Value(sql(text, subject.node, *items), result)

    return translate


def _alike(
    translator: Translator, array_: exp.Expr, values: tuple[exp.Expr, ...]
) -> tuple[Value, list[exp.Expr]]:
    subject = translator.value(array_)
    if not subject.type.is_array or subject.type.element.name == "numeric":
        raise UnsupportedError("this function is not supported for such arrays on DuckDB")
    kind = PostgresType(subject.type.element.name)
    items = []
    for value in values:
        found = translator.types.of(value)
        if not _fits(found.name, kind.name):
            raise UnsupportedError("an array and a value of another type are not supported here")
        items.append(translator.typed(value, kind))
    return subject, items


def _fits(value: str, element_: str) -> bool:
    """Whether a value becomes an element without the array becoming another."""
    if value in INTEGERS and element_ in INTEGERS:
        return INTEGERS.index(value) <= INTEGERS.index(element_)
    return value in (element_, "unknown") or {value, element_} == {"text", "varchar"}


def _prepend(translator: Translator, call: Call, _resolved: Resolved) -> Value:
    subject, items = _alike(translator, call.arguments[1], call.arguments[:1])
    return Value(build_call("list_prepend", items[0], subject.node), subject.type)


def _concatenated(translator: Translator, call: Call, _resolved: Resolved) -> Value:
    return translator.value(exp.DPipe(this=call.arguments[0], expression=call.arguments[1]))


def _array_to_string(translator: Translator, call: Call, _resolved: Resolved) -> Value:
    texts = casts.element_texts(translator.value(call.arguments[0]))
    separator = translator.typed(call.arguments[1], TEXT)
    if len(call.arguments) == 3:
        null = translator.typed(call.arguments[2], TEXT)
        texts = sql("list_transform(_1, lambda w: coalesce(w, _2))", texts, null)
    text = """CASE WHEN _1 IS NOT NULL AND _2 IS NOT NULL
      THEN coalesce(array_to_string(_1, _2), '') END"""
    return Value(sql(text, texts, separator), TEXT)


_POSITION = """CASE WHEN _2 IS NULL
  THEN NULLIF(list_position(list_transform(_1, lambda v: v IS NULL), TRUE), 0)
  ELSE NULLIF(list_position(_1, _2), 0) END"""
_POSITIONS = """CASE WHEN _1 IS NOT NULL THEN CAST(list_filter(range(1, len(_1) + 1),
  lambda i: list_extract(_1, i) IS NOT DISTINCT FROM _2) AS INTEGER[]) END"""
_REPLACED = "list_transform(_1, lambda v: CASE WHEN v IS NOT DISTINCT FROM _2 THEN _3 ELSE v END)"
_DIMENSIONS = "CASE WHEN len(_1) > 0 THEN '[1:' || CAST(len(_1) AS VARCHAR) || ']' END"

ARRAYS: dict[str, FunctionRule] = {
    "array_append": _with_element("list_append(_1, _2)"),
    "array_cat": _concatenated,
    "array_dims": template(_DIMENSIONS),
    "array_length": _measured("len(_1)"),
    "array_lower": _measured("1"),
    "array_ndims": template("CASE WHEN len(_1) > 0 THEN 1 END"),
    "array_position": _with_element(f"CAST({_POSITION} AS INTEGER)"),
    "array_positions": _with_element(_POSITIONS),
    "array_prepend": _prepend,
    "array_remove": _with_element("list_filter(_1, lambda v: v IS DISTINCT FROM _2)"),
    "array_replace": _with_element(_REPLACED),
    "array_to_string": _array_to_string,
    "array_upper": _measured("len(_1)"),
    "cardinality": template("CAST(len(_1) AS INTEGER)"),
}
