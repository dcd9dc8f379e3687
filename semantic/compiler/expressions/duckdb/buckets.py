"""``width_bucket``: which of equally wide buckets a number lies in."""

from __future__ import annotations

from semantic.compiler.expressions.duckdb import numeric
from semantic.compiler.expressions.duckdb.build import sql
from semantic.compiler.expressions.duckdb.rules import by_type, template
from semantic.compiler.expressions.duckdb.translator import FunctionRule, Translator
from semantic.compiler.expressions.duckdb.value import Value
from semantic.compiler.expressions.signatures.registry import Resolved
from semantic.compiler.expressions.syntax import Call
from semantic.errors import UnsupportedError
from semantic.model.types import INT4, NUMERIC

_BUCKET = """list_transform([{{'o': {one}, 'a': {low}, 'b': {high}, 'c': _4}}], lambda x: CASE
  WHEN x.o IS NULL OR x.a IS NULL OR x.b IS NULL OR x.c IS NULL THEN NULL
  WHEN x.c <= 0 THEN CAST(fails('2201G: count must be greater than zero') AS INTEGER)
  WHEN x.a = x.b THEN CAST(fails('2201G: lower bound cannot equal upper bound') AS INTEGER)
  {special}
  WHEN x.a < x.b AND x.o < x.a OR x.a > x.b AND x.o > x.a THEN 0
  WHEN x.a < x.b AND x.o >= x.b OR x.a > x.b AND x.o <= x.b THEN x.c + 1
  ELSE CAST(least({place}, x.c - 1) AS INTEGER) + 1 END)[1]"""
_NOT_FINITE = """WHEN isnan(x.o) OR isnan(x.a) OR isnan(x.b) THEN CAST(fails(
    '2201G: operand, lower bound, and upper bound cannot be NaN') AS INTEGER)
  WHEN NOT isfinite(x.a) OR NOT isfinite(x.b) THEN CAST(fails(
    '2201G: lower and upper bounds must be finite') AS INTEGER)"""
_FLOAT = _BUCKET.format(
    one="_1",
    low="_2",
    high="_3",
    special=_NOT_FINITE,
    place="""CASE WHEN x.a < x.b THEN trunc(x.c * ((x.o - x.a) / (x.b - x.a)))
      ELSE trunc(x.c * ((x.a - x.o) / (x.a - x.b))) END""",
)
# Whole numbers of the smallest decimal that any of the three has.
_DIGITS = "CAST(replace(CAST({0} AS VARCHAR), '.', '') AS HUGEINT)"
_NUMERIC = _BUCKET.format(
    one=_DIGITS.format("_1"),
    low=_DIGITS.format("_2"),
    high=_DIGITS.format("_3"),
    special="",
    place="((x.o - x.a) * x.c) // (x.b - x.a)",
)


def _of_numerics(translator: Translator, call: Call, _resolved: Resolved) -> Value:
    values = [translator.coerced(node, NUMERIC) for node in call.arguments[:3]]
    alike = None if any(value.dynamic for value in values) else numeric.alike(values)
    if alike is None or any(numeric.known_scale(value) is None for value in alike):
        raise UnsupportedError(
            "width_bucket of numbers whose scale is not known is not supported on DuckDB",
            hint="Cast them to double precision.",
        )
    count = translator.typed(call.arguments[3], INT4)
    return Value(sql(_NUMERIC, *(value.node for value in alike), count), INT4)


BUCKETS: dict[str, FunctionRule] = {
    "width_bucket": by_type({"float8": template(_FLOAT), "numeric": _of_numerics}),
}
