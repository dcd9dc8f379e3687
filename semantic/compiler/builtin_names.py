"""Built-in functions and types that are named with their schema, ``pg_catalog``.

PostgreSQL looks there first, so the name alone means the same, which is what the parser and the
list of functions know. That there is such a function or type, the analysis has said.
"""

from __future__ import annotations

from sqlglot.tokenizer_core import Token, TokenType

SCHEMA = "pg_catalog"

_NOT_ALONE = """
between bigint bit boolean char character coalesce collation dec decimal exists extract float
greatest grouping inout int integer interval least national nchar none normalize nullif numeric
out position precision real row setof smallint time timestamp treat trim values varchar
xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot
xmlserialize xmltable
"""
"""Names that are words of the grammar where no schema stands before them, with other arguments."""

_BEFORE_TYPES = (TokenType.DCOLON, TokenType.ALIAS)


def without_builtin_schema(tokens: list[Token]) -> list[Token]:
    """The tokens with ``lower(x)`` for ``pg_catalog.lower(x)`` and ``x::text`` likewise."""
    found: list[Token] = []
    index = 0
    while index < len(tokens):
        if _is_builtin(tokens, index):
            index += 2
        found.append(tokens[index])
        index += 1
    return found


def _is_builtin(tokens: list[Token], index: int) -> bool:
    if index + 3 > len(tokens) or tokens[index + 1].token_type is not TokenType.DOT:
        return False
    if not _is_schema(tokens[index]):
        return False
    before = tokens[index - 1].token_type if index else None
    name = tokens[index + 2]
    if before is TokenType.DOT or name.token_type is TokenType.IDENTIFIER:
        return False
    word = name.text.lower()
    if before in _BEFORE_TYPES:
        # The types of one byte and of any bits, which alone are character(1) and bit(1).
        return word not in ("char", "bit")
    is_call = index + 3 < len(tokens) and tokens[index + 3].token_type is TokenType.L_PAREN
    return is_call and word not in _NOT_ALONE.split()


def _is_schema(token: Token) -> bool:
    if token.token_type is TokenType.IDENTIFIER:
        return token.text == SCHEMA
    return token.token_type is TokenType.VAR and token.text.lower() == SCHEMA
