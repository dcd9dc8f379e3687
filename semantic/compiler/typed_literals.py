"""Tokens of constants with their type in front, put so that the parser reads them rightly.

``DATE '...'::text`` would be parsed as a cast of the text, and of ``INTERVAL '1 day 03:00'`` the
parser keeps the first number that has a unit and forgets the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from sqlglot.dialects.dialect import Dialect
from sqlglot.tokenizer_core import Token, TokenType

from semantic.compiler.tokens import beside
from semantic.errors import UnsupportedError

_TEXTS = frozenset({TokenType.STRING, TokenType.BYTE_STRING, TokenType.HEREDOC_STRING})
_TYPES = frozenset(Dialect.get_or_raise("postgres").parser_class.TYPE_TOKENS) - {
    TokenType.INTERVAL,
    TokenType.NULL,
}
_TYPE_ARGUMENTS = frozenset({TokenType.R_PAREN, TokenType.NUMBER, TokenType.COMMA})
_FIELDS = frozenset({"year", "month", "day", "hour", "minute", "second"})
_WHOLE = re.compile(r"\s*[+-]?[0-9]+\s*")


def enclosed_literals(tokens: list[Token]) -> list[Token]:
    """The tokens with parentheses around ``DATE '...'`` where ``::`` follows."""
    found: list[Token] | None = None
    for index, token in enumerate(tokens):
        is_cast = token.token_type is TokenType.DCOLON and index > 1
        if is_cast and tokens[index - 1].token_type in _TEXTS:
            start = _type_before(tokens, index - 1)
            if start is not None:
                found = list(tokens) if found is None else found
                # What was inserted so far stands before this literal.
                shift = len(found) - len(tokens)
                found.insert(index + shift, beside(TokenType.R_PAREN, ")", tokens[index - 1]))
                found.insert(start + shift, beside(TokenType.L_PAREN, "(", tokens[start]))
    return tokens if found is None else found


def _type_before(tokens: Sequence[Token], index: int) -> int | None:
    """Where the type's name begins that stands before a literal; None where none does."""
    start = index - 1
    if tokens[start].text.lower() == "zone" and start >= 3:
        start -= 3
    if tokens[start].token_type is TokenType.R_PAREN:
        while start > 0 and tokens[start].token_type is not TokenType.L_PAREN:
            if tokens[start].token_type not in _TYPE_ARGUMENTS:
                return None
            start -= 1
        start -= 1
    return start if start >= 0 and tokens[start].token_type in _TYPES else None


def cast_intervals(tokens: list[Token]) -> list[Token]:
    """The tokens with ``CAST('...' AS INTERVAL)`` for ``INTERVAL '...'``.

    ``INTERVAL '3' DAY`` is one of 3 days; what other fields follow stays as it is.
    """
    found: list[Token] = []
    copied = 0
    for start, end in _intervals(tokens):
        texts = tokens[start + 1 : end]
        field = _field(tokens, end)
        if field is not None:
            if not _is_unit(tokens, start, end):
                continue
            texts = [beside(TokenType.STRING, f"{texts[0].text} {field.text.lower()}", texts[0])]
            end += 1
        found += tokens[copied:start]
        found += _cast(tokens[start], texts)
        copied = end
    return found + tokens[copied:] if copied else tokens


def refuse_cut_intervals(tokens: Sequence[Token]) -> None:
    """Refuse what cuts an interval down: ``INTERVAL '36 hours' DAY`` is of no length.

    Raises:
        UnsupportedError: a precision, or fields that are not the unit of a whole number (0A000).
    """
    cut = [
        start
        for start, end in _intervals(tokens)
        if _field(tokens, end) is not None and not _is_unit(tokens, start, end)
    ]
    cut += [
        index
        for index in range(len(tokens) - 4)
        if tokens[index].token_type is TokenType.INTERVAL
        and tokens[index + 1].token_type is TokenType.L_PAREN
        and tokens[index + 4].token_type in _TEXTS
    ]
    if cut:
        raise UnsupportedError(
            "intervals that are cut down to fields are not supported",
            hint="Write the units into the text, as in INTERVAL '1 day 2 hours'.",
            position=tokens[min(cut)].start + 1,
        )


def _is_unit(tokens: Sequence[Token], start: int, end: int) -> bool:
    """Whether the field behind a constant is all that its number needs."""
    following = tokens[end + 1].text.lower() if end + 1 < len(tokens) else ""
    is_whole = end == start + 2 and _WHOLE.fullmatch(tokens[start + 1].text)
    return bool(is_whole) and following not in ("to", "(")


def _intervals(tokens: Sequence[Token]) -> Iterator[tuple[int, int]]:
    """Where constants of intervals begin, and where their texts end."""
    for start, token in enumerate(tokens):
        if token.token_type is TokenType.INTERVAL:
            end = start + 1
            while end < len(tokens) and tokens[end].token_type in _TEXTS:
                end += 1
            if end > start + 1:
                yield start, end


def _field(tokens: Sequence[Token], index: int) -> Token | None:
    """The field that stands here, such as DAY: no label of a column can, where AS is left out."""
    if index < len(tokens) and tokens[index].token_type is not TokenType.IDENTIFIER:
        return tokens[index] if tokens[index].text.lower() in _FIELDS else None
    return None


def _cast(interval: Token, texts: Sequence[Token]) -> list[Token]:
    last = texts[-1]
    return [
        beside(TokenType.VAR, "CAST", interval),
        beside(TokenType.L_PAREN, "(", interval),
        *texts,
        beside(TokenType.ALIAS, "AS", last),
        beside(TokenType.INTERVAL, "INTERVAL", last),
        beside(TokenType.R_PAREN, ")", last),
    ]
