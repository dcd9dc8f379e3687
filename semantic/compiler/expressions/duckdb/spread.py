"""Variance and standard deviation of exact numbers, digit by digit as PostgreSQL has them.

PostgreSQL computes (N * sum(x * x) - sum(x) * sum(x)) / (N * (N - 1)) in numeric, with the digits
of a numeric division, and takes the root of that to the same number of decimals.
"""

from __future__ import annotations

from sqlglot import exp

from semantic.compiler.expressions.duckdb import numeric
from semantic.compiler.expressions.duckdb.build import sql
from semantic.compiler.expressions.duckdb.value import Value
from semantic.model.types import NUMERIC


def spread(
    count: exp.Expr,
    total: exp.Expr,
    squares: exp.Expr,
    *,
    scale: int,
    sample: bool,
    few: bool,
) -> Value:
    """The variance of a sample or of a population of numbers of a scale.

    ``few``: as of ``numeric.quotient``.
    """
    least = 2 if sample else 1
    divisor = "_1 * (_1 - 1)" if sample else "_1 * _1"
    above = sql("CASE WHEN _1 > 0 THEN _1 * _3 - _2 * _2 END", count, total, squares)
    below = sql(f"CASE WHEN _1 >= {least} THEN CAST({divisor} AS HUGEINT) END", count)
    exact = numeric.quotient(
        Value(above, NUMERIC, scale=2 * scale),
        Value(below, NUMERIC, scale=0),
        positive=True,
        few=few,
    )
    # No spread at all is a plain zero.
    text = (
        "list_transform([_1], lambda t: CASE WHEN regexp_matches(t, '[1-9]') THEN t "
        "WHEN t IS NOT NULL THEN '0' END)[1]"
    )
    return numeric.from_text(sql(text, numeric.text_of(exact)))


# The root of n / 10^r to r decimals, rounded. A first guess in double precision is put right by one
# step of Newton's method and then by one unit more, where that is nearer. The residue is computed
# in two halves where it would not fit 38 digits.
_ROOT = """
list_transform([_1], lambda t: CASE WHEN t = '0' OR t IS NULL THEN t ELSE
  list_transform([{
    'n': CAST(replace(t, '.', '') AS HUGEINT),
    'r': CASE WHEN strpos(t, '.') = 0 THEN 0 ELSE length(t) - strpos(t, '.') END
  }], lambda v:
    list_transform([{
      'g': CAST(round(sqrt(CAST(t AS DOUBLE)) * pow(10, v.r)) AS HUGEINT),
      'p': CAST(rpad('1', CAST(CASE WHEN v.r >= 20 THEN v.r - 20 ELSE v.r END + 1 AS INTEGER), '0')
           AS HUGEINT)
    }], lambda w:
      list_transform([CASE WHEN v.r >= 20 THEN
          (v.n * w.p - (w.g // 10000000000) * (w.g // 10000000000)) * 100000000000000000000
          - 2 * (w.g // 10000000000) * (w.g % 10000000000) * 10000000000
          - (w.g % 10000000000) * (w.g % 10000000000)
        ELSE v.n * w.p - w.g * w.g END
      ], lambda d:
        list_transform([CAST(floor((d + w.g) / (2 * w.g)) AS HUGEINT)], lambda k:
        list_transform([CAST(w.g + k + CASE WHEN d - k * (2 * w.g + k) <= -(w.g + k) THEN -1
          WHEN d - k * (2 * w.g + k) > w.g + k THEN 1 ELSE 0 END AS VARCHAR)], lambda s:
          CASE WHEN v.r = 0 THEN s
          WHEN length(s) > v.r THEN concat(left(s, length(s) - v.r), '.', right(s, v.r))
          ELSE concat('0.', lpad(s, CAST(v.r AS INTEGER), '0')) END
        )[1])[1]
      )[1]
    )[1]
  )[1] END
)[1]
"""


def deviation(variance: Value) -> Value:
    """The standard deviation that belongs to a variance."""
    return numeric.from_text(sql(_ROOT, numeric.text_of(variance)))
