"""String functions."""

from __future__ import annotations

import re

from sqlglot import exp

from semantic.compiler.expressions.duckdb import casts, patterns
from semantic.compiler.expressions.duckdb.build import call as build_call
from semantic.compiler.expressions.duckdb.build import sql, string
from semantic.compiler.expressions.duckdb.rules import (
    arguments,
    by_type,
    literal_text,
    template,
)
from semantic.compiler.expressions.duckdb.translator import FunctionRule, Translator
from semantic.compiler.expressions.duckdb.value import Value
from semantic.compiler.expressions.signatures.registry import Resolved
from semantic.compiler.expressions.syntax import Call
from semantic.errors import UnsupportedError
from semantic.model.types import BOOL, INT4, TEXT, PostgresType

_TEXT_ARRAY = PostgresType("_text")
_INITCAP = r"""
array_to_string(list_transform(
  regexp_extract_all(_1, '[\p{L}\p{Nd}\p{Nl}]+|[^\p{L}\p{Nd}\p{Nl}]+'),
  lambda w: concat(CASE WHEN left(w, 1) = 'ß' THEN 'ß' ELSE upper(left(w, 1)) END,
    lower(substring(w, 2)))), '')
"""
_PAD = """CASE WHEN _1 IS NULL OR _2 IS NULL OR _3 IS NULL THEN NULL WHEN _2 <= 0 THEN ''
WHEN _3 = '' OR length(_1) >= _2 THEN left(_1, _2) ELSE {name}(_1, CAST(_2 AS INTEGER), _3) END"""
# DuckDB's greatest() and concat() leave NULLs out, so they are no help with what may be one.
_OVERLAY = """left(_1, CASE WHEN _3 < 1 THEN 0 ELSE _3 - 1 END) || _2 ||
  substring(_1, CASE WHEN _3 + {length} < 1 THEN 1 ELSE _3 + {length} END)"""
_SUBSTRING = "substring(_1, CASE WHEN _2 < 1 THEN 1 ELSE _2 END)"
_SUBSTRING_FOR = """CASE WHEN _3 < 0
THEN CAST(fails('22011: negative substring length not allowed') AS VARCHAR)
WHEN _2 >= 1 THEN substring(_1, _2, _3)
ELSE substring(_1, 1, CASE WHEN _2 + _3 < 1 THEN 0 ELSE _2 + _3 - 1 END) END"""
_SPLIT_PART = """CASE WHEN _3 = 0
THEN CAST(fails('22023: field position must not be zero') AS VARCHAR)
WHEN _2 = '' THEN CASE WHEN _3 IN (1, -1) THEN _1 WHEN _1 IS NOT NULL THEN '' END
ELSE split_part(_1, _2, _3) END"""


def _texts(translator: Translator, nodes: tuple[exp.Expr, ...]) -> list[exp.Expr]:
    """Values of any type as they would be sent to a client."""
    return [casts.text(translator.settled(node), output=True) for node in nodes]


def _concat(translator: Translator, call: Call, _resolved: Resolved) -> Value:
    if any(isinstance(node, exp.Variadic) for node in call.arguments):
        raise UnsupportedError("VARIADIC is not supported")
    return Value(build_call("concat", *_texts(translator, call.arguments)), TEXT)


def _concat_ws(translator: Translator, call: Call, _resolved: Resolved) -> Value:
    separator = translator.typed(call.arguments[0], TEXT)
    items = _texts(translator, call.arguments[1:])
    return Value(build_call("concat_ws", separator, *items), TEXT)


def _pattern_or_place(translator: Translator, call: Call, resolved: Resolved) -> Value:
    """Substring by position, or by regular expression."""
    if len(resolved.arguments) == 3 and resolved.arguments[2].name == "text":
        raise UnsupportedError("substring with an SQL regular expression is not supported")
    if resolved.arguments[0].name == "bytea":
        raise UnsupportedError("substring of bytea is not supported on DuckDB")
    if resolved.arguments[1].name == "text":
        return _extract(translator, call, groups=True)
    items = arguments(translator, call, resolved)
    if len(items) == 2:
        return Value(sql(_SUBSTRING, *items), TEXT)
    text = _SUBSTRING_FOR
    if all(isinstance(item, exp.Literal) for item in items[1:]) and int(items[1].this) > 0:
        text = "substring(_1, _2, _3)"
    return Value(sql(text, *items), TEXT)


