"""jsonb literals: jsonb keeps no blanks, no order of keys, and of several alike keys the last."""

from __future__ import annotations

import json
from decimal import Decimal

from semantic.errors import SemanticError, UnsupportedError


def jsonb_text(raw: str) -> str:
    """The text that PostgreSQL gives a jsonb back with.

    Raises:
        SemanticError: 22P02, it is no JSON.
        UnsupportedError: a form that only one of the two readers knows.
    """
    try:
        value = json.loads(raw, parse_float=_number, parse_int=_number, parse_constant=_constant)
    except (ValueError, RecursionError):
        raise SemanticError("22P02", "invalid input syntax for type json") from None
    return _text(value)


def _number(text: str) -> Decimal:
    value = Decimal(text)
    if abs(value.adjusted()) > 1000:
        raise UnsupportedError("a number as long as this in jsonb is not supported on DuckDB")
    return value


def _constant(text: str) -> object:
    raise ValueError(text)


def _text(value: object) -> str:
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
        return "{" + ", ".join(f"{_string(key)}: {_text(value[key])}" for key in keys) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_text(item) for item in value) + "]"
    if isinstance(value, Decimal):
        # A numeric has no negative zero.
        return format(abs(value) if value == 0 else value, "f")
    return _string(value) if isinstance(value, str) else json.dumps(value)


def _string(text: str) -> str:
    if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in text):
        raise UnsupportedError("such an escape in jsonb is not supported on DuckDB")
    return json.dumps(text, ensure_ascii=False)
