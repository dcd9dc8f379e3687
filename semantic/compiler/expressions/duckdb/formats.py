"""PostgreSQL's template patterns for dates and times (manual, 9.8)."""

from __future__ import annotations

import re

from sqlglot import exp

from semantic.compiler.expressions.duckdb.build import call, sql, string
from semantic.errors import UnsupportedError

_CODES = (
    "HH24 HH12 HH MI SSSSS SSSS SS MS US FF1 FF2 FF3 FF4 FF5 FF6 AM PM am pm A.M. P.M. a.m. p.m."
    " Y,YYY YYYY IYYY YYY IYY YY IY Y I BC AD MONTH Month month MON Mon mon MM DAY Day day DY Dy dy"
    " IDDD DDD DD ID D IW WW W CC J Q RM rm TZH TZM TZ tz OF"
)
_ANY_CODE = "|".join(re.escape(code) for code in sorted(_CODES.split(" "), key=len, reverse=True))
_TOKEN = re.compile(
    rf'(?P<fm>FM|fm)|(?P<fx>FX|TM)|(?P<code>{_ANY_CODE})|"(?P<text>[^"]*)"|(?P<other>.)', re.DOTALL
)
_LOWER = re.compile(r"[a-z]{2,}\d*")


def _padded(part: str, width: int) -> str:
    return f"lpad(CAST({part} AS VARCHAR), {width}, '0')"


def _name(strftime: str, form: str) -> str:
    return form.format(f"strftime(_1, '{strftime}')")


# Code: (padded template, template under FM).
_YEAR = "datepart('year', _1)"
_HOUR12 = "((datepart('hour', _1) + 11) % 12 + 1)"
_MICROSECONDS = "datepart('microsecond', _1) % 1000000"
_NUMBERS = {
    "YYYY": (_YEAR, 4),
    "IYYY": ("datepart('isoyear', _1)", 4),
    "YYY": (f"{_YEAR} % 1000", 3),
    "YY": (f"{_YEAR} % 100", 2),
    "Y": (f"{_YEAR} % 10", 1),
    "IY": ("datepart('isoyear', _1) % 100", 2),
    "Q": ("datepart('quarter', _1)", 1),
    "MM": ("datepart('month', _1)", 2),
    "DD": ("datepart('day', _1)", 2),
    "DDD": ("datepart('doy', _1)", 3),
    "D": ("datepart('dow', _1) + 1", 1),
    "ID": ("datepart('isodow', _1)", 1),
    "IW": ("datepart('week', _1)", 2),
    "WW": ("(datepart('doy', _1) - 1) // 7 + 1", 2),
    "W": ("(datepart('day', _1) - 1) // 7 + 1", 1),
    "CC": (f"({_YEAR} + 99) // 100", 2),
    "HH24": ("datepart('hour', _1)", 2),
    "HH12": (_HOUR12, 2),
    "HH": (_HOUR12, 2),
    "MI": ("datepart('minute', _1)", 2),
    "SS": ("datepart('second', _1)", 2),
    "MS": (f"{_MICROSECONDS} // 1000", 3),
    "US": (_MICROSECONDS, 6),
    "SSSS": (
        "datepart('hour', _1) * 3600 + datepart('minute', _1) * 60 + datepart('second', _1)",
        1,
    ),
}
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
_HALVES = {"AM": ("AM", "PM"), "PM": ("AM", "PM"), "am": ("am", "pm"), "pm": ("am", "pm"),
           "A.M.": ("A.M.", "P.M."), "P.M.": ("A.M.", "P.M."),
           "a.m.": ("a.m.", "p.m."), "p.m.": ("a.m.", "p.m.")}  # fmt: skip


def _refused(what: str) -> UnsupportedError:
    return UnsupportedError(f'the template pattern "{what}" is not supported on DuckDB')


def _normal(pattern: str) -> str:
    """Numbers are spelled in either case: ``yyyy-mm-dd hh24:mi``."""
    known = set(_NUMBERS) | {"SSSSS"}

    def upper(match: re.Match[str]) -> str:
        text = match[0]
        out = ""
        while text:
            for size in range(len(text), 0, -1):
                if text[:size] in _NAMES or text[:size] in _HALVES:
                    out, text = out + text[:size], text[size:]
                    break
                if text[:size].upper() in known:
                    out, text = out + text[:size].upper(), text[size:]
                    break
            else:
                return match[0] if not out else out + text
        return out

    quoted = re.split(r'("[^"]*")', pattern)
    for place in range(0, len(quoted), 2):
        quoted[place] = _LOWER.sub(upper, quoted[place])
    return "".join(quoted)


def to_char(value: exp.Expr, pattern: str) -> exp.Expr:
    """``to_char(timestamp, pattern)``."""
    pieces: list[exp.Expr] = []
    fill = True
    for match in _TOKEN.finditer(_normal(pattern)):
        if match["fm"]:
            fill = False
        elif match["fx"]:
            raise _refused(match["fx"])
        elif match["code"]:
            pieces.append(sql(_code(match["code"], fill=fill), value.copy()))
            fill = True
        else:
            pieces.append(string(_plain(match)))
    text = call("concat", *pieces) if pieces else string("")
    return sql("CASE WHEN _1 IS NOT NULL AND isfinite(_1) THEN _2 END", value, text)


def _plain(match: re.Match[str]) -> str:
    if match["text"] is not None:
        return match["text"]
    character = match["other"]
    if (character.isalpha() and character not in "TZ") or character in '\\"':
        # PostgreSQL copies unknown letters, and a later version may know them.
        raise _refused(character)
    return character


def _code(code: str, *, fill: bool) -> str:
    if code == "SSSSS":
        code = "SSSS"
    if code in _NUMBERS:
        part, width = _NUMBERS[code]
        if not fill or width == 1:
            return f"CAST({part} AS VARCHAR)"
        if code == "YYYY":
            # More than four digits are not cut.
            width_ = f"CAST(greatest(4, length(CAST({part} AS VARCHAR))) AS INTEGER)"
            return f"lpad(CAST({part} AS VARCHAR), {width_}, '0')"
        return _padded(part, width)
    if code in _NAMES:
        form, name, width = _NAMES[code]
        text = _name(name, form)
        return f"rpad({text}, {width}, ' ')" if width and fill else text
    if code in _HALVES:
        before, after = _HALVES[code]
        return f"CASE WHEN datepart('hour', _1) < 12 THEN '{before}' ELSE '{after}' END"
    raise _refused(code)


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
    "Mon": "%b",
    "mon": "%b",
    "Month": "%B",
}


def strptime(pattern: str) -> str:
    """The pattern of ``to_date`` and ``to_timestamp`` for DuckDB's stricter ``strptime``."""
    out: list[str] = []
    for match in _TOKEN.finditer(_normal(pattern)):
        if match["code"]:
            found = _STRPTIME.get(match["code"])
            if found is None:
                raise _refused(match["code"])
            out.append(found)
        elif match["fm"]:
            continue
        elif match["fx"]:
            raise _refused(match["fx"])
        else:
            out.append(_plain(match).replace("%", "%%"))
    return "".join(out)
