"""Reads the statement log for what pre-aggregations might have answered."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

_FROM_WAREHOUSE = frozenset((None, "miss", "bypass"))


@dataclass(slots=True)
class LoggedText:
    """A statement's text, how often it ran in the warehouse, and the seconds that took."""

    sql: str
    times: int = 0
    seconds: float = 0.0


class NoStatementsError(ValueError):
    """The log has no line that can be used."""


def read_log(lines: Iterable[str]) -> list[LoggedText]:
    """Statements over cubes that reached the warehouse, the most costly first.

    Those that a pre-aggregation or the result cache answered are left out, and failed ones.

    Raises NoStatementsError where the log has no statement with its text.
    """
    found: dict[str, LoggedText] = {}
    seen = 0
    for line in lines:
        try:
            fields = json.loads(line)
        except ValueError:
            continue
        if not isinstance(fields, dict) or fields.get("logger") != "cubewire.statement":
            continue
        sql = fields.get("sql")
        seen += isinstance(sql, str)
        if not isinstance(sql, str) or not _is_wanted(fields):
            continue
        text = found.setdefault(sql, LoggedText(sql))
        text.times += 1
        text.seconds += float(fields.get("ms", 0.0)) / 1000
    if not seen:
        raise NoStatementsError(
            "the log has no statements: it needs log.format json and log.sql true"
        )
    return sorted(found.values(), key=lambda text: -text.seconds)


def _is_wanted(fields: dict[str, object]) -> bool:
    return (
        fields.get("kind") == "cube"
        and fields.get("sqlstate") == "00000"
        and not fields.get("rollups")
        and fields.get("cache") in _FROM_WAREHOUSE
    )
