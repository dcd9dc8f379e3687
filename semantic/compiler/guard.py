"""Measures how hostile a statement's text is before anything parses it.

A parser of SQL spends time and stack in proportion to the length and the number of operators of a
text, and, where it tries one reading after the other, time that doubles with each level of brackets
(``array[array[...]]`` of 20 levels takes it seconds) and with each JOIN that waits for its
condition. This reads those off the text in one linear
pass, so that ordinary statements go on at once, large ones to a process of their own, and monstrous
ones nowhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from semantic.compiler.utility.tables import may_change
from semantic.errors import SemanticError

_OPAQUE = re.compile(
    r"""
    --[^\n]*
    | [eE]'(?:[^'\\]|\\.|'')*'?
    | '(?:[^']|'')*'?
    | "(?:[^"]|"")*"?
    | \$(?P<tag>(?:[^\W\d]\w*)?)\$.*?(?:\$(?P=tag)\$|\Z)
    | /\*
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_LEVEL = re.compile(r"[(\[]|[)\]]|\b(?:case|end)\b", re.IGNORECASE)
_OPERATOR = re.compile(r"[-+*/%<>=~!@#^&|?]+|::|\b(?:and|or|not)\b", re.IGNORECASE)
_JOIN = re.compile(
    r"\b(?:cross\s+join|natural\s+(?:\w+\s+){0,2}?join|join|on|using)\b", re.IGNORECASE
)
_QUERY = re.compile(r"\s*(?:\(|(?:select|with|values|table)\b)", re.IGNORECASE)
_OPENING = frozenset(("(", "[", "case"))
_SHORT = 600


class Verdict(Enum):
    """What to do with a text."""

    INLINE = "inline"
    WORKER = "worker"


@dataclass(frozen=True, slots=True)
class GuardLimits:
    """Where a text stops being ordinary, and where it is refused.

    Attributes:
        inline_length: characters beyond which it is parsed in a process of its own.
        inline_operators: the same for operators, each of which is a level of a parser's tree.
        inline_depth: the same for the nesting of parentheses, brackets and CASE. At this many
            levels the parser's worst case stays below 20 ms.
        inline_joins: the same for joins before the condition of the first of them.
        max_length: characters beyond which it is refused (54000).
        max_depth: nesting beyond which it is refused (54001).
    """

    inline_length: int = 16_384
    inline_operators: int = 150
    inline_depth: int = 10
    inline_joins: int = 8
    max_length: int = 1_048_576
    max_depth: int = 100


@dataclass(frozen=True, slots=True)
class TextSize:
    """What a text measures: nesting at its deepest, operators in all, joins without condition."""

    depth: int
    operators: int
    joins: int = 0


def check_length(sql: str, limits: GuardLimits) -> None:
    """Refuse a text that is too long even to look for where its statements end (54000)."""
    if len(sql) > limits.max_length:
        raise SemanticError(
            "54000",
            f"statement is longer than {limits.max_length} characters",
            hint="Shorten it, or raise parser.max_sql_bytes.",
        )


def reads_at_once(text: str, limits: GuardLimits) -> bool:
    """Whether telling what kind of statement this is takes no time.

    A query is told by its first word, unless a word in it may make it change a table; anything else
    is read to its end.
    """
    if len(text) <= limits.inline_length:
        return True
    return _QUERY.match(text) is not None and not may_change(text)


def inspect(sql: str, limits: GuardLimits) -> Verdict:
    """Judge one statement's text.

    Raises:
        SemanticError: 54000 beyond the length, 54001 beyond the depth, naming the setting.
    """
    check_length(sql, limits)
    length = len(sql)
    if length > limits.inline_length:
        # Reading all of it would take too long here: whoever parses it checks its depth first.
        return Verdict.WORKER
    if (
        length <= _SHORT
        and sql.count("(") + sql.count("[") <= limits.inline_depth
        and len(_JOIN.findall(sql)) <= limits.inline_joins
    ):
        return Verdict.INLINE
    size = measure(sql)
    check_depth(size, limits)
    large = (
        size.operators > limits.inline_operators
        or size.depth > limits.inline_depth
        or size.joins > limits.inline_joins
    )
    return Verdict.WORKER if large else Verdict.INLINE


def check_depth(size: TextSize, limits: GuardLimits) -> None:
    """Refuse a text that is nested too deep (54001)."""
    if size.depth > limits.max_depth:
        raise SemanticError(
            "54001",
            f"statement is nested more than {limits.max_depth} levels deep",
            hint="Simplify it, or raise parser.max_depth.",
        )


def measure(sql: str) -> TextSize:
    """Nesting and operators of a text, in linear time."""
    bare = _without_opaque(sql)
    depth = deepest = 0
    for level in _LEVEL.findall(bare):
        if level.lower() in _OPENING:
            depth += 1
            deepest = max(deepest, depth)
        elif depth:
            depth -= 1
    waiting = most = 0
    for word in _JOIN.findall(bare):
        if word.lower() == "join":
            waiting += 1
            most = max(most, waiting)
        elif word.lower() in ("on", "using"):
            waiting = max(waiting - 1, 0)
    return TextSize(deepest, len(_OPERATOR.findall(bare)), most)


def _without_opaque(sql: str) -> str:
    """The text without strings, quoted names and comments, whose content is no SQL."""
    pieces: list[str] = []
    position = 0
    while (match := _OPAQUE.search(sql, position)) is not None:
        pieces.append(sql[position : match.start()])
        position = match.end()
        if match.group() == "/*":
            position = _after_comment(sql, position)
    pieces.append(sql[position:])
    return " ".join(pieces)


def _after_comment(sql: str, position: int) -> int:
    """Past a block comment, which may hold others."""
    depth = 1
    while depth:
        match = _COMMENT_EDGE.search(sql, position)
        if match is None:
            return len(sql)
        depth += 1 if match.group() == "/*" else -1
        position = match.end()
    return position
