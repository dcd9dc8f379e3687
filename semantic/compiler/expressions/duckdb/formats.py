"""PostgreSQL's template patterns for dates, times and intervals (manual, 9.8)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sqlglot import exp

from semantic.compiler.expressions.duckdb.build import call, cast, sql, string
from semantic.errors import UnsupportedError

_UPPER = (
    *("HH24", "HH12", "HH", "MI", "SSSSS", "SSSS", "SS", "MS", "US", "FF1", "FF2", "FF3", "FF4"),
    *("FF5", "FF6", "AM", "PM", "A.M.", "P.M.", "Y,YYY", "YYYY", "IYYY", "YYY", "IYY", "YY", "IY"),
    *("Y", "I", "BC", "AD", "B.C.", "A.D.", "MONTH", "MON", "MM", "DAY", "DY", "IDDD", "DDD", "DD"),
    *("ID", "D", "IW", "WW", "W", "CC", "J", "Q", "RM", "TZH", "TZM", "TZ", "OF", "FX", "TM", "FM"),
)
_MIXED = ("Month", "Mon", "Day", "Dy")
_KEYWORDS = sorted({*_UPPER, *(word.lower() for word in _UPPER), *_MIXED}, key=len, reverse=True)
_TOKEN = re.compile(
    rf'(?P<code>{"|".join(re.escape(word) for word in _KEYWORDS)})|"(?P<text>[^"\\]*)"'
    r'|(?P<other>[^"\\])',
    re.DOTALL,
)
_PREFIXES = ("FM", "TM", "FX")


@dataclass(frozen=True, slots=True)
class _Token:
    """A code with what stands around it, or a text to copy (``code`` is empty)."""

    code: str
    text: str = ""
    fill: bool = True
    ordinal: str = ""


def _refused(what: str) -> UnsupportedError:
    return UnsupportedError(f'the template pattern "{what}" is not supported on DuckDB')


def _tokens(pattern: str) -> Iterator[_Token]:
    position, fill = 0, True
    while position < len(pattern):
        match = _TOKEN.match(pattern, position)
        if match is None:
            raise _refused(pattern[position:])
        position = match.end()
        code = match["code"]
        if code is None:
            yield _Token("", match["text"] if match["text"] is not None else match["other"])
            # PostgreSQL puts a prefix to the code that follows at once.
            if not fill:
                raise _refused("FM before a text")
        elif code.upper() in _PREFIXES:
            if code.upper() != "FM":
                raise _refused(code)
            fill = False
        else:
            ordinal = pattern[position : position + 2]
            if ordinal.upper() == "SP":
                raise _refused(ordinal)
            ordinal = ordinal if ordinal in ("th", "TH") else ""
            position += len(ordinal)
            yield _Token(code, fill=fill, ordinal=ordinal)
            fill = True


_YEAR = "abs(datepart('year', _1) - CAST(datepart('year', _1) <= 0 AS INTEGER))"
_CENTURY = """CASE WHEN datepart('year', _1) > 0 THEN (datepart('year', _1) + 99) // 100
  ELSE datepart('year', _1) // 100 - 1 END"""
_HOUR12 = "((datepart('hour', _1) + 11) % 12 + 1)"
_MICROSECONDS = "datepart('microsecond', _1) % 1000000"
_SECONDS = "datepart('hour', _1) * 3600 + datepart('minute', _1) * 60 + datepart('second', _1)"
# Code: its number and how many digits it is filled up to.
_NUMBERS = {
    "YYYY": (_YEAR, 4),
    "YYY": (f"{_YEAR} % 1000", 3),
    "YY": (f"{_YEAR} % 100", 2),
    "Y": (f"{_YEAR} % 10", 1),
    "IYYY": ("datepart('isoyear', _1)", 4),
    "IYY": ("datepart('isoyear', _1) % 1000", 3),
    "IY": ("datepart('isoyear', _1) % 100", 2),
    "I": ("datepart('isoyear', _1) % 10", 1),
    "Q": ("datepart('quarter', _1)", 1),
    "MM": ("datepart('month', _1)", 2),
    "DD": ("datepart('day', _1)", 2),
    "DDD": ("datepart('doy', _1)", 3),
    "D": ("datepart('dow', _1) + 1", 1),
    "ID": ("datepart('isodow', _1)", 1),
    "IDDD": ("(datepart('week', _1) - 1) * 7 + datepart('isodow', _1)", 3),
    "IW": ("datepart('week', _1)", 2),
    "WW": ("(datepart('doy', _1) - 1) // 7 + 1", 2),
    "W": ("(datepart('day', _1) - 1) // 7 + 1", 1),
    "J": ("CAST(datepart('julian', CAST(_1 AS DATE)) AS BIGINT)", 1),
    "HH24": ("datepart('hour', _1)", 2),
    "HH12": (_HOUR12, 2),
    "HH": (_HOUR12, 2),
    "MI": ("datepart('minute', _1)", 2),
    "SS": ("datepart('second', _1)", 2),
    "MS": (f"{_MICROSECONDS} // 1000", 3),
    "US": (_MICROSECONDS, 6),
    "SSSS": (_SECONDS, 1),
    "SSSSS": (_SECONDS, 1),
    **{f"FF{n}": (f"({_MICROSECONDS}) // {10 ** (6 - n)}", n) for n in range(1, 7)},
}
# Fractions of a second are filled up under FM as well.
_ALWAYS_FILLED = ("MS", "US", "FF1", "FF2", "FF3", "FF4", "FF5", "FF6")
_NAMES = {
    "MONTH": ("upper({})", "%B", 9),
    "Month": ("{}", "%B", 9),
    "month": ("lower({})", "%B", 9),
    "MON": ("upper({})", "%b", 0),
    "Mon": ("{}", "%b", 0),
    "mon": ("lower({})", "%b", 0),
    "DAY": ("upper({})", "%A", 9),
    "Day": ("{}", "%A", 9),
    "day": ("lower({})", "%A", 9),
    "DY": ("upper({})", "%a", 0),
    "Dy": ("{}", "%a", 0),
    "dy": ("lower({})", "%a", 0),
}
_ROMAN = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"]
_OFFSET = "datepart('timezone', _1)"
_OFFSET_HOUR = f"""CASE WHEN {_OFFSET} < 0 THEN '-' ELSE '+' END
  || lpad(CAST(abs({_OFFSET}) // 3600 AS VARCHAR), 2, '0')"""
