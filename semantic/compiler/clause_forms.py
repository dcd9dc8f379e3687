"""Tokens of clauses that the parser knows in another form only, put in that form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlglot.dialects.dialect import Dialect
from sqlglot.tokenizer_core import Token, TokenType

from semantic.compiler.tokens import beside
from semantic.errors import UnsupportedError

_DIRECTIONS = {TokenType.LT: (TokenType.ASC, "ASC"), TokenType.GT: (TokenType.DESC, "DESC")}
_OTHER_OPERATORS = frozenset({TokenType.OPERATOR, TokenType.RLIKE})
_GROUPINGS = frozenset({TokenType.ROLLUP, TokenType.CUBE, TokenType.GROUPING_SETS})
_PARSER = Dialect.get_or_raise("postgres").parser_class
_BEYOND_SUMS = frozenset({TokenType.IS, TokenType.ISNULL, TokenType.NOTNULL}).union(
    _PARSER.DISJUNCTION,
    _PARSER.CONJUNCTION,
    _PARSER.EQUALITY,
    _PARSER.COMPARISON,
    _PARSER.RANGE_PARSERS,
)
_OPENING = frozenset({TokenType.L_PAREN, TokenType.L_BRACKET})
_CLOSING = frozenset({TokenType.R_PAREN, TokenType.R_BRACKET})


def with_directions(tokens: list[Token]) -> list[Token]:
    """The tokens with ``ORDER BY x DESC`` for ``ORDER BY x USING >``, and ASC for ``USING <``.

    Raises:
        UnsupportedError: another operator.
    """
    found: list[Token] | None = None
    for index in range(len(tokens) - 1, 0, -1):
        using, operator = tokens[index - 1], tokens[index]
        if using.token_type is not TokenType.USING:
            continue
        if operator.token_type in _DIRECTIONS:
            found = list(tokens) if found is None else found
            found[index - 1 : index + 1] = [beside(*_DIRECTIONS[operator.token_type], using)]
        elif operator.token_type in _OTHER_OPERATORS:
            raise UnsupportedError(
                "ORDER BY ... USING is supported with < and > only",
                hint="Write ASC or DESC.",
                position=operator.start + 1,
            )
    return tokens if found is None else found


def with_enclosed_groupings(tokens: list[Token]) -> list[Token]:
    """The tokens with ``ROLLUP ((a > 1), b)`` for ``ROLLUP (a > 1, b)``.

    Of what stands there bare the parser reads no more than sums.
    """
    spans = [
        span
        for index, token in enumerate(tokens[:-1])
        if token.token_type in _GROUPINGS and tokens[index + 1].token_type is TokenType.L_PAREN
        for span in _elements(tokens, index + 2)
    ]
    if not spans:
        return tokens
    before = {start: tokens[start] for start, _ in spans}
    after = {end: tokens[end - 1] for _, end in spans}
    found: list[Token] = []
    for index, token in enumerate(tokens):
        if index in after:
            found.append(beside(TokenType.R_PAREN, ")", after[index]))
        if index in before:
            found.append(beside(TokenType.L_PAREN, "(", before[index]))
        found.append(token)
    return found


def _elements(tokens: Sequence[Token], start: int) -> Iterator[tuple[int, int]]:
    """Where the expressions of a list begin and end that are compared or combined by AND or OR."""
    depth, compared = 0, False
    for index in range(start, len(tokens)):
        kind = tokens[index].token_type
        if depth == 0 and (kind is TokenType.COMMA or kind in _CLOSING):
            if compared:
                yield start, index
            if kind is not TokenType.COMMA:
                return
            start, compared = index + 1, False
        depth += (kind in _OPENING) - (kind in _CLOSING)
        compared = compared or (depth == 0 and kind in _BEYOND_SUMS)
