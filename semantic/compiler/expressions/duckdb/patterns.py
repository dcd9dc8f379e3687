"""PostgreSQL's regular expressions for DuckDB's engine (RE2), as far as both agree.

The constructs are those of the manual, 9.7.3. Both engines say alike whether a pattern matches.
What is matched differs where there are several ways: PostgreSQL takes the longest, RE2 the first.
So where the matched text matters, only patterns are let through that have one way.
Classes of characters ([:alpha:] and the like) know ASCII only, as in PostgreSQL's collation C.
"""

from __future__ import annotations

import re

from semantic.compiler.expressions.duckdb.alternatives import single_way, split
from semantic.errors import UnsupportedError

_CLASS_ESCAPES = "dDsSwW"
# The vertical tab is a space to PostgreSQL and none to RE2.
_SPACES = {"s": r"[\s\x0b]", "S": r"[^\s\x0b]"}
_BOUNDARIES = "yYmM"
_WORD = re.compile(r"[A-Za-z0-9_]\Z")
# Both read these alike behind a backslash; other letters mean different things.
_PUNCTUATION = re.compile(r"[^A-Za-z0-9]")
_CONTROL = {"n": r"\n", "r": r"\r", "t": r"\t", "f": r"\f", "v": r"\v", "a": r"\a"}
_BOUND = re.compile(r"\{(\d+)(,(\d*))?\}")
_POSIX_CLASS = re.compile(
    r"\[:(alnum|alpha|blank|cntrl|digit|graph|lower|print|punct|space|upper|xdigit):\]"
)
_MAX_BOUND = 255


def _refused(what: str) -> UnsupportedError:
    return UnsupportedError(f"{what} in a regular expression is not supported on DuckDB")


def for_test(pattern: str, flags: str = "") -> str:
    """A pattern that only has to say whether it matches."""
    return _prefix(flags) + _Reader(pattern, single_way=False).read()


def for_text(pattern: str, flags: str = "") -> str:
    """A pattern whose matched text matters."""
    return _prefix(flags) + _Reader(pattern, single_way=True).read()


def _prefix(flags: str) -> str:
    # A point matches a line break as well in PostgreSQL unless told otherwise.
    for flag in flags:
        if flag not in "ics":
            raise _refused(f'the flag "{flag}"')
    insensitive = flags.rstrip("s").endswith("i")
    return "(?is)" if insensitive else "(?s)"