def _groups(pattern: str) -> int:
    """How many capturing groups a pattern has."""
    return len(re.findall(r"\((?!\?)", re.sub(r"\\.|\[\^?\]?[^\]]*\]", "", pattern)))


def _extract(translator: Translator, call: Call, *, groups: bool) -> Value:
    pattern = literal_text(call.arguments[1], "the regular expression")
    if len(call.arguments) > 2:
        raise UnsupportedError(f"{call.name} from a position is not supported on DuckDB")
    subject = translator.typed(call.arguments[0], TEXT)
    group = exp.Literal.number(1 if groups and _groups(pattern) else 0)
    text = "CASE WHEN regexp_matches(_1, _2) THEN regexp_extract(_1, _2, _3) END"
    return Value(sql(text, subject, string(patterns.for_text(pattern)), group), TEXT)


def _regexp_substr(translator: Translator, call: Call, _resolved: Resolved) -> Value:
    return _extract(translator, call, groups=False)


def _flags(call: Call, place: int) -> str:
    if len(call.arguments) <= place:
        return ""
    return literal_text(call.arguments[place], "the flags of a regular expression")


def _regexp_like(translator: Translator, call: Call, _resolved: Resolved) -> Value:
    pattern = literal_text(call.arguments[1], "the regular expression")
    made = patterns.for_test(pattern, _flags(call, 2))
    subject = translator.typed(call.arguments[0], TEXT)
    return Value(sql("regexp_matches(_1, _2)", subject, string(made)), BOOL)


def _regexp_match(translator: Translator, call: Call, _resolved: Resolved) -> Value:
    pattern = literal_text(call.arguments[1], "the regular expression")
    made = string(patterns.for_text(pattern, _flags(call, 2)))
    subject = translator.typed(call.arguments[0], TEXT)
    count = _groups(pattern)
    places = range(1, count + 1) if count else range(1)
    items = ", ".join(f"regexp_extract(_1, _2, {place})" for place in places)
    text = f"CASE WHEN regexp_matches(_1, _2) THEN list_value({items}) END"
    return Value(sql(text, subject, made), _TEXT_ARRAY)


def _regexp_replace(translator: Translator, call: Call, resolved: Resolved) -> Value:
    if len(resolved.arguments) > 3 and resolved.arguments[3].name != "text":
        raise UnsupportedError("regexp_replace with a start position is not supported")
    flags = _flags(call, 3)
    pattern = literal_text(call.arguments[1], "the regular expression")
    made = patterns.for_text(pattern, flags.replace("g", ""))
    if "g" in flags:
        _never_empty(pattern)
    with_text = patterns.replacement(literal_text(call.arguments[2], "the replacement"))
    subject = translator.typed(call.arguments[0], TEXT)
    items = [subject, string(made), string(with_text)]
    if "g" in flags:
        items.append(string("g"))
    return Value(build_call("regexp_replace", *items), TEXT)


def _never_empty(pattern: str) -> None:
    """Engines differ in what follows a match of nothing."""
    try:
        empty = re.search(pattern, "") is not None
    except re.error:
        empty = True
    if empty:
        raise UnsupportedError(
            "a regular expression that may match the empty string is not supported here on DuckDB"
        )


def _every_match(text: str, result: PostgresType) -> FunctionRule:
    def translate(translator: Translator, call: Call, _resolved: Resolved) -> Value:
        if len(call.arguments) > 2:
            raise UnsupportedError(f"{call.name} from a position is not supported on DuckDB")
        pattern = literal_text(call.arguments[1], "the regular expression")
        _never_empty(pattern)
        made = string(patterns.for_text(pattern))
        return Value(sql(text, translator.typed(call.arguments[0], TEXT), made), result)

    return translate


