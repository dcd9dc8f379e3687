"""jsonb literals: jsonb keeps no blanks, no order of keys, and of several alike keys the last."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation

from semantic.errors import SemanticError, UnsupportedError


def jsonb_text(raw: str) -> str:
    """The text that PostgreSQL gives a jsonb back with.

    Raises:
        SemanticError: 22P02, it is no JSON; 54001, it is too deep; 22003, a number is too long.
        UnsupportedError: a form that only one of the two readers knows.
    """
    try:
        value = json.loads(raw, parse_float=_number, parse_int=_number, parse_constant=_constant)
        return _text(value)
    except ValueError:
        raise SemanticError("22P02", "invalid input syntax for type json") from None
    except RecursionError:
        raise SemanticError("54001", "stack depth limit exceeded") from None
    except InvalidOperation:
        raise SemanticError("22003", "value overflows numeric format") from None


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