class _Reader:
    """Reads a pattern once and writes it down for RE2."""

    def __init__(self, pattern: str, *, single_way: bool) -> None:
        self._pattern = pattern
        self._single_way = single_way
        self._at = 0
        self._groups: list[int] = []

    def read(self) -> str:
        self._check_alternatives()
        if self._pattern.startswith(("***", "(?")) and not self._pattern.startswith("(?:"):
            raise _refused("a directive")
        out: list[str] = []
        atom = False
        while self._at < len(self._pattern):
            piece, kind = self._next()
            if kind == "quantifier":
                if not atom:
                    raise _refused("a quantifier without operand")
                piece += self._after_quantifier()
            out.append(piece)
            atom = kind in ("atom", "close")
            if kind == "close" and self._single_way and self._quantified():
                raise _refused("a repeated group, where the matched text matters,")
        return "".join(out)

    def _quantified(self) -> bool:
        rest = self._pattern[self._at : self._at + 1]
        return bool(rest) and rest in "*+?{"

    def _next(self) -> tuple[str, str]:
        character = self._pattern[self._at]
        self._at += 1
        if character == "\\":
            return self._escape(), "atom"
        if character == "[":
            return self._bracket(), "atom"
        if character == "(":
            return self._open(), "open"
        if character == ")":
            return ")", "close"
        if character in "*+?":
            return character, "quantifier"
        if character == "{":
            return self._bound(), "quantifier"
        if character == "|":
            return "|", "open"
        if character in "^$":
            return ("^" if character == "^" else r"\z"), "anchor"
        if character == ".":
            return ".", "atom"
        return re.escape(character), "atom"

    def _open(self) -> str:
        opened = "("
        if self._pattern.startswith("?", self._at):
            if not self._pattern.startswith("?:", self._at):
                raise _refused("a look-around or an option")
            self._at += 2
            opened = "(?:"
        self._check_alternatives()
        return opened

    def _check_alternatives(self) -> None:
        if self._single_way and not single_way(split(self._pattern[self._at :])):
            raise _refused("an alternative, where the matched text matters,")

    def _bound(self) -> str:
        match = _BOUND.match(self._pattern, self._at - 1)
        if match is None:
            raise _refused("a brace that is no bound")
        if any(int(number) > _MAX_BOUND for number in (match[1], match[3]) if number):
            raise _refused("a bound over 255")
        self._at = match.end()
        return match[0]

    def _after_quantifier(self) -> str:
        if self._pattern.startswith("?", self._at):
            if self._single_way:
                raise _refused("a non-greedy quantifier, where the matched text matters,")
            self._at += 1
        if self._quantified():
            raise _refused("a quantifier behind a quantifier")
        return ""

    def _escape(self) -> str:
        if self._at >= len(self._pattern):
            raise _refused("a backslash at the end")
        character = self._pattern[self._at]
        self._at += 1
        if character in _CLASS_ESCAPES:
            # \w and \d know more than ASCII in PostgreSQL, depending on its locale.
            return _SPACES.get(character, "\\" + character)
        if character in _BOUNDARIES:
            return self._boundary(character)
        if character in _CONTROL:
            return _CONTROL[character]
        if _PUNCTUATION.match(character):
            return re.escape(character)
        raise _refused(f'the escape "\\{character}"')

    def _boundary(self, character: str) -> str:
        """The start or end of a word, where a letter beside it tells which of the two it is."""
        beside = self._pattern[self._at : self._at + 1]
        if character == "M":
            before = self._pattern[: self._at - 2]
            beside = "" if before[-2:-1] == "\\" else before[-1:]
        if character in "mM" and not _WORD.match(beside):
            raise _refused(f'the escape "\\{character}"')
        return "\\B" if character == "Y" else "\\b"

    def _bracket(self) -> str:
        out = "["
        if self._pattern.startswith("^", self._at):
            out += "^"
            self._at += 1
        first = True
        while self._at < len(self._pattern):
            character = self._pattern[self._at]
            if character == "]" and not first:
                self._at += 1
                return out + "]"
            out += self._bracket_item(character)
            first = False
        raise _refused("an unmatched bracket")

    def _bracket_item(self, character: str) -> str:
        if character == "[":
            match = _POSIX_CLASS.match(self._pattern, self._at)
            if match:
                self._at = match.end()
                return match[0]
            if self._pattern[self._at + 1 : self._at + 2] in (":", ".", "="):
                raise _refused("a collating element")
        self._at += 1
        if character == "\\":
            following = self._pattern[self._at : self._at + 1]
            if following in _BOUNDARIES or following == "S":
                raise _refused(f'the escape "\\{following}" in brackets')
            return self._escape().strip("[]") if following == "s" else self._escape()
        return "-" if character == "-" else re.escape(character)


def from_similar(pattern: str, escape: str) -> str:
    """A pattern of SIMILAR TO (manual, 9.7.2), to be matched against the whole text."""
    out = ["(?s)(?:"]
    position = 0
    while position < len(pattern):
        character = pattern[position]
        position += 1
        if escape and character == escape:
            if position >= len(pattern) or pattern[position] == '"':
                raise _refused("this escape")
            out.append(re.escape(pattern[position]))
            position += 1
        elif character == "[":
            end = pattern.find("]", position + 1)
            if end < 0 or "\\" in pattern[position:end] or "[" in pattern[position:end]:
                raise _refused("this bracket expression")
            out.append(pattern[position - 1 : end + 1])
            position = end + 1
        elif character in "%_":
            out.append(".*" if character == "%" else ".")
        elif character in "|*+?(){}":
            out.append(character)
        else:
            out.append(re.escape(character))
    out.append(")")
    return "".join(out)


def replacement(text: str) -> str:
    r"""A replacement of ``regexp_replace``: ``\1`` to ``\9`` are groups, ``\&`` the match."""
    out = []
    position = 0
    while position < len(text):
        character = text[position]
        position += 1
        if character != "\\":
            out.append(character)
            continue
        following = text[position : position + 1]
        position += 1
        if following in ("&", ""):
            out.append("\\0" if following else "\\\\")
        elif following.isdigit() and following != "0":
            out.append("\\" + following)
        elif following == "\\":
            out.append("\\\\")
        else:
            raise UnsupportedError(
                f'the escape "\\{following}" in a replacement is not supported on DuckDB'
            )
    return "".join(out)
