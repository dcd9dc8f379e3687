"""Tokens that stand for what the client wrote otherwise."""

from __future__ import annotations

from sqlglot.tokenizer_core import Token, TokenType


def beside(kind: TokenType, text: str, token: Token) -> Token:
    """Another token at the place of one of the client's."""
    return Token(kind, text, token.line, token.col, token.start, token.end)
