"""The types of a result as its statement says them, where the warehouse has too few of its own."""

from __future__ import annotations

import re

_HEADER = re.compile(r"/\* ([a-z0-9_]+(?:, [a-z0-9_]+)*) \*/ ")


def announced(sql: str) -> tuple[str, ...] | None:
    """The types in the comment ahead of ``/* int8, text */ SELECT ...``; None without one."""
    found = _HEADER.match(sql)
    return None if found is None else tuple(found[1].split(", "))