_SPLIT = """CASE WHEN _1 = '' THEN CAST(list_value() AS VARCHAR[])
    WHEN _2 = '' AND _1 IS NOT NULL THEN list_value(_1)
    WHEN _2 IS NULL AND _1 IS NOT NULL THEN regexp_extract_all(_1, '.', 0, 's')
    WHEN _1 IS NOT NULL THEN string_split(_1, _2) END"""


def _string_to_array(translator: Translator, call: Call, resolved: Resolved) -> Value:
    items = arguments(translator, call, resolved)
    made = sql(_SPLIT, *items[:2])
    if len(items) == 3:
        text = "list_transform(_1, lambda v: CASE WHEN v = _2 THEN NULL ELSE v END)"
        made = sql(text, made, items[2])
    return Value(made, _TEXT_ARRAY)


STRINGS: dict[str, FunctionRule] = {
    "ascii": template("CASE WHEN _1 = '' THEN 0 ELSE unicode(_1) END"),
    "bit_length": template("CAST(strlen(_1) * 8 AS INTEGER)"),
    "btrim": template("trim(_1, ' ')", "trim(_1, _2)"),
    "chr": template(
        "CASE WHEN _1 = 0 THEN CAST(fails('54000: null character not permitted') AS VARCHAR) "
        "ELSE chr(CAST(_1 AS INTEGER)) END"
    ),
    "concat": _concat,
    "concat_ws": _concat_ws,
    "initcap": template(_INITCAP),
    "left": template("left(_1, _2)"),
    "length": by_type(
        {
            "bytea": template("CAST(octet_length(_1) AS INTEGER)"),
            "any": template("CAST(length(_1) AS INTEGER)"),
        }
    ),
    "lower": template("lower(_1)"),
    "lpad": template(_PAD.format(name="lpad").replace("_3", "' '"), _PAD.format(name="lpad")),
    "ltrim": template("ltrim(_1, ' ')", "ltrim(_1, _2)"),
    "overlay": template(
        "CASE WHEN _1 IS NOT NULL AND _2 IS NOT NULL THEN "
        + _OVERLAY.format(length="length(_2)")
        + " END /* _1 _2 _3 */",
        "CASE WHEN _1 IS NOT NULL AND _2 IS NOT NULL AND _4 IS NOT NULL THEN "
        + _OVERLAY.format(length="_4")
        + " END",
    ),
    "regexp_count": _every_match("len(regexp_extract_all(_1, _2))", INT4),
    "regexp_like": _regexp_like,
    "regexp_match": _regexp_match,
    "regexp_replace": _regexp_replace,
    "regexp_split_to_array": _every_match("string_split_regex(_1, _2)", _TEXT_ARRAY),
    "regexp_substr": _regexp_substr,
    "repeat": template("repeat(_1, CASE WHEN _2 < 0 THEN 0 ELSE _2 END)"),
    "replace": template(
        "CASE WHEN _2 = '' AND _3 IS NOT NULL THEN _1 ELSE replace(_1, _2, _3) END"
    ),
    "reverse": template(
        # DuckDB's own keeps characters together with what combines with them.
        "array_to_string(list_reverse(regexp_extract_all(_1, '.', 0, 's')), '')"
    ),
    "right": template("right(_1, _2)"),
    "rpad": template(_PAD.format(name="rpad").replace("_3", "' '"), _PAD.format(name="rpad")),
    "rtrim": template("rtrim(_1, ' ')", "rtrim(_1, _2)"),
    "split_part": template(_SPLIT_PART),
    "starts_with": template("starts_with(_1, _2)"),
    "string_to_array": _string_to_array,
    "strpos": template("strpos(_1, _2)"),
    "substring": _pattern_or_place,
    "to_hex": by_type(
        {
            "int4": template(
                "lower(to_hex(CASE WHEN _1 < 0 THEN _1 + 4294967296 ELSE CAST(_1 AS BIGINT) END))"
            ),
            "int8": template("lower(to_hex(_1))"),
        }
    ),
    "translate": template("translate(_1, _2, _3)"),
    # PostgreSQL has no upper case of the letter ß.
    "upper": template(
        "CASE WHEN contains(_1, 'ß') THEN array_to_string(list_transform(string_split(_1, 'ß'), "
        "lambda p: upper(p)), 'ß') ELSE upper(_1) END"
    ),
}
