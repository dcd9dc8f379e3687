"""Infinite dates and timestamps, of which DuckDB makes NULL where PostgreSQL goes on or complains.

What must fail is a cast of a complaint: ``error()`` would make DuckDB take the expression for
something that varies. It stands in a CASE and not in COALESCE, whose operands DuckDB may compute
for all rows when several expressions share them.
"""

from __future__ import annotations

from sqlglot import exp

from semantic.compiler.expressions.duckdb.build import cast, sql, string

# What grows with time is infinite itself; all other fields of an infinite moment are NULL.
ENDLESS_FIELDS = ("year", "isoyear", "decade", "century", "millennium", "julian", "epoch")


_REFUSED = "0A000: an infinite numeric is not supported on DuckDB: "


def field_of_infinite(part: exp.Expr, moment: exp.Expr, *, as_float: bool) -> exp.Expr:
    """A field that grows with time, also of a moment that is infinite."""
    if as_float:
        text = """CASE WHEN isfinite(_2) THEN _1
          WHEN NOT isfinite(_2) THEN CAST(CAST(_2 AS VARCHAR) AS DOUBLE) END"""
        return sql(text, cast(part, "DOUBLE"), moment.copy())
    text = """CASE WHEN isfinite(_2) THEN _1
      WHEN NOT isfinite(_2) THEN CAST(concat(_3, _2) AS BIGINT) END"""
    return sql(text, part, moment.copy(), string(_REFUSED))


def or_itself(computed: exp.Expr, moment: exp.Expr) -> exp.Expr:
    """What is computed of a finite moment; an infinite one stays what it is."""
    return sql("CASE WHEN isfinite(_2) THEN _1 ELSE _2 END", computed, moment.copy())
