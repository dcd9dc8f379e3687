"""``format`` and quoting, binary strings and hashes."""

from __future__ import annotations

import re

from sqlglot import exp

from semantic.compiler.expressions.duckdb import casts
from semantic.compiler.expressions.duckdb.build import call as build_call
from semantic.compiler.expressions.duckdb.build import number, sql, string
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
from semantic.errors import SemanticError, UnsupportedError
from semantic.model.types import TEXT

_SPECIFIER = re.compile(
    r"%(?:(?P<percent>%)|(?:(?P<place>\d+)\$)?(?P<left>-)?(?P<width>\d+)?(?P<kind>[sIL])|(?P<bad>))"
)
_QUOTED = """CASE WHEN contains(_1, chr(92))
  THEN concat('E''', replace(replace(_1, chr(92), chr(92) || chr(92)), '''', ''''''), '''')
  ELSE concat('''', replace(_1, '''', ''''''), '''') END"""
_QUOTE_LITERAL = f"CASE WHEN _1 IS NOT NULL THEN {_QUOTED} END"
_QUOTE_NULLABLE = f"CASE WHEN _1 IS NULL THEN 'NULL' ELSE {_QUOTED} END"


def _format(translator: Translator, call: Call, _resolved: Resolved) -> Value:
    """``format``, whose pattern must be known; its values are texts as they are sent."""
    pattern = literal_text(call.arguments[0], "the pattern of format")
    values = call.arguments[1:]
    pieces: list[exp.Expr] = []
    position = following = 0
    for match in _SPECIFIER.finditer(pattern):
        pieces.append(string(pattern[position : match.start()]))
        position = match.end()
        if match["percent"]:
            pieces.append(string("%"))
            continue
        if match["kind"] is None or match["kind"] == "I" or match["place"] == "0":
            raise UnsupportedError(
                f'this specifier of format is not supported: "{pattern[match.start() :][:5]}"'
            )
        following = int(match["place"]) if match["place"] else following + 1
        if following > len(values):
            raise SemanticError("22023", "too few arguments for format()")
        text = casts.text(translator.settled(values[following - 1]), output=True)
        pieces.append(_specified(match, text))
    pieces.append(string(pattern[position:]))
    kept = [piece for piece in pieces if not (isinstance(piece, exp.Literal) and not piece.this)]
    return Value(build_call("concat", *kept) if kept else string(""), TEXT)


def _specified(match: re.Match[str], text: exp.Expr) -> exp.Expr:
    if match["kind"] == "L":
        text = sql(_QUOTE_NULLABLE, text)
    if not match["width"] or int(match["width"]) == 0:
        return text
    pad = "rpad" if match["left"] else "lpad"
    template_ = f"""list_transform([coalesce(_1, '')], lambda t:
      {pad}(t, CAST(greatest(length(t), _2) AS INTEGER), ' '))[1]"""
    return sql(template_, text, number(int(match["width"])))


def _quoting(text: str) -> FunctionRule:
    """Of a text, or of any other value as a cast to text makes it."""

    def translate(translator: Translator, call: Call, _resolved: Resolved) -> Value:
        return Value(sql(text, casts.text(translator.settled(call.arguments[0]))), TEXT)

    return translate


_BASE64 = "array_to_string(regexp_extract_all(base64(_1), '.{1,76}'), chr(10))"
_ENCODINGS = {
    "hex": "lower(hex(_1))",
    "base64": f"CASE WHEN _1 IS NOT NULL THEN coalesce({_BASE64}, '') END",
}
_DECODINGS = {
    "hex": "unhex(regexp_replace(_1, '\\s', '', 'g'))",
    "base64": "from_base64(regexp_replace(_1, '\\s', '', 'g'))",
}


def _encoding(forms: dict[str, str]) -> FunctionRule:
    """``encode`` and ``decode``."""

    def translate(translator: Translator, call: Call, resolved: Resolved) -> Value:
        name = literal_text(call.arguments[1], "the format of encode and decode").lower()
        if name not in forms:
            raise UnsupportedError(f'the format "{name}" is not supported on DuckDB')
        value = translator.typed(call.arguments[0], resolved.arguments[0])
        return Value(sql(forms[name], value), resolved.result)

    return translate


def _converted(function: str) -> FunctionRule:
    """Text to its bytes and back, which are UTF-8 in DuckDB."""

    def translate(translator: Translator, call: Call, resolved: Resolved) -> Value:
        name = literal_text(call.arguments[1], "the encoding").lower().replace("-", "")
        if name != "utf8":
            raise UnsupportedError(f'the encoding "{name}" is not supported on DuckDB')
        items = arguments(translator, call, resolved)
        return Value(build_call(function, items[0]), resolved.result)

    return translate


QUOTING: dict[str, FunctionRule] = {
    "convert_from": _converted("decode"),
    "convert_to": _converted("encode"),
    "decode": _encoding(_DECODINGS),
    "encode": _encoding(_ENCODINGS),
    "format": _format,
    "md5": by_type({"any": template("md5(_1)")}),
    "octet_length": by_type(
        {
            "bytea": template("CAST(octet_length(_1) AS INTEGER)"),
            "any": template("CAST(strlen(_1) AS INTEGER)"),
        }
    ),
    "quote_literal": _quoting(_QUOTE_LITERAL),
    "quote_nullable": _quoting(_QUOTE_NULLABLE),
    "sha256": template("unhex(sha256(_1))"),
}
