"""Names and texts with Unicode escapes, ``U&"..."`` and ``U&'...'`` (manual, 4.1.2.3)."""

from __future__ import annotations

import re

from sqlglot.tokenizer_core import Token, TokenType

from semantic.errors import SemanticError


class UnparsableStatement(SemanticError):  # noqa: N818 (named for what it is, not for a fault)
    """Text that our parser cannot read; PostgreSQL's own answer is the better error."""


def decoded(text: str, mark: str = "\\") -> str:
    """A text with its escapes resolved.

    Raises:
        UnparsableStatement: an escape is malformed.
    """
    sign = re.escape(mark)
    pattern = rf"{sign}(?:(?P<same>{sign})|(?P<four>[0-9A-Fa-f]{{4}})|\+(?P<six>[0-9A-Fa-f]{{6}})|)"

    def plain(match: re.Match[str]) -> str:
        if match["same"]:
            return mark
        digits = match["four"] or match["six"]
        if not digits or not 0 < int(digits, 16) <= 0x10FFFF:
            raise UnparsableStatement("42601", "invalid Unicode escape")
        return chr(int(digits, 16))

    found = re.sub(pattern, plain, text)
    try:
        # A character beyond the first plane may be written as a pair of surrogates.
        return found.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise UnparsableStatement("42601", "invalid Unicode surrogate pair") from None


def with_unicode_names(tokens: list[Token], sql: str) -> list[Token]:
    """The tokens with ``U&"name"`` as one, which the tokenizer takes for ``u & "name"``."""
    if '&"' not in sql:
        return tokens
    found: list[Token] = []
    for token in tokens:
        if token.token_type is TokenType.IDENTIFIER and _is_prefix(found, token):
            start = found[-2]
            del found[-2:]
            name = decoded(token.text)
            token = Token(TokenType.IDENTIFIER, name, start.line, start.col, start.start, token.end)
        elif token.text.lower() == "uescape":
            raise UnparsableStatement("42601", "UESCAPE is not supported", position=token.start + 1)
        found.append(token)
    return found


def _is_prefix(before: list[Token], token: Token) -> bool:
    return (
        len(before) > 1
        and before[-1].token_type is TokenType.AMP
        and before[-2].text.lower() == "u"
        and before[-2].end - before[-2].start == 0
        and before[-2].end + 1 == before[-1].start
        and before[-1].end + 1 == token.start
    )
