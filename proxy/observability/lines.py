"""Log lines: one event, one line, whatever bytes a client put into it.

A value never ends a line, never starts a field of its own and never moves a terminal's cursor:
everything but plain printable characters is escaped (CWE-117).
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Literal

Format = Literal["json", "text"]
Value = str | int | float | bool | None

_PLAIN = re.compile(r"[A-Za-z0-9_./:@+\-]+").fullmatch
_NAME_LENGTH = 64
_to_json = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


def timestamp(seconds: float) -> str:
    """RFC 3339, UTC, milliseconds.

    >>> timestamp(0.25)
    '1970-01-01T00:00:00.250Z'
    """
    whole, milliseconds = divmod(int(seconds * 1000), 1000)
    return f"{_second(whole)}.{milliseconds:03d}Z"


@lru_cache(maxsize=4)
def _second(whole: int) -> str:
    return dt.datetime.fromtimestamp(whole, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")


def render(fields: Mapping[str, Value], style: Format) -> str:
    """One line without its end, in logfmt or JSON. Fields without a value are left out.

    >>> render({"user": "a b", "rows": 3, "hint": None}, "text")
    'user="a b" rows=3'
    """
    return joined([part(fields, style)], style)


def part(fields: Mapping[str, Value], style: Format) -> str:
    """Some fields of a line, to be ``joined`` with others: for those that many lines have alike."""
    present = {name: value for name, value in fields.items() if value is not None}
    if style == "json":
        return _to_json(present)[1:-1]
    return " ".join(f"{name}={_logfmt(value)}" for name, value in present.items())


def plain(name: str, text: str, style: Format) -> str:
    """A field whose text is of letters, digits and ``_./:@+-`` alone: nothing to escape."""
    return f'"{name}":"{text}"' if style == "json" else f"{name}={text}"


def milliseconds(name: str, value: float, style: Format) -> str:
    """A field that is a time, to the microsecond."""
    return f'"{name}":{value:.3f}' if style == "json" else f"{name}={value:.3f}"


def joined(parts: Sequence[str], style: Format) -> str:
    """A line of its parts, none of them empty."""
    return "{" + ",".join(parts) + "}" if style == "json" else " ".join(parts)


def _logfmt(value: Value) -> str:
    if isinstance(value, str):
        # Names come again and again, and are short; a statement's text is neither.
        return _quoted_name(value) if len(value) <= _NAME_LENGTH else _quoted(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return format(value, ".3f")
    return str(value)


@lru_cache(maxsize=4096)
def _quoted_name(text: str) -> str:
    return _quoted(text)


def _quoted(text: str) -> str:
    if _PLAIN(text):
        return text
    # JSON's escapes of everything beyond ASCII, and DEL, which JSON lets through.
    return _to_json(text).replace("\x7f", "\\u007f")
