"""PostgreSQL's template patterns for numbers (manual, 9.8), worked out as far as the pattern tells.

What ``to_char`` makes of a number depends on its sign, on how many digits it has before the point,
and under FM on its last digit that counts. For each such case the text is known up to the digits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from semantic.errors import UnsupportedError

_KEYWORDS = ("EEEE", "FM", "MI", "PL", "PR", "RN", "SG", "SP", "TH", ",", ".", "0", "9", "B", "C",
             "D", "G", "L", "S", "V")  # fmt: skip
_KEYWORD = "|".join(re.escape(word) for word in _KEYWORDS)
_TOKEN = re.compile(
    rf'(?P<word>{_KEYWORD})|"(?P<text>[^"\\]*)"|(?P<other>[^"\\])', re.IGNORECASE | re.DOTALL
)
_REFUSED = ("B", "C", "EEEE", "L", "RN", "SP", "TH", "V")
_MOST = 60
_END = "\0"


@dataclass(frozen=True, slots=True)
class Digit:
    """The character at a place of the number's digits (0 is the first)."""

    place: int


Piece = str | Digit


@dataclass(slots=True)
class NumberFormat:
    """A pattern, read.

    Attributes:
        parts: key words (upper case) and texts to copy (in a tuple of one).
        pre: how many digits before the point it has room for.
        post: how many behind it.
        zero_start: the place of the first 0 before the point, counted from 1; 0: there is none.
        zero_end: digits up to the last 0.
    """

    parts: list[str | tuple[str]] = field(default_factory=list)
    pre: int = 0
    post: int = 0
    zero_start: int = 0
    zero_end: int = 0
    decimal: bool = False
    fill: bool = False
    bracket: bool = False
    minus: bool = False
    plus: bool = False
    locale_sign: str = ""
    digits_before_sign: int = 0


def read_number_format(pattern: str) -> NumberFormat:
    """Read a pattern.

    Raises:
        UnsupportedError: it holds what is not supported, or what PostgreSQL refuses.
    """
    found = NumberFormat()
    position = 0
    while position < len(pattern):
        match = _TOKEN.match(pattern, position)
        if match is None:
            raise _refused(pattern[position:])
        position = match.end()
        if match["word"]:
            _add(found, match["word"].upper())
        else:
            text = match["text"] if match["text"] is not None else match["other"]
            if match["other"] and not text.isascii():
                raise _refused(text)
            found.parts.append((text,))
    if found.pre + found.post > _MOST:
        raise _refused(pattern)
    return found


def _refused(what: str) -> UnsupportedError:
    return UnsupportedError(f'the template pattern "{what}" of a number is not supported')


def _add(found: NumberFormat, word: str) -> None:
    if word in _REFUSED or (found.bracket and word in ("9", "0")):
        raise _refused(word)
    signs = found.locale_sign or found.plus or found.minus or found.bracket
    if word in ("9", "0"):
        if word == "0" and not found.zero_start and not found.decimal:
            found.zero_start = found.pre + 1
        found.post += found.decimal
        found.pre += not found.decimal
        if word == "0":
            found.zero_end = found.pre + found.post
    elif word in ("D", "."):
        if found.decimal:
            raise _refused(word)
        found.decimal = True
    elif word == "FM":
        found.fill = True
        return
    elif word in ("S", "PR") or (word in ("MI", "PL", "SG") and found.locale_sign):
        if signs:
            raise _refused(word)
        found.bracket = word == "PR"
        if word == "S":
            found.locale_sign = "post" if found.decimal else "pre"
            found.digits_before_sign = found.pre
        return
    elif word in ("MI", "PL", "SG"):
        found.minus = found.minus or word != "PL"
        found.plus = found.plus or word != "MI"
    found.parts.append(word)


