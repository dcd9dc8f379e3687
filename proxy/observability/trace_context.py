"""The trace that a statement belongs to, as its comment says (sqlcommenter, W3C Trace Context).

Tools put it at the end: ``SELECT 1 /*traceparent='00-...-...-01',tracestate='a=b'*/``.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

_LONGEST = 2_048
"""Characters at each end of a statement in which the comment is looked for."""

_COMMENT = re.compile(r"/\*(?P<pairs>[^*]*?traceparent=[^*]*)\*/")
_LAST = re.compile(r"\s*/\*[^*]*?traceparent=[^*]*\*/\s*\Z")
_PAIR = re.compile(r"(traceparent|tracestate)='([^']*)'")


def trace_context(sql: str) -> dict[str, str]:
    """The headers ``traceparent`` and ``tracestate`` that a statement's comment stands for.

    >>> trace_context("SELECT 1 /*route='x',traceparent='00-1-2-01'*/")
    {'traceparent': '00-1-2-01'}
    """
    if "traceparent" not in sql:
        return {}
    ends = sql if len(sql) <= 2 * _LONGEST else f"{sql[:_LONGEST]} {sql[-_LONGEST:]}"
    found = _COMMENT.search(ends)
    return {} if found is None else {n: unquote(v) for n, v in _PAIR.findall(found["pairs"])}


def without_trace(sql: str) -> str:
    """A statement without the comment at its end, which differs each time it is run.

    A text that ends with ``*/`` does so in a comment, or is no statement at all.

    >>> without_trace("SELECT 1 /*traceparent='00-1-2-01'*/")
    'SELECT 1'
    """
    if not sql.endswith("*/") or "traceparent" not in sql[-_LONGEST:]:
        return sql
    start = sql.rfind("/*")
    return sql[:start].rstrip() if start >= 0 and _LAST.match(sql, start) else sql
