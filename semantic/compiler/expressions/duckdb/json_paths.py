"""Reading JSON: ``->``, ``->>``, ``#>``, ``#>>`` and their functions.

DuckDB writes a part of a JSON text down anew, where PostgreSQL gives it as it stands, so only what
is the same in both comes out: strings, whole numbers and booleans. A number with a fraction may be
had as double precision; anything else is an error of its own when it is met. Of a key that occurs
more than once DuckDB takes the first, PostgreSQL the last.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sqlglot import exp

from semantic.compiler.expressions.duckdb.build import sql, string
from semantic.compiler.expressions.duckdb.rules import literal_integer, literal_text
from semantic.compiler.expressions.duckdb.translator import FunctionRule, Translator
from semantic.compiler.expressions.duckdb.value import Value
from semantic.compiler.expressions.signatures.registry import Resolved
from semantic.compiler.expressions.syntax import Call
from semantic.errors import UnsupportedError
from semantic.model.types import FLOAT8, INT4, TEXT

Step = str | int
_EXTRACTIONS = (exp.JSONExtract, exp.JSONBExtract)
TEXTS = (exp.JSONExtractScalar, exp.JSONBExtractScalar)
_SAFE_KEY = re.compile(r'[^"\\\x00-\x1f*]+\Z')
_ARRAY_LITERAL = re.compile(r'\{([^{}"\\\s]*(?: [^{}"\\\s]+)*)\}\Z')
# DuckDB reads -0 as 0: whether that stood there only the document tells.
_AS_TEXT = """list_transform([{{'v': _1, 'd': _2}}], lambda x: CASE json_type(x.v)
  WHEN 'NULL' THEN NULL
  WHEN 'DOUBLE' THEN {fraction}
  WHEN 'OBJECT' THEN CAST(fails('0A000: the text of a JSON object is not supported on DuckDB')
    AS VARCHAR)
  WHEN 'ARRAY' THEN CAST(fails('0A000: the text of a JSON array is not supported on DuckDB')
    AS VARCHAR)
  ELSE CASE WHEN CAST(x.v AS VARCHAR) = '0'
      AND regexp_matches(CAST(x.d AS VARCHAR), '-0([^0-9.eE]|$)')
    THEN CAST(fails('0A000: the JSON number -0 is not supported on DuckDB') AS VARCHAR)
    ELSE json_extract_string(x.v, '$') END END)[1]"""
# Where a key may stand twice, or may be spelled with an escape, all keys are looked at.
_MEMBER = """CASE WHEN json_type(_1) = 'OBJECT' AND (contains(CAST(_1 AS VARCHAR), chr(92))
    OR contains(substring(CAST(_1 AS VARCHAR), strpos(CAST(_1 AS VARCHAR), _2) + 1), _2))
  THEN list_reverse(json_extract(_1, '$.*'))[list_position(list_reverse(json_keys(_1)), _3)]
  ELSE json_extract(_1, _4) END"""
_NO_FRACTION = """CAST(fails('0A000: a JSON number with a fraction is supported as double '
  || 'precision only: cast it') AS VARCHAR)"""
_TEXT = _AS_TEXT.format(fraction=_NO_FRACTION)
_FLOAT = f"CAST({_AS_TEXT.format(fraction='''json_extract_string(x.v, '$')''')} AS DOUBLE)"


def extracted(translator: Translator, node: exp.Expr) -> exp.Expr:
    """A JSON value, or a part of one, as DuckDB's JSON.

    Raises:
        UnsupportedError: the way to the part is not known when the statement is compiled.
    """
    while isinstance(node, exp.Paren):
        node = node.this
    if isinstance(node, (*_EXTRACTIONS, *TEXTS)):
        return _at(extracted(translator, node.this), _steps(node))
    value = translator.value(node)
    if value.type.name not in ("json", "jsonb"):
        raise UnsupportedError(f"JSON in a {value.type.name} is not supported here")
    return value.node


def _steps(node: exp.Expr) -> list[tuple[Step, bool]]:
    """The keys and places that lead to a part; with each, whether a number may be a key too."""
    key = node.expression
    if isinstance(node, exp.JSONBExtract | exp.JSONBExtractScalar):
        return [_either(item) for item in _path_items(key)]
    if isinstance(key, exp.JSONPath):
        last = key.expressions[-1]
        step = last.this if isinstance(last, exp.JSONPathKey | exp.JSONPathSubscript) else ""
        return [(step, False)]
    place = literal_integer(key)
    if place is not None:
        return [(place, False)]
    return [(literal_text(key, "the key"), False)]


def _path_items(node: exp.Expr) -> list[str]:
    if isinstance(node, exp.Array):
        return [literal_text(item, "the key") for item in node.expressions]
    match = _ARRAY_LITERAL.match(literal_text(node, "the path"))
    if match is None:
        raise UnsupportedError("this path is not supported on DuckDB")
    return match[1].split(",") if match[1] else []


def _either(text: str) -> tuple[Step, bool]:
    return (int(text), True) if re.fullmatch(r"-?\d+", text) else (text, False)


def _root(node: exp.Expr) -> exp.Expr:
    """The document that a part is taken from."""
    while isinstance(node, (exp.Paren, *_EXTRACTIONS, *TEXTS)):
        node = node.this
    return node


def _member(document: exp.Expr, key: str) -> exp.Expr:
    """The value of a key."""
    if not _SAFE_KEY.match(key):
        raise UnsupportedError(f'the JSON key "{key}" is not supported on DuckDB')
    names = [string(f'"{key}"'), string(key), string(f'$."{key}"')]
    if isinstance(document, exp.Column):
        return sql(_MEMBER, document, *names)
    inner = exp.Column(this=exp.Identifier(this="cw_v", quoted=False))
    return sql("list_transform([_1], lambda v: _2)[1]", document, sql(_MEMBER, inner, *names))


def _at(document: exp.Expr, steps: Sequence[tuple[Step, bool]]) -> exp.Expr:
    for step, also_key in steps:
        if isinstance(step, int):
            place = f"[{step}]" if step >= 0 else f"[#{step}]"
            if also_key:
                text = """list_transform([_1], lambda v: CASE json_type(v)
                  WHEN 'ARRAY' THEN json_extract(v, _2) ELSE _3 END)[1]"""
                inner = exp.Column(this=exp.Identifier(this="cw_v", quoted=False))
                member = _member(inner, str(step))
                document = sql(text, document, string(f"${place}"), member)
            else:
                document = sql("json_extract(_1, _2)", document, string(f"${place}"))
            continue
        document = _member(document, step)
    return document


def text(translator: Translator, node: exp.Expr) -> Value:
    """``->>`` and ``#>>``."""
    root = translator.value(_root(node)).node
    return Value(sql(_TEXT, extracted(translator, node), root), TEXT)


