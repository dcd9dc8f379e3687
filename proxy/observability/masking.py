"""The text of a statement without its values: what a log may hold."""

from __future__ import annotations

from semantic.compiler.utility.errors import StatementSyntaxError
from semantic.compiler.utility.lexer import Kind, next_token

LONGEST = 4_096
"""Characters of a statement that are looked at."""

_VALUES = frozenset((Kind.STRING, Kind.BITS, Kind.NUMBER))
MASK = "?"
CUT = "..."


def masked(text: str) -> str:
    r"""A statement with ``?`` for each constant, and without comments.

    >>> masked("SELECT a FROM b -- mine\n WHERE c = 'x' AND d IN (1, 2)")
    'SELECT a FROM b WHERE c = ? AND d IN (?, ?)'

    What cannot be read is left out, and so is what is past ``LONGEST``.
    """
    parts: list[str] = []
    seen = text[:LONGEST]
    position = 0
    while True:
        try:
            token = next_token(seen, position)
        except StatementSyntaxError:
            parts.append(CUT)
            break
        if token.kind is Kind.END:
            if len(text) > LONGEST:
                parts.append(CUT)
            break
        if parts and token.start > position:
            parts.append(" ")
        parts.append(MASK if token.kind in _VALUES else seen[token.start : token.end])
        position = token.end
    return "".join(parts)
