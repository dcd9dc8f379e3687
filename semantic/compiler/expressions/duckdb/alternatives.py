"""Alternatives of a regular expression of which at most one way leads to a text.

PostgreSQL takes the longest match, RE2 the first alternative that matches. They agree where no two
alternatives match texts of different length at one place.
"""

from __future__ import annotations

import re

_ATOM = re.compile(
    r"\\[^\w]|\\[dDsSwWnrtfv]|\[\^?\]?(?:\\.|\[:\w+:\]|[^\]\\])*\]|[^\\()|\[\]*+?{}^$]"
)
_LITERAL = re.compile(r"(?:\\[^\w]|[^\\()|\[\]*+?{}^$.])*\Z")
_TRIM = re.compile(r"\^(?P<one>.+[+])\|(?P<two>.+[+])\$\Z", re.DOTALL)


def split(pattern: str) -> list[str]:
    """The alternatives of a pattern, or of a group's inside, up to the bracket that ends it."""
    found, depth, start, at = [], 0, 0, 0
    while at < len(pattern):
        character = pattern[at]
        if character == "\\":
            at += 1
        elif character == "[":
            at = _end_of_bracket(pattern, at)
        elif character == "(":
            depth += 1
        elif character == ")":
            if depth == 0:
                break
            depth -= 1
        elif character == "|" and depth == 0:
            found.append(pattern[start:at])
            start = at + 1
        at += 1
    return [*found, pattern[start:at]]


def _end_of_bracket(pattern: str, at: int) -> int:
    end = at + 1
    if pattern.startswith("^", end):
        end += 1
    if pattern.startswith("]", end):
        end += 1
    while end < len(pattern) and pattern[end] != "]":
        if pattern.startswith("[:", end):
            end = pattern.find(":]", end) + 1 or len(pattern)
        end += 2 if pattern[end : end + 1] == "\\" else 1
    return end


def single_way(alternatives: list[str]) -> bool:
    """Whether at most one of them can match at a place, or all of them the same text."""
    if len(alternatives) == 1:
        return True
    sizes = {_size(item) for item in alternatives}
    if len(sizes) == 1 and None not in sizes:
        return True
    if all(_LITERAL.match(item) and item for item in alternatives):
        texts = [re.sub(r"\\(.)", r"\1", item).lower() for item in alternatives]
        return not any(
            one is not two and other.startswith(text)
            for one, text in enumerate(texts)
            for two, other in enumerate(texts)
        )
    return is_trim("|".join(alternatives))


def is_trim(pattern: str) -> bool:
    """``^x+|x+$``: both take the same run of one kind of character."""
    found = _TRIM.match(pattern) or _TRIM.match("|".join(reversed(pattern.split("|"))))
    if found is None or found["one"] != found["two"]:
        return False
    return _size(found["one"][:-1]) == 1


def _size(pattern: str) -> int | None:
    """How many characters a pattern takes, where that is the same for each text."""
    size = at = 0
    while at < len(pattern):
        match = _ATOM.match(pattern, at)
        if match is None:
            return None
        size, at = size + 1, match.end()
    return size
