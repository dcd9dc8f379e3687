"""Intervals: months, days and microseconds, which PostgreSQL keeps apart and DuckDB too."""

from __future__ import annotations

from sqlglot import exp

from semantic.compiler.expressions.duckdb.build import cast, sql
from semantic.compiler.expressions.duckdb.casts import MICROSECONDS
from semantic.compiler.expressions.duckdb.rules import arguments, template
from semantic.compiler.expressions.duckdb.translator import FunctionRule, Translator
from semantic.compiler.expressions.duckdb.value import Value
from semantic.compiler.expressions.signatures.registry import Resolved
from semantic.compiler.expressions.syntax import Call
from semantic.errors import SemanticError
from semantic.model.types import INTERVAL, PostgresType

MONTHS = "(datepart('year', {0}) * 12 + datepart('month', {0}))"
DAYS = "datepart('day', {0})"
_PARTS = (
    f"{{'m': {MONTHS.format('_1')}, 'd': {DAYS.format('_1')}, 'u': {MICROSECONDS.format('_1')}}}"
)
_MADE = """CASE WHEN {0}.m IS NOT NULL THEN to_months(CAST({0}.m AS INTEGER))
  + to_days(CAST({0}.d AS INTEGER)) + to_microseconds(CAST({0}.u AS BIGINT)) END"""
_DAY = 86_400_000_000


def _steps(first: str, *steps: str) -> str:
    """``first`` as a struct, then structs made of the one before, called ``x`` each time."""
    text = "x"
    last, *others = reversed(steps)
    text = last
    for step in others:
        text = f"list_transform([{step}], lambda x: {text})[1]"
    return f"list_transform([{first}], lambda x: {text})[1]"


# A fraction of a month is counted as so many days, one of a day as so many seconds, each rounded
# where PostgreSQL rounds it.
def _scaled(operator: str) -> str:
    by = f"{operator} x.f"
    return _steps(
        f"{{'m': CAST({MONTHS.format('_1')} AS DOUBLE), 'd': CAST({DAYS.format('_1')} AS DOUBLE), "
        f"'u': CAST({MICROSECONDS.format('_1')} AS DOUBLE), 'f': _2}}",
        f"""{{'m': trunc(x.m {by}), 'd': trunc(x.d {by}), 'u': x.u {by}, 'day': x.d {by},
          'r': round_even((x.m {by} - trunc(x.m {by})) * 30 * 1000000, 0) / 1000000}}""",
        """{'m': x.m, 'd': x.d, 'u': x.u, 'r': x.r,
          's': round_even((x.day - x.d + x.r - trunc(x.r)) * 86400 * 1000000, 0) / 1000000}""",
        """{'m': x.m, 'd': x.d + trunc(x.s / 86400) + trunc(x.r),
          'u': round_even(x.u + (x.s - trunc(x.s / 86400) * 86400) * 1000000, 0)}""",
        _MADE.format("x"),
    )


_TIMES = _scaled("*")
_DIVIDED = _scaled("/")


def times(span: exp.Expr, factor: exp.Expr) -> exp.Expr:
    """An interval times a double."""
    return sql(_TIMES, span, factor)


def divided(span: exp.Expr, divisor: exp.Expr) -> exp.Expr:
    """An interval divided by a double, which is not zero."""
    return sql(_DIVIDED, span, divisor)


def parts_of(span: exp.Expr) -> tuple[exp.Expr, exp.Expr, exp.Expr]:
    """Months, days and microseconds, to be added up each."""
    return (
        sql(MONTHS.format("_1"), span),
        sql(DAYS.format("_1"), span.copy()),
        sql(MICROSECONDS.format("_1"), span.copy()),
    )


def from_parts(months: exp.Expr, days: exp.Expr, microseconds: exp.Expr) -> exp.Expr:
    """The interval of three sums."""
    return sql(
        "to_months(CAST(_1 AS INTEGER)) + to_days(CAST(_2 AS INTEGER)) "
        "+ to_microseconds(CAST(_3 AS BIGINT))",
        months,
        days,
        microseconds,
    )


# Arrow counts nanoseconds, and DuckDB wraps what is more of them than it can hold.
_SENDABLE = f"""list_transform({{0}}, lambda x: CASE
  WHEN abs({MICROSECONDS.format("x")}) > {2**63 // 1000} THEN to_days(CAST(
    fails('0A000: an interval of so many hours cannot be sent, only its extract(epoch from ...)')
    AS INTEGER))
  ELSE x END)"""


def sendable(node: exp.Expr, kind: PostgresType) -> exp.Expr:
    """An interval, or an array of them, as a result's column."""
    return sql(_SENDABLE.format("_1") if kind.is_array else _SENDABLE.format("[_1]") + "[1]", node)