_OFFSET_MINUTE = f"lpad(CAST(abs({_OFFSET}) // 60 % 60 AS VARCHAR), 2, '0')"
_OF_ZONES = ("TZH", "TZM", "TZ", "OF")
# What is the same for a day and for its midnight in any zone.
_OF_DAYS = frozenset(
    (
        *("YYYY", "YYY", "YY", "Y", "IYYY", "IYY", "IY", "I", "Q", "MM", "DD", "DDD", "D", "ID"),
        *("IDDD", "IW", "WW", "W", "CC", "J", "RM", "Y,YYY", "BC", "AD", "B.C.", "A.D."),
        *("MONTH", "MON", "DAY", "DY"),
    )
)
_ORDINAL = """list_transform([_1], lambda t: t || CASE WHEN regexp_matches(t, '(^|[^1])1$')
  THEN 'st' WHEN regexp_matches(t, '(^|[^1])2$') THEN 'nd' WHEN regexp_matches(t, '(^|[^1])3$')
  THEN 'rd' ELSE 'th' END)[1]"""


def is_of_days(pattern: str) -> bool:
    """Whether a pattern asks for nothing within a day."""
    return all(not token.code or token.code.upper() in _OF_DAYS for token in _tokens(pattern))


def to_char(value: exp.Expr, pattern: str, *, zoned: bool) -> exp.Expr:
    """``to_char(timestamp, pattern)``; ``zoned``: the timestamp has a time zone."""
    pieces: list[exp.Expr] = []
    # By its local time, since DuckDB forgets the era of a zoned one.
    local = cast(value.copy(), "TIMESTAMP") if zoned else value
    for token in _tokens(pattern):
        if not token.code:
            pieces.append(string(token.text))
            continue
        of_zone = token.code.upper() in _OF_ZONES
        piece = sql(_code(token, zoned=zoned), (value if of_zone else local).copy())
        if token.ordinal and token.code.upper() in _NUMBERS:
            piece = sql(_ORDINAL, piece)
            piece = call("upper", piece) if token.ordinal == "TH" else piece
        pieces.append(piece)
    text = call("concat", *pieces) if pieces else string("")
    return sql("CASE WHEN _1 IS NOT NULL AND isfinite(_1) THEN _2 END", value, text)


def _code(token: _Token, *, zoned: bool) -> str:
    code = token.code
    named = _NAMES.get(code)
    if named is not None:
        form, name, width = named
        text = form.format(f"strftime(_1, '{name}')")
        return f"rpad({text}, {width}, ' ')" if width and token.fill else text
    upper = code.upper()
    number = _NUMBERS.get(upper)
    if number is not None:
        return _number(upper, *number, fill=token.fill)
    if token.ordinal:
        raise _refused(code + token.ordinal)
    if upper == "CC":
        century = f"CAST(abs({_CENTURY}) AS VARCHAR)"
        filled = f"lpad({century}, 2, '0')" if token.fill else century
        return f"CASE WHEN datepart('year', _1) <= 0 THEN '-' ELSE '' END || {filled}"
    if upper == "Y,YYY":
        thousands = f"CAST({_YEAR} // 1000 AS VARCHAR)"
        return f"{thousands} || ',' || lpad(CAST({_YEAR} % 1000 AS VARCHAR), 3, '0')"
    if upper in ("AM", "PM", "A.M.", "P.M."):
        before, after = ("AM", "PM") if len(upper) == 2 else ("A.M.", "P.M.")
        return _either("datepart('hour', _1) < 12", before, after, lower=code != upper)
    if upper in ("BC", "AD", "B.C.", "A.D."):
        before, after = ("BC", "AD") if len(upper) == 2 else ("B.C.", "A.D.")
        return _either("datepart('year', _1) <= 0", before, after, lower=code != upper)
    if upper == "RM":
        return _roman(lower=code == "rm", fill=token.fill)
    return _zone(upper, zoned=zoned)


