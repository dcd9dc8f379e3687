"""Local times in the session's time zone.

Once a year an hour comes twice. PostgreSQL takes such a local time for the second of the two,
DuckDB for the first.
"""

from __future__ import annotations

from sqlglot import exp

from semantic.compiler.api import SessionSettings
from semantic.compiler.expressions.duckdb.build import cast, sql

_WITHOUT_CHANGES = frozenset(("utc", "etc/utc", "gmt", "etc/gmt", "zulu", "uct", "universal"))
_SECOND = """list_transform([_1], lambda z: CASE
  WHEN CAST(z + to_hours(1) AS TIMESTAMP) = CAST(z AS TIMESTAMP) THEN z + to_hours(1)
  ELSE z END)[1]"""
_SECOND_IN = """list_transform([timezone(_1, _2)], lambda z: CASE
  WHEN timezone(_1, z + to_hours(1)) = timezone(_1, z) THEN z + to_hours(1) ELSE z END)[1]"""


def has_changes(zone: str) -> bool:
    """Whether a zone's clock may be turned back."""
    return zone.lower() not in _WITHOUT_CHANGES


def changes(settings: SessionSettings) -> bool:
    """Whether the clock of the session's zone may be turned back."""
    return has_changes(settings.time_zone)


def at_session_zone(local: exp.Expr, *, folds: bool) -> exp.Expr:
    """A local timestamp or date of the session's zone as a point in time.

    ``folds``: the zone has hours that come twice.
    """
    zoned = cast(local, "TIMESTAMPTZ")
    return sql(_SECOND, zoned) if folds else zoned


def at_zone(local: exp.Expr, zone: str) -> exp.Expr:
    """A local timestamp of a named zone as a point in time."""
    template = _SECOND_IN if has_changes(zone) else "timezone(_1, _2)"
    return sql(template, exp.Literal.string(zone), local)
