"""Aggregates that collect values: string_agg, array_agg, json_agg and the like."""

from __future__ import annotations

from semantic.compiler.expressions.duckdb import numeric
from semantic.compiler.expressions.duckdb.build import sql, string
from semantic.compiler.expressions.duckdb.frames import (
    Frame,
    Rule,
    read_arguments,
    unsupported_dynamic,
)
from semantic.compiler.expressions.duckdb.json_text import json_key, json_text
from semantic.compiler.expressions.duckdb.rules import literal_text
from semantic.compiler.expressions.duckdb.translator import Translator
from semantic.compiler.expressions.duckdb.value import Value
from semantic.compiler.expressions.inference import plain_arguments
from semantic.compiler.expressions.signatures.registry import Resolved
from semantic.compiler.expressions.syntax import Call
from semantic.errors import UnsupportedError
from semantic.model.types import TEXT


def _string_agg(translator: Translator, call: Call, resolved: Resolved, frame: Frame) -> Value:
    read = read_arguments(translator, call, resolved)
    separator = string(literal_text(plain_arguments(call)[1], "the delimiter of string_agg"))
    if frame.window is not None and read.order is not None:
        raise UnsupportedError("ORDER BY in string_agg with OVER is not supported")
    node = read.call("string_agg", read.values[0].node, separator, ordered=True)
    return Value(frame.around(node), TEXT)


def _array_agg(translator: Translator, call: Call, resolved: Resolved, frame: Frame) -> Value:
    read = read_arguments(translator, call, resolved)
    if read.values[0].type.is_array:
        raise UnsupportedError("array_agg of arrays is not supported on DuckDB")
    value = read.values[0]
    node = read.call("list", value.node, ordered=True)
    if not value.dynamic:
        return Value(frame.around(node), resolved.result)
    if read.distinct:
        raise unsupported_dynamic("array_agg(DISTINCT ...)")
    texts = read.call("list", numeric.text_of(value), ordered=True)
    return Value(frame.around(node), resolved.result, text=frame.around(texts))


def _json_agg(translator: Translator, call: Call, resolved: Resolved, frame: Frame) -> Value:
    """json_agg and jsonb_agg, whose elements may be NULL."""
    read = read_arguments(translator, call, resolved)
    binary = call.name.startswith("jsonb")
    text = json_text(read.values[0], binary=binary)
    if read.distinct:
        raise UnsupportedError(f"{call.name} of DISTINCT values is not supported on DuckDB")
    listed = frame.around(read.call("string_agg", text, string(", "), ordered=True))
    return Value(sql("'[' || _1 || ']'", listed), resolved.result)


def _json_object_agg(translator: Translator, call: Call, resolved: Resolved, frame: Frame) -> Value:
    read = read_arguments(translator, call, resolved)
    if read.distinct:
        raise UnsupportedError(f"{call.name} of DISTINCT values is not supported on DuckDB")
    pair = sql("_1 || ' : ' || _2", json_key(read.values[0]), json_text(read.values[1]))
    listed = frame.around(read.call("string_agg", pair, string(", "), ordered=True))
    return Value(sql("'{ ' || _1 || ' }'", listed), resolved.result)


COLLECTING: dict[str, Rule] = {
    "array_agg": _array_agg,
    "json_agg": _json_agg,
    "json_object_agg": _json_object_agg,
    "jsonb_agg": _json_agg,
    "string_agg": _string_agg,
}