# What has another sign than the greater part is taken out of it.
_HOURS = f"""{{'m': x.m,
  'd': CASE WHEN x.d > 0 AND x.u < 0 THEN x.d - 1 WHEN x.d < 0 AND x.u > 0 THEN x.d + 1
    ELSE x.d END,
  'u': CASE WHEN x.d > 0 AND x.u < 0 THEN x.u + {_DAY} WHEN x.d < 0 AND x.u > 0 THEN x.u - {_DAY}
    ELSE x.u END}}"""
_WHOLE_DAYS = f"{{'m': x.m, 'd': x.d + x.u // {_DAY}, 'u': x.u % {_DAY}}}"
_WHOLE_MONTHS = "{'m': x.m + x.d // 30, 'd': x.d % 30, 'u': x.u}"
_JUSTIFY_HOURS = _steps(_PARTS, _WHOLE_DAYS, _HOURS, _MADE.format("x"))
_JUSTIFY_DAYS = _steps(
    _PARTS,
    _WHOLE_MONTHS,
    """{'m': CASE WHEN x.m > 0 AND x.d < 0 THEN x.m - 1 WHEN x.m < 0 AND x.d > 0 THEN x.m + 1
      ELSE x.m END,
    'd': CASE WHEN x.m > 0 AND x.d < 0 THEN x.d + 30 WHEN x.m < 0 AND x.d > 0 THEN x.d - 30
      ELSE x.d END, 'u': x.u}""",
    _MADE.format("x"),
)
_OVER = "x.m > 0 AND (x.d < 0 OR x.d = 0 AND x.u < 0)"
_UNDER = "x.m < 0 AND (x.d > 0 OR x.d = 0 AND x.u > 0)"
_JUSTIFY_INTERVAL = _steps(
    _PARTS,
    _WHOLE_DAYS,
    _WHOLE_MONTHS,
    f"""{{'m': CASE WHEN {_OVER} THEN x.m - 1 WHEN {_UNDER} THEN x.m + 1 ELSE x.m END,
    'd': CASE WHEN {_OVER} THEN x.d + 30 WHEN {_UNDER} THEN x.d - 30 ELSE x.d END, 'u': x.u}}""",
    _HOURS,
    _MADE.format("x"),
)

_TRUNCATED_MONTHS = {"month": 1, "quarter": 3, "year": 12, "decade": 120, "century": 1200,
                     "millennium": 12000}  # fmt: skip
_TRUNCATED = {"hour": 3_600_000_000, "minute": 60_000_000, "second": 1_000_000,
              "milliseconds": 1_000, "microseconds": 1}  # fmt: skip


def truncated(name: str, span: exp.Expr) -> exp.Expr:
    """``date_trunc`` of an interval, part by part."""
    months = _TRUNCATED_MONTHS.get(name)
    total = MONTHS.format("_1")
    if months is not None:
        return sql(f"to_months(CAST({total} // {months} * {months} AS INTEGER))", span)
    days = f"to_months(CAST({total} AS INTEGER)) + to_days(CAST({DAYS.format('_1')} AS INTEGER))"
    if name == "day":
        return sql(days, span)
    size = _TRUNCATED.get(name)
    if size is None:
        raise SemanticError("0A000", f'unit "{name}" not supported for type interval')
    rest = MICROSECONDS.format("_1")
    return sql(f"{days} + to_microseconds({rest} // {size} * {size})", span)


_FIELDS = {"year": (12, 1), "decade": (120, 1), "century": (1200, 1), "millennium": (12000, 1)}


def years(name: str, span: exp.Expr) -> exp.Expr | None:
    """A field that is counted in years; None for any other."""
    found = _FIELDS.get(name)
    return None if found is None else sql(f"{MONTHS.format('_1')} // {found[0]}", span)


_MAKE = """to_months(CAST(_1 * 12 + _2 AS INTEGER)) + to_days(CAST(_3 * 7 + _4 AS INTEGER))
  + to_microseconds(CAST(_5 AS BIGINT) * 3600000000 + CAST(_6 AS BIGINT) * 60000000
  + CAST(round_even(_7 * 1000000, 0) AS BIGINT))"""


def _make_interval(translator: Translator, call: Call, resolved: Resolved) -> Value:
    """Its arguments in PostgreSQL's order, those left out at the end being zero."""
    items = arguments(translator, call, resolved)
    items += [exp.Literal.number(0) for _ in range(7 - len(items))]
    items[6] = cast(items[6], "DOUBLE")
    return Value(exp.Paren(this=sql(_MAKE, *items)), INTERVAL)


INTERVALS: dict[str, FunctionRule] = {
    "justify_days": template(_JUSTIFY_DAYS),
    "justify_hours": template(_JUSTIFY_HOURS),
    "justify_interval": template(_JUSTIFY_INTERVAL),
    "make_interval": _make_interval,
}
