"""Log lines: one event, one line, whatever bytes a client put into it.

A value never ends a line, never starts a field of its own and never moves a terminal's cursor:
everything but plain printable characters is escaped (CWE-117).
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping
from typing import Literal

Format = Literal["json", "text"]
Value = str | int | float | bool | None

_PLAIN = re.compile(r"[A-Za-z0-9_./:@+\-]+")


def timestamp(seconds: float) -> str:
    """RFC 3339, UTC, milliseconds."""
    moment = dt.datetime.fromtimestamp(seconds, dt.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def render(fields: Mapping[str, Value], style: Format) -> str:
    """One line without its end, in logfmt or JSON. Fields without a value are left out.

    >>> render({"user": "a b", "rows": 3, "hint": None}, "text")
    'user="a b" rows=3'
    """
    present = {name: value for name, value in fields.items() if value is not None}
    if style == "json":
        return json.dumps(present, ensure_ascii=True, separators=(",", ":"))
    return " ".join(f"{name}={_logfmt(value)}" for name, value in present.items())


def _logfmt(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return format(value, ".3f")
    text = str(value)
    if _PLAIN.fullmatch(text):
        return text
    # JSON's escapes of everything beyond ASCII, and DEL, which JSON lets through.
    return json.dumps(text, ensure_ascii=True).replace("\x7f", "\\u007f")
