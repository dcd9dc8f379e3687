"""Aggregates of double precision where DuckDB goes on with infinity, and PostgreSQL does not.

Beside each stands the greatest magnitude among the arguments, which tells an overflow from
arguments that were not finite themselves.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from semantic.compiler.expressions.duckdb.build import call, sql

Around = Callable[[exp.Expr], exp.Expr]

# PostgreSQL's averages and statistics keep the squares of differences, whose sum may overflow where
# the result would not. Below this they cannot; above it some do, which depends on all rows.
_SAFE = "1e145"
_TOO_LARGE = """CAST(concat('0A000: statistics of numbers beyond 1e145 or infinite are ',
  'not supported on DuckDB: ', _1) AS DOUBLE)"""
_SUM = """CASE WHEN isfinite(_1) THEN _1 WHEN isfinite(_2) AND NOT isfinite(_1)
  THEN CAST(concat('value out of range: overflow ', _1) AS DOUBLE) ELSE _1 END"""
_AVERAGE = f"""CASE WHEN _2 <= {_SAFE} THEN _1 WHEN isfinite(_2) THEN {_TOO_LARGE} ELSE _1 END"""
_SPREAD = f"""CASE WHEN _2 <= {_SAFE} THEN _1 WHEN isfinite(_2) THEN {_TOO_LARGE}
  WHEN _1 IS NOT NULL THEN CAST('NaN' AS DOUBLE) END"""
_PAIR = f"""CASE WHEN _2 <= {_SAFE} THEN CASE WHEN NOT isnan(_1) THEN _1 END
  WHEN _2 IS NOT NULL THEN {_TOO_LARGE.replace("_1", "_2")} END"""


def _greatest(argument: exp.Expr, around: Around) -> exp.Expr:
    return around(call("max", call("abs", argument.copy())))


def checked_sum(total: exp.Expr, argument: exp.Expr, around: Around) -> exp.Expr:
    """A sum, 22003 where it overflows."""
    return sql(_SUM, total, _greatest(argument, around))


def checked_average(mean: exp.Expr, argument: exp.Expr, around: Around) -> exp.Expr:
    """An average, 0A000 where an argument is so large that PostgreSQL's may overflow."""
    return sql(_AVERAGE, mean, _greatest(argument, around))


def checked_spread(spread: exp.Expr, argument: exp.Expr, around: Around) -> exp.Expr:
    """A variance or deviation: as an average, and NaN of arguments that are not finite."""
    return sql(_SPREAD, spread, _greatest(argument, around))


def checked_pair(
    statistic: exp.Expr, first: exp.Expr, second: exp.Expr, around: Around
) -> exp.Expr:
    """A statistic of two variables, NULL where DuckDB says NaN.

    It is 0A000 where an average is, and of arguments that are not finite.
    """
    # Halves, so that the sum of two is finite; NULL where one of them is.
    both = sql("abs(_1) / 2 + abs(_2) / 2", first.copy(), second.copy())
    return sql(_PAIR, statistic, around(call("max", both)))
