"""The text of a jsonb, which keeps no blanks, no order of keys, and of several alike keys the last.

A warehouse that holds documents as text can compare one with a bound value only in this form.
"""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation

MOST_DIGITS = 131_072
"""Digits before the point that a numeric has at most."""
MOST_DECIMALS = 16_383
"""Digits behind it (PostgreSQL manual, 8.1.2)."""


def normal_text(text: str) -> str:
    """A document as PostgreSQL gives it back.

    Raises:
        ValueError: it is none.
        OverflowError: a number in it is too long.
        RecursionError: it is too deep: some 300 levels.
    """
    return _text(json.loads(text, parse_float=_read, parse_int=_read, parse_constant=_refused))


def _read(number: str) -> Decimal:
    try:
        return Decimal(number)
    except InvalidOperation:
        raise OverflowError(number) from None


def _refused(word: str) -> None:
    raise ValueError(word)


def _text(value: object) -> str:
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
        return "{" + ", ".join(f"{_string(key)}: {_text(value[key])}" for key in keys) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_text(item) for item in value) + "]"
    if isinstance(value, Decimal):
        return _number(value)
    return _string(value) if isinstance(value, str) else json.dumps(value)


def _number(value: Decimal) -> str:
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int)
    if -exponent > MOST_DECIMALS or (value != 0 and value.adjusted() >= MOST_DIGITS):
        raise OverflowError(value)
    # A numeric has no negative zero.
    return format(abs(value) if value == 0 else value, "f")


def _string(text: str) -> str:
    # UnicodeEncodeError, a ValueError: half of a surrogate pair.
    text.encode()
    return json.dumps(text, ensure_ascii=False)
