"""PostgreSQL's lexical rules, as far as finding the tokens of a statement needs them.

Written after the manual's chapter "Lexical Structure", with ``standard_conforming_strings`` on.
Positions inside this package are 0-based character offsets; errors carry 1-based ones.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from semantic.compiler.utility.errors import StatementSyntaxError

_NAME_START = r"[A-Za-z_\x80-\U0010ffff]"
_NAME = _NAME_START + r"[A-Za-z_0-9$\x80-\U0010ffff]*"
_NAME_MAX_BYTES = 63

_BLANK = re.compile(r"(?:[ \t\n\r\f\v]+|--[^\n\r]*)+")
_BLOCK_EDGE = re.compile(r"/\*|\*/")
_DOLLAR_TAG = re.compile(rf"\$(?:{_NAME_START}[A-Za-z_0-9\x80-\U0010ffff]*)?\$")
# Two literals with a line break between them are one literal.
_CONTINUATION = re.compile(r"(?:[ \t\f\v]|--[^\n\r]*)*[\n\r](?:[ \t\n\r\f\v]|--[^\n\r]*[\n\r])*'")
_ESCAPED_END = re.compile(r"(?:[^'\\]|\\.|'')*'", re.DOTALL)
_PLAIN_END = re.compile(r"(?:[^']|'')*'", re.DOTALL)
_QUOTED_END = re.compile(r'(?:[^"]|"")*"', re.DOTALL)
_OPERATOR_CHARACTERS = "~!@#^&|`?+-*/%<>="

_TOKEN = re.compile(
    rf"""
    (?P<escape>[eE]') | (?P<bits>[bBxX]') | (?P<national>[nN](?='))
    | (?P<unicode>[uU]&') | (?P<unicode_name>[uU]&")
    | (?P<word>{_NAME})
    | (?P<number>0[xX](?:_?[0-9A-Fa-f])+ | 0[oO](?:_?[0-7])+ | 0[bB](?:_?[01])+
        | (?:[0-9](?:_?[0-9])*(?:\.(?!\.)(?:[0-9](?:_?[0-9])*)?)?|\.[0-9](?:_?[0-9])*)
          (?:[eE][+-]?[0-9](?:_?[0-9])*)?)
    | (?P<parameter>\$[0-9]+)
    | (?P<plain>') | (?P<quoted>")
    | (?P<typecast>::|:=|\.\.)
    | (?P<operator>[~!@\#^&|`?+\-*/%<>=]+)
    | (?P<mark>[,()\[\].;:])
    """,
    re.VERBOSE,
)

_SIMPLE_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_ESCAPE = re.compile(
    r"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))", re.DOTALL
)


class Kind(Enum):
    """What a token is."""

    WORD = "word"
    QUOTED_NAME = "quoted name"
    STRING = "string"
    BITS = "bit string"
    NUMBER = "number"
    PARAMETER = "parameter"
    OPERATOR = "operator"
    MARK = "mark"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """One token.

    Attributes:
        kind: what it is.
        value: a word folded to lower case, a name or literal without its quotes, else the text.
        start: offset of its first character.
        end: offset after its last character.
    """

    kind: Kind
    value: str
    start: int
    end: int


def fold(name: str) -> str:
    """An unquoted name as PostgreSQL folds it: ASCII letters only."""
    return name.lower() if name.isascii() else re.sub(r"[A-Z]+", lambda m: m[0].lower(), name)


def truncate_name(name: str) -> str:
    """A name cut to PostgreSQL's 63 bytes, at a character's edge."""
    encoded = name.encode("utf-8", "surrogatepass")
    if len(encoded) <= _NAME_MAX_BYTES:
        return name
    return encoded[:_NAME_MAX_BYTES].decode("utf-8", "ignore")


def _unterminated(what: str, text: str, start: int) -> StatementSyntaxError:
    return StatementSyntaxError(f'unterminated {what} at or near "{text[start:]}"', start)


def skip_blank(text: str, position: int) -> int:
    """The offset of the next character that belongs to no blank and no comment."""
    while True:
        if match := _BLANK.match(text, position):
            position = match.end()
        if not text.startswith("/*", position):
            return position
        position = skip_block_comment(text, position)


def skip_block_comment(text: str, start: int) -> int:
    """The offset after the (nested) comment that begins at ``start``."""
    depth = 0
    for edge in _BLOCK_EDGE.finditer(text, start):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    raise _unterminated("/* comment", text, start)


def skip_dollar_quote(text: str, start: int) -> int | None:
    """The offset after the dollar-quoted string at ``start``; None where none begins there."""
    tag = _DOLLAR_TAG.match(text, start)
    if tag is None:
        return None
    end = text.find(tag[0], tag.end())
    if end < 0:
        raise _unterminated("dollar-quoted string", text, start)
    return end + len(tag[0])


def skip_string(text: str, start: int, quote: int, *, escapes: bool) -> int:
    """The offset after a literal whose opening quote is at ``quote``, continuations included."""
    pattern = _ESCAPED_END if escapes else _PLAIN_END
    position = quote + 1
    while True:
        match = pattern.match(text, position)
        if match is None:
            raise _unterminated("quoted string", text, start)
        continued = _CONTINUATION.match(text, match.end())
        if continued is None:
            return match.end()
        position = continued.end()


def skip_quoted_name(text: str, start: int, quote: int) -> int:
    """The offset after a quoted identifier whose opening quote is at ``quote``."""
    match = _QUOTED_END.match(text, quote + 1)
    if match is None:
        raise _unterminated("quoted identifier", text, start)
    if match.end() == quote + 2:
        raise StatementSyntaxError(
            f'zero-length delimited identifier at or near "{text[start : match.end()]}"', start
        )
    return match.end()


def next_token(text: str, position: int) -> Token:
    """The token at or after ``position``."""
    start = skip_blank(text, position)
    if start >= len(text):
        return Token(Kind.END, "", len(text), len(text))
    match = _TOKEN.match(text, start)
    if match is None:
        return _dollar_or_stray(text, start)
    group = match.lastgroup
    if group == "word":
        return Token(Kind.WORD, truncate_name(fold(match[0])), start, match.end())
    if group == "national":
        # N'...' is the key word NCHAR before a plain literal.
        return Token(Kind.WORD, "nchar", start, match.end())
    if group in ("mark", "typecast"):
        return Token(Kind.MARK, match[0], start, match.end())
    if group == "operator":
        end = _operator_end(match[0]) + start
        return Token(Kind.OPERATOR, text[start:end], start, end)
    if group == "number":
        return _number(text, start, match.end())
    if group == "parameter":
        return Token(Kind.PARAMETER, match[0], start, match.end())
    return _quoted(text, start, match.end() - 1, str(group))


def _number(text: str, start: int, end: int) -> Token:
    junk = re.compile(_NAME_START).match(text, end)
    if junk:
        raise StatementSyntaxError(
            f'trailing junk after numeric literal at or near "{text[start : junk.end()]}"', start
        )
    return Token(Kind.NUMBER, text[start:end], start, end)


def _dollar_or_stray(text: str, start: int) -> Token:
    end = skip_dollar_quote(text, start) if text[start] == "$" else None
    if end is None:
        return Token(Kind.OPERATOR, text[start], start, start + 1)
    tag = _DOLLAR_TAG.match(text, start)
    length = len(tag[0]) if tag else 0
    return Token(Kind.STRING, text[start + length : end - length], start, end)


def _operator_end(run: str) -> int:
    """How much of a run of operator characters is one operator: a comment cuts it."""
    cuts = [cut for cut in (run.find("--"), run.find("/*")) if cut >= 0]
    length = min(cuts, default=len(run))
    if length == 0:
        return 1
    if not set(run[:length]) & set("~!@#^&|`?%"):
        while length > 1 and run[length - 1] in "+-":
            length -= 1
    return length


def _quoted(text: str, start: int, quote: int, group: str) -> Token:
    if group in ("quoted", "unicode_name"):
        end = skip_quoted_name(text, start, quote)
        name = text[quote + 1 : end - 1].replace('""', '"')
        if group == "unicode_name":
            name, end = _unicode_escapes(text, name, start, end)
        return Token(Kind.QUOTED_NAME, truncate_name(name), start, end)
    end = skip_string(text, start, quote, escapes=group == "escape")
    if group == "bits":
        return Token(Kind.BITS, text[start:end], start, end)
    value = _string_value(text, quote, end, escapes=group == "escape")
    if group == "unicode":
        value, end = _unicode_escapes(text, value, start, end)
    return Token(Kind.STRING, value, start, end)


def _string_value(text: str, quote: int, end: int, *, escapes: bool) -> str:
    pattern = _ESCAPED_END if escapes else _PLAIN_END
    pieces: list[str] = []
    position = quote + 1
    while True:
        match = pattern.match(text, position)
        assert match is not None
        pieces.append(text[position : match.end() - 1].replace("''", "'"))
        if match.end() >= end:
            break
        continued = _CONTINUATION.match(text, match.end())
        assert continued is not None
        position = continued.end()
    value = "".join(pieces)
    return _unescape(value, quote) if escapes else value


def _unescape(value: str, start: int) -> str:
    def one(match: re.Match[str]) -> str:
        octal, hexadecimal, short, long, other = match.groups()
        if other is not None:
            return _SIMPLE_ESCAPES.get(other, other)
        # \ooo and \xhh name bytes, the others characters.
        if short or long:
            return _character(int(short or long, 16), start)
        byte = int(octal, 8) & 0xFF if octal else int(hexadecimal, 16)
        return bytes((byte,)).decode("utf-8", "surrogateescape")

    decoded = _ESCAPE.sub(one, value)
    try:
        # Bytes named one by one may make up characters together.
        decoded = decoded.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeDecodeError:
        raise StatementSyntaxError(
            'invalid byte sequence for encoding "UTF8"', start, sqlstate="22021"
        ) from None
    if "\0" in decoded:
        raise StatementSyntaxError(
            'invalid byte sequence for encoding "UTF8": 0x00', start, sqlstate="22021"
        )
    return decoded


def _character(code: int, start: int) -> str:
    if code == 0 or code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        raise StatementSyntaxError("invalid Unicode escape value", start)
    return chr(code)


def _unicode_escapes(text: str, value: str, start: int, end: int) -> tuple[str, int]:
    """Resolve U& escapes, taking a UESCAPE clause that follows with it."""
    escape = "\\"
    clause = next_token(text, end)
    if clause.kind is Kind.WORD and clause.value == "uescape":
        character = next_token(text, clause.end)
        if (
            character.kind is not Kind.STRING
            or len(character.value) != 1
            or character.value in "0123456789abcdefABCDEF+'\" \t\n\r\f\v"
        ):
            near = text[character.start : character.end]
            raise StatementSyntaxError(
                f'invalid Unicode escape character at or near "{near}"', character.start
            )
        escape, end = character.value, character.end
    mark = re.escape(escape)
    pattern = re.compile(rf"{mark}(?:({mark})|([0-9A-Fa-f]{{4}})|\+([0-9A-Fa-f]{{6}})|())")

    def one(match: re.Match[str]) -> str:
        if match[1]:
            return escape
        if match[4] is not None:
            raise StatementSyntaxError(
                "invalid Unicode escape",
                start,
                hint="Unicode escapes must be \\XXXX or \\+XXXXXX.",
            )
        return _character(int(match[2] or match[3], 16), start)

    return pattern.sub(one, value), end
