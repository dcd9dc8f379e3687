"""Cuts the text of a simple query into its statements."""

from __future__ import annotations

import re
from dataclasses import dataclass

from semantic.compiler.utility.lexer import (
    skip_blank,
    skip_block_comment,
    skip_dollar_quote,
    skip_quoted_name,
    skip_string,
)

# Everything that may hide, or be, a statement's end. The word run before a quote or a dollar sign
# tells an E'' literal and a name with a dollar sign in it from the rest.
_EDGE = re.compile(
    r"""
    (?P<escape>(?<![A-Za-z_0-9$\x80-\U0010ffff])[eE]')
    | (?P<plain>') | (?P<quoted>") | (?P<comment>/\*) | (?P<line>--[^\n\r]*)
    | (?P<dollar>(?<![A-Za-z_0-9$\x80-\U0010ffff])\$)
    | (?P<open>\() | (?P<close>\)) | (?P<end>;)
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class StatementText:
    """One statement of a query text, from its first token on.

    Attributes:
        text: without the blanks and comments before it and the ``;`` after it.
        offset: 0-based character offset of ``text`` in the whole.
    """

    text: str
    offset: int


def split(sql: str) -> tuple[StatementText, ...]:
    """The statements of ``sql``, empty ones dropped.

    A ``;`` ends a statement outside quotes, comments and parentheses. Text that ends inside a quote
    or a comment is PostgreSQL's syntax error 42601, raised here.
    """
    found: list[StatementText] = []
    start = skip_blank(sql, 0)
    if ";" not in sql:
        return (StatementText(sql[start:].rstrip(), start),) if start < len(sql) else ()
    depth = 0
    position = start
    while match := _EDGE.search(sql, position):
        position = match.end()
        group = match.lastgroup
        if group == "open":
            depth += 1
        elif group == "close":
            depth = max(depth - 1, 0)
        elif group == "end" and depth == 0:
            if match.start() > start:
                found.append(StatementText(sql[start : match.start()].rstrip(), start))
            start = position = skip_blank(sql, match.end())
        else:
            position = _skip(sql, match, group or "")
    if start < len(sql):
        found.append(StatementText(sql[start:].rstrip(), start))
    return tuple(found)


def _skip(sql: str, match: re.Match[str], group: str) -> int:
    """The offset after a quote or comment that begins at ``match``."""
    begin, end = match.span()
    if group == "escape":
        return skip_string(sql, begin, end - 1, escapes=True)
    if group == "plain":
        return skip_string(sql, begin, begin, escapes=False)
    if group == "quoted":
        return skip_quoted_name(sql, begin, begin)
    if group == "comment":
        return skip_block_comment(sql, begin)
    if group == "dollar":
        return skip_dollar_quote(sql, begin) or end
    return end