class _Writer:
    """Writes one case, character by character, as PostgreSQL does."""

    def __init__(
        self, form: NumberFormat, post: int, number: list[Piece], before: int, last: int | None
    ) -> None:
        self._form = form
        self._post = post
        self._number = number
        self._spaces = max(form.pre - before, 0)
        self._zero_start = form.zero_start - 1
        self._zero = form.zero_start > 0 or (form.zero_end > 0 and not form.decimal)
        self._last = last
        self._place = 0
        self._at = 0
        self._inside = False
        self.out: list[Piece] = []
        self._sign = "+"
        self._bracket = form.bracket
        self._locale_sign = form.locale_sign
        self._signed = False
        self._count = 0

    def write(self, sign: str) -> list[Piece]:
        form = self._form
        self._sign = sign
        if form.plus or form.minus:
            self._signed = form.minus
        else:
            if sign == "+" and form.fill:
                self._bracket = False
            self._signed = sign == "+" and form.fill and not form.locale_sign
            if self._locale_sign == "pre" and form.pre == form.digits_before_sign:
                self._locale_sign = "post"
        self._count = self._post + form.pre - 1
        if not self._signed and self._spaces == 0:
            self._count += 1
        for part in form.parts:
            if isinstance(part, tuple):
                self.out.append(part[0])
            elif part in ("9", "0", "D", "."):
                self._number_part(part)
            else:
                self._other(part)
        return self.out

    def _other(self, part: str) -> None:
        fill = self._form.fill
        if part in (",", "G"):
            if self._inside:
                self.out.append(",")
            elif not fill:
                self.out.append(" ")
        elif part == "SG":
            self.out.append(self._sign)
        else:
            shown = "-" if part == "MI" else "+"
            if self._sign == shown:
                self.out.append(shown)
            elif not fill:
                self.out.append(" ")

    def _ends_at_point(self) -> bool:
        return self._last is not None and self._number[self._last] == "."

    def _is_space_before_point(self) -> bool:
        """Whether this is the 0 of 0.1, which is not shown."""
        return not self._zero and self._place == 0 and self._number[:1] == ["0"] and self._post != 0

    def _write_sign(self) -> None:
        reached = self._at >= self._spaces or (self._zero and self._zero_start == self._at)
        if self._signed or not reached:
            return
        if self._is_space_before_point() and not self._ends_at_point():
            return
        if self._locale_sign:
            if self._locale_sign == "pre":
                self.out.append(self._sign)
                self._signed = True
            return
        if self._bracket:
            self.out.append(" " if self._sign == "+" else "<")
        elif self._sign == "-":
            self.out.append("-")
        elif not self._form.fill:
            self.out.append(" ")
        self._signed = True

    def _number_part(self, part: str) -> None:
        fill = self._form.fill
        self._inside = False
        self._write_sign()
        if self._at < self._spaces:
            if self._zero and self._zero_start <= self._at:
                self.out.append("0")
                self._inside = True
            elif not fill:
                self.out.append(" ")
        else:
            self._character(part)
            if self._place < len(self._number):
                self._place += 1
        end = self._count + (1 if self._spaces else 0) + (1 if self._form.decimal else 0)
        if self._last is not None and self._last == self._place:
            end = self._at
        if self._at + 1 == end:
            if self._signed and self._bracket:
                self.out.append(" " if self._sign == "+" else ">")
            elif self._locale_sign == "post":
                self.out.append(self._sign)
        self._at += 1

    def _character(self, part: str) -> None:
        current = self._number[self._place] if self._place < len(self._number) else ""
        if current == ".":
            self.out.append(".")
        elif self._last is not None and self._place > self._last and part != "0":
            pass
        elif self._is_space_before_point():
            if not self._form.fill:
                self.out.append(" ")
            elif self._ends_at_point():
                self.out.append("0")
        else:
            # Behind the number's end PostgreSQL ends the text, whatever the pattern goes on with.
            self.out.append(current or _END)
            self._inside = True


def write_case(
    form: NumberFormat, sign: str, number: list[Piece], *, post: int, before: int, zeros: int
) -> list[Piece]:
    """The text of one case.

    Args:
        form: the pattern.
        sign: ``+`` or ``-``.
        number: its digits and the point, a leading 0 as that character.
        post: how many digits it has behind the point.
        before: how many before it, or how many characters a special value has.
        zeros: how many of its last digits are 0; only counts behind the point.
    """
    last: int | None = None
    if form.fill and form.decimal and "." in number:
        last = max(len(number) - 1 - zeros, number.index("."))
        spaces = max(form.pre - before, 0)
        if form.zero_end > spaces:
            last = max(last, min(len(number) - 1, form.zero_end - spaces))
    return _merged(_Writer(form, post, number, before, last).write(sign))


def _merged(pieces: list[Piece]) -> list[Piece]:
    """Neighbouring texts in one."""
    out: list[Piece] = []
    for piece in pieces:
        if piece == _END:
            break
        if isinstance(piece, str) and out and isinstance(out[-1], str):
            out[-1] += piece
        else:
            out.append(piece)
    return out
