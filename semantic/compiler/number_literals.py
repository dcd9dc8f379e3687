"""Numbers as PostgreSQL 16 writes them: ``0x1F``, ``0o17``, ``0b11``, ``1_000`` (manual, 4.1.2.6).

The tokenizer takes ``1_000`` for ``1`` and a name behind it, which would be the column's label.
"""

from __future__ import annotations

import re
from itertools import pairwise

from sqlglot.errors import ParseError
from sqlglot.tokenizer_core import Token, TokenType

from semantic.compiler.unicode_text import UnparsableStatement
from semantic.errors import UnsupportedError

_DIGITS = "[0-9](?:_?[0-9])*"
_NUMBER = re.compile(
    rf"""
    0[xX](?:_?[0-9a-fA-F])+
    | 0[oO](?:_?[0-7])+
    | 0[bB](?:_?[01])+
    | {_DIGITS}(?:\.(?:{_DIGITS})?)?(?:[eE][-+]?{_DIGITS})?
    """,
    re.VERBOSE,
)
_UNUSUAL = re.compile(r"[0-9]_[0-9]|\b0[xXoObB]")
_NUMBERS = frozenset({TokenType.NUMBER, TokenType.HEX_STRING, TokenType.BIT_STRING})
_MOST_DIGITS = 1000
"""Of a number whose digits are no decimal ones; Python converts no more than some thousands."""


def with_decimal_numbers(tokens: list[Token], sql: str) -> list[Token]:
    """The tokens with each number as one, and in decimal digits.

    Raises:
        UnparsableStatement: letters stand behind a number (42601).
        UnsupportedError: it is longer than what is converted.
    """
    if not _UNUSUAL.search(sql):
        return tokens
    found: list[Token] = []
    end = -1
    for token in tokens:
        if token.start < end:
            continue
        # x'1F' and b'11' are texts of bits.
        if token.token_type in _NUMBERS and "0" <= sql[token.start] <= "9":
            match = _NUMBER.match(sql, token.start)
            assert match is not None
            end = match.end()
            token = _number(token, match[0], end)
        found.append(token)
    places = {token.end + 1 for token in tokens}
    if any(token.token_type is TokenType.NUMBER and token.end + 1 not in places for token in found):
        raise UnparsableStatement("42601", "trailing junk after numeric literal")
    return found


def with_whole_numbers(tokens: list[Token], sql: str, dialect: str) -> list[Token]:
    """The tokens of a warehouse's own SQL, with numbers as that warehouse reads them.

    Raises:
        ParseError: the tokenizer takes a part of a number for a name.
    """
    if dialect == "postgres":
        return with_decimal_numbers(tokens, sql)
    for number, name in pairwise(tokens):
        is_cut = number.token_type is TokenType.NUMBER and name.token_type is TokenType.VAR
        if is_cut and number.end + 1 == name.start:
            raise ParseError(f"{number.text}{name.text} is not read as a number")
    return tokens


def _number(token: Token, text: str, end: int) -> Token:
    if text[1:2].isalpha() and text[1] not in "eE":
        if len(text) > _MOST_DIGITS:
            raise UnsupportedError(
                f"a number of more than {_MOST_DIGITS} digits is not supported",
                hint="Write it in decimal digits.",
                position=token.start + 1,
            )
        text = str(int(text, 0))
    text = text.replace("_", "")
    return Token(TokenType.NUMBER, text, token.line, token.col, token.start, end - 1)