def as_float(translator: Translator, node: exp.Expr) -> Value | None:
    """``(j ->> key)::float8``; None for any other expression."""
    while isinstance(node, exp.Paren):
        node = node.this
    if not isinstance(node, TEXTS):
        return None
    root = translator.value(_root(node)).node
    return Value(sql(_FLOAT, extracted(translator, node), root), FLOAT8)


def part(_translator: Translator, _node: exp.Expr) -> Value:
    """``->`` and ``#>`` as a value."""
    raise UnsupportedError(
        "a part of a JSON document as a value is not supported on DuckDB",
        hint="Take its text with ->> or #>>.",
    )


def _path_text(translator: Translator, call: Call, _resolved: Resolved) -> Value:
    steps = [_either(literal_text(item, "the key")) for item in call.arguments[1:]]
    document = extracted(translator, call.arguments[0])
    root = translator.value(_root(call.arguments[0])).node
    return Value(sql(_TEXT, _at(document, steps), root), TEXT)


_LENGTH = """list_transform([_1], lambda v: CASE WHEN json_type(v) = 'ARRAY'
  THEN CAST(json_array_length(v) AS INTEGER) WHEN v IS NOT NULL
  THEN CAST(fails('22023: cannot get array length of a non-array') AS INTEGER) END)[1]"""
_TYPE = """CASE json_type(_1) WHEN 'VARCHAR' THEN 'string' WHEN 'OBJECT' THEN 'object'
  WHEN 'ARRAY' THEN 'array' WHEN 'BOOLEAN' THEN 'boolean' WHEN 'NULL' THEN 'null'
  WHEN NULL THEN NULL ELSE CASE WHEN _1 IS NOT NULL THEN 'number' END END"""


def _of_document(template: str, *, integer: bool) -> FunctionRule:
    def translate(translator: Translator, call: Call, _resolved: Resolved) -> Value:
        document = extracted(translator, call.arguments[0])
        return Value(sql(template, document), INT4 if integer else TEXT)

    return translate


JSON_PATHS: dict[str, FunctionRule] = {
    **dict.fromkeys(
        ("json_array_length", "jsonb_array_length"), _of_document(_LENGTH, integer=True)
    ),
    **dict.fromkeys(("json_typeof", "jsonb_typeof"), _of_document(_TYPE, integer=False)),
    **dict.fromkeys(("json_extract_path_text", "jsonb_extract_path_text"), _path_text),
}
