"""Numbers as PostgreSQL 16 writes them: ``0x1F``, ``0o17``, ``0b11``, ``1_000`` (manual, 4.1.2.6).

The tokenizer takes ``1_000`` for ``1`` and a name behind it, which would be the column's label.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise

from sqlglot.errors import ParseError
from sqlglot.tokenizer_core import Token, TokenType

from semantic.compiler.unicode_text import UnparsableStatement
from semantic.errors import UnsupportedError

_DIGITS = "[0-9](?:_?[0-9])*"
_EXPONENT = f"(?:[eE][-+]?{_DIGITS})?"
_NUMBER = re.compile(
    rf"""
    0[xX](?:_?[0-9a-fA-F])+
    | 0[oO](?:_?[0-7])+
    | 0[bB](?:_?[01])+
    | {_DIGITS}(?:\.(?:{_DIGITS})?)?{_EXPONENT}
    """,
    re.VERBOSE,
)
_FRACTION = re.compile(_DIGITS + _EXPONENT)
_ORDINAL = re.compile("[0-9]+")
_OTHER = r"A-Za-z_$\u0080-\U0010ffff"
_UNUSUAL = re.compile(f"[0-9][.{_OTHER}]")
_JUNK = re.compile(f"[0-9.{_OTHER}]")
"""What cannot follow a number; PostgreSQL refuses all of it, but the parser may go on reading."""
_JUNK_OF_PARAMETER = re.compile(rf"[{_OTHER}]|\.[0-9]")
_DIFFERENCE = re.compile(r"([0-9._]+[eE][0-9_]+)([-+])(.+)")
_SIGNS = {"+": TokenType.PLUS, "-": TokenType.DASH}
_MOST_DIGITS = 1000
"""Of a number whose digits are no decimal ones; Python converts no more than some thousands."""


def with_decimal_numbers(tokens: list[Token], sql: str) -> list[Token]:
    """The tokens with each number as one, and in decimal digits.

    Raises:
        UnparsableStatement: something else follows a number without a space (42601).
        UnsupportedError: it is longer than what is converted.
    """
    if not _UNUSUAL.search(sql):
        return tokens
    found: list[Token] = []
    end = -1
    for token in _with_terms(tokens):
        if token.start <= end:
            continue
        # x'1F' and b'11' are texts of bits. What has a digit first and is not quoted is a number,
        # also where the tokenizer takes it for a name.
        if "0" <= sql[token.start] <= "9":
            token = _number(token, sql)
            end = token.end
        found.append(token)
    return found


def _with_terms(tokens: Iterable[Token]) -> Iterator[Token]:
    """The tokens with 1e5-3 as three, which the tokenizer takes for one number."""
    for token in tokens:
        match = _DIFFERENCE.fullmatch(token.text) if token.token_type is TokenType.NUMBER else None
        if match is None:
            yield token
            continue
        kinds = (TokenType.NUMBER, _SIGNS[match[2]], TokenType.NUMBER)
        for place, kind in enumerate(kinds, 1):
            start, end = (token.start + offset for offset in match.span(place))
            yield _at(kind, match[place], token, start, end - 1)


def _number(token: Token, sql: str) -> Token:
    text = _text_of_number(sql, token.start)
    end = token.start + len(text) - 1
    if text[1:2].isalpha() and text[1] not in "eE":
        if len(text) > _MOST_DIGITS:
            raise UnsupportedError(
                f"a number of more than {_MOST_DIGITS} digits is not supported",
                hint="Write it in decimal digits.",
                position=token.start + 1,
            )
        text = str(int(text, 0))
    return _at(TokenType.NUMBER, text.replace("_", ""), token, token.start, end)


def _text_of_number(sql: str, start: int) -> str:
    before = sql[start - 1 : start]
    pattern, junk, what = _NUMBER, _JUNK, "numeric literal"
    if before == ".":
        pattern = _FRACTION
    elif before == "$":
        pattern, junk, what = _ORDINAL, _JUNK_OF_PARAMETER, "parameter"
    match = pattern.match(sql, start)
    assert match is not None
    if junk.match(sql, match.end()):
        raise UnparsableStatement("42601", f"trailing junk after {what}", position=start + 1)
    return match[0]


def _at(kind: TokenType, text: str, token: Token, start: int, end: int) -> Token:
    # The column is that of the token's last character.
    return Token(kind, text, token.line, token.col + end - token.end, start, end)


def with_whole_numbers(tokens: list[Token], sql: str, dialect: str) -> list[Token]:
    """The tokens of a warehouse's own SQL, with numbers as that warehouse reads them.

    Raises:
        ParseError: something else follows a number without a space.
        UnsupportedError: one is longer than what is converted.
    """
    if dialect == "postgres":
        try:
            return with_decimal_numbers(tokens, sql)
        except UnparsableStatement as error:
            # That is what is said of a client's statement, which may be the catalog's.
            raise ParseError(error.message) from error
    tokens = list(_with_terms(tokens))
    for number, name in pairwise(tokens):
        is_cut = number.token_type is TokenType.NUMBER and name.token_type is TokenType.VAR
        if is_cut and number.end + 1 == name.start:
            raise ParseError(f"{number.text}{name.text} is not read as a number")
    return tokens
