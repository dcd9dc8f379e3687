"""Building JSON: its text, with the blanks that PostgreSQL puts."""

from __future__ import annotations

from sqlglot import exp

from semantic.compiler.expressions.duckdb import casts
from semantic.compiler.expressions.duckdb.build import call as build_call
from semantic.compiler.expressions.duckdb.build import sql, string
from semantic.compiler.expressions.duckdb.rules import literal_text
from semantic.compiler.expressions.duckdb.translator import FunctionRule, Translator
from semantic.compiler.expressions.duckdb.value import Value
from semantic.compiler.expressions.signatures.registry import Resolved
from semantic.compiler.expressions.syntax import Call
from semantic.errors import SemanticError, UnsupportedError
from semantic.model.types import PostgresType

_PLAIN = ("int2", "int4", "int8", "numeric")
_QUOTED = ("date", "time", "interval", "uuid", "timestamp", "timestamptz")
_FLOAT = "CASE WHEN isfinite({0}) THEN {1} ELSE '\"' || {1} || '\"' END"
# Some control characters are spelled otherwise by DuckDB.
_STRING = """CASE WHEN regexp_matches(_1, '[\\x0b\\x0e\\x0f\\x1a-\\x1f]')
  THEN CAST(fails('0A000: a control character in JSON is not supported on DuckDB') AS VARCHAR)
  ELSE CAST(to_json(_1) AS VARCHAR) END"""
# A moment's offset is always given in hours and minutes here.
_ZONED = """list_transform([replace(_1, ' ', 'T')], lambda t:
  CASE WHEN regexp_matches(t, '[-+][0-9]{2}$') THEN t || ':00' ELSE t END)[1]"""


def json_text(value: Value, *, binary: bool = False) -> exp.Expr:
    """A value as JSON, ``null`` for NULL.

    Args:
        value: what to write.
        binary: for jsonb, which keeps numbers otherwise.

    Raises:
        UnsupportedError: its text cannot be had exactly.
    """
    name = value.type.name
    if name == "unknown" or isinstance(value.node, exp.Null):
        return string("null")
    if name in ("float4", "float8") and binary:
        raise UnsupportedError("jsonb of double precision is not supported on DuckDB")
    if name in _PLAIN:
        text = casts.text(value)
    elif name in ("float4", "float8"):
        text = sql(_FLOAT.format("_1", "_2"), value.node, casts.text(value))
    elif name == "bool":
        text = casts.text(value)
    elif name in ("json", "jsonb"):
        if name == "json" and binary:
            raise UnsupportedError("jsonb of json is not supported on DuckDB")
        if isinstance(value.node, exp.Column):
            raise UnsupportedError("a JSON column inside of JSON is not supported on DuckDB")
        text = value.node
    elif name in _QUOTED:
        text = _quoted_moment(value)
    elif value.type.is_array:
        raise UnsupportedError("arrays inside of JSON are not supported on DuckDB")
    else:
        text = sql(_STRING, casts.text(value))
    return sql("coalesce(_1, 'null')", text)


def _quoted_moment(value: Value) -> exp.Expr:
    text = casts.text(value, output=True)
    if value.type.name == "timestamptz":
        text = sql(_ZONED, text)
    elif value.type.name == "timestamp":
        text = sql("replace(_1, ' ', 'T')", text)
    return sql("'\"' || _1 || '\"'", text)


def _is_binary(call: Call) -> bool:
    return call.name.startswith("jsonb") or call.name == "to_jsonb"


def _result(call: Call) -> PostgresType:
    return PostgresType("jsonb" if _is_binary(call) else "json")


def _settled_json(translator: Translator, node: exp.Expr, *, binary: bool) -> exp.Expr:
    if isinstance(node, exp.Null):
        return string("null")
    return json_text(translator.settled(node), binary=binary)


def _object(translator: Translator, call: Call, _resolved: Resolved) -> Value:
    if len(call.arguments) % 2:
        raise SemanticError("22023", "argument list must have even number of elements")
    binary = _is_binary(call)
    pairs: list[tuple[exp.Expr, exp.Expr]] = []
    for key, value in zip(call.arguments[::2], call.arguments[1::2], strict=True):
        pairs.append((key, _settled_json(translator, value, binary=binary)))
    if binary:
        pairs = _in_order(pairs)
    pieces: list[exp.Expr] = [string("{")]
    for number, (key, text) in enumerate(pairs):
        shown = json_key(translator.settled(key))
        between = ", " if number else ""
        pieces += [string(between), shown, string(": " if binary else " : "), text]
    pieces.append(string("}"))
    kept = [piece for piece in pieces if not (isinstance(piece, exp.Literal) and not piece.this)]
    return Value(build_call("concat", *kept), _result(call))


def _in_order(pairs: list[tuple[exp.Expr, exp.Expr]]) -> list[tuple[exp.Expr, exp.Expr]]:
    """Each key once, the shorter first: jsonb has no order of its own."""
    last = {literal_text(key, "a key of jsonb"): (key, text) for key, text in pairs}
    return [last[key] for key in sorted(last, key=lambda key: (len(key.encode()), key.encode()))]


def json_key(value: Value) -> exp.Expr:
    """A value as the key of an object; it is an error where it is NULL."""
    if isinstance(value.node, exp.Null) or value.type.is_array:
        raise SemanticError("22023", "key value must be scalar, not array, composite, or json")
    text = casts.text(value, output=True)
    if value.type.name == "bool":
        text = casts.text(value)
    shown = sql(_STRING, text)
    if isinstance(value.node, exp.Literal):
        return shown
    failing = "CAST(fails('22004: null value not allowed for object key') AS VARCHAR)"
    return sql(f"coalesce(_1, {failing})", shown)


def _array(translator: Translator, call: Call, _resolved: Resolved) -> Value:
    binary = _is_binary(call)
    pieces: list[exp.Expr] = [string("[")]
    for number, item in enumerate(call.arguments):
        pieces += [string(", ")] if number else []
        pieces.append(_settled_json(translator, item, binary=binary))
    return Value(build_call("concat", *pieces, string("]")), _result(call))


def _to_json(translator: Translator, call: Call, _resolved: Resolved) -> Value:
    value = translator.settled(call.arguments[0])
    text = json_text(value, binary=_is_binary(call))
    return Value(sql("CASE WHEN _1 IS NOT NULL THEN _2 END", value.node, text), _result(call))


JSON_TEXTS: dict[str, FunctionRule] = {
    "json_build_array": _array,
    "json_build_object": _object,
    "jsonb_build_array": _array,
    "jsonb_build_object": _object,
    "to_json": _to_json,
    "to_jsonb": _to_json,
}