def _number(code: str, part: str, width: int, *, fill: bool) -> str:
    text = f"CAST({part} AS VARCHAR)"
    if width == 1 or not (fill or code in _ALWAYS_FILLED):
        return text
    if code in ("YYYY", "IYYY"):
        # More than four digits are not cut.
        return f"lpad({text}, CAST(greatest(4, length({text})) AS INTEGER), '0')"
    return f"lpad({text}, {width}, '0')"


def _either(condition: str, one: str, other: str, *, lower: bool) -> str:
    if lower:
        one, other = one.lower(), other.lower()
    return f"CASE WHEN {condition} THEN '{one}' ELSE '{other}' END"


def _roman(*, lower: bool, fill: bool) -> str:
    names = [name.lower() if lower else name for name in _ROMAN]
    listed = ", ".join(f"'{name.ljust(4) if fill else name}'" for name in names)
    return f"list_extract(list_value({listed}), datepart('month', _1))"


def _zone(code: str, *, zoned: bool) -> str:
    if code == "TZ" and not zoned:
        return "''"
    if code == "TZH":
        return _OFFSET_HOUR if zoned else "'+00'"
    if code == "TZM":
        return _OFFSET_MINUTE if zoned else "'00'"
    if code == "OF":
        if not zoned:
            return "'+00'"
        return f"""{_OFFSET_HOUR} || CASE WHEN {_OFFSET} % 3600 = 0 THEN ''
          ELSE ':' || {_OFFSET_MINUTE} END"""
    # The names of zones are abbreviations that no other database has.
    raise _refused(code)


_DAY_PART = "datepart('day', _1)"
_INTERVAL_NUMBERS = {
    "YYYY": ("datepart('year', _1)", 4),
    "MM": ("datepart('month', _1)", 2),
    "DD": (_DAY_PART, 2),
    "HH24": ("datepart('hour', _1)", 2),
    "MI": ("datepart('minute', _1)", 2),
    "SS": ("datepart('second', _1)", 2),
    "SSSS": (_SECONDS, 1),
    "SSSSS": (_SECONDS, 1),
}


def interval_to_char(value: exp.Expr, pattern: str) -> exp.Expr:
    """``to_char(interval, pattern)``: every part by itself, with a sign where it is negative."""
    pieces: list[exp.Expr] = []
    for token in _tokens(pattern):
        if not token.code:
            pieces.append(string(token.text))
            continue
        number = _INTERVAL_NUMBERS.get(token.code.upper())
        if number is None or token.ordinal:
            raise _refused(token.code)
        part, width = number
        text = f"CAST(abs({part}) AS VARCHAR)"
        if token.fill and width > 1:
            # Only the sign of days takes the place of a digit.
            least = f"CASE WHEN {part} < 0 THEN 1 ELSE 2 END" if part == _DAY_PART else str(width)
            text = f"lpad({text}, CAST(greatest({least}, length({text})) AS INTEGER), '0')"
        signed = f"CASE WHEN {part} < 0 THEN '-' ELSE '' END || {text}"
        pieces.append(sql(signed, value.copy()))
    text_ = call("concat", *pieces) if pieces else string("")
    return sql("CASE WHEN _1 IS NOT NULL THEN _2 END", value, text_)


_STRPTIME = {
    "YYYY": "%Y",
    "MM": "%m",
    "DD": "%d",
    "DDD": "%j",
    "HH24": "%H",
    "HH12": "%I",
    "HH": "%I",
    "MI": "%M",
    "SS": "%S",
    "MS": "%g",
    "US": "%f",
    "AM": "%p",
    "PM": "%p",
    "MON": "%b",
    "MONTH": "%B",
}


def strptime(pattern: str) -> str:
    """The pattern of ``to_date`` and ``to_timestamp`` for DuckDB's stricter ``strptime``."""
    out: list[str] = []
    if not any(token.code.upper() == "YYYY" for token in _tokens(pattern)):
        raise UnsupportedError(f'a pattern without YYYY ("{pattern}") is not supported on DuckDB')
    for token in _tokens(pattern):
        found = _STRPTIME.get(token.code.upper())
        if not token.code:
            if any(character.isalnum() or character == "\\" for character in token.text):
                raise _refused(token.text)
            out.append(token.text.replace("%", "%%"))
        elif found is None or token.ordinal:
            raise _refused(token.code)
        else:
            out.append(found)
    return "".join(out)
