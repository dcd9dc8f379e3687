"""Date and time functions. ``TimeZone`` of the session holds in DuckDB as well."""

from __future__ import annotations

import re

from sqlglot import exp

from semantic.compiler.expressions.duckdb import formats, intervals, literals
from semantic.compiler.expressions.duckdb.build import call as build_call
from semantic.compiler.expressions.duckdb.build import cast, sql, string
from semantic.compiler.expressions.duckdb.infinite import (
    ENDLESS_FIELDS,
    field_of_infinite,
    or_itself,
)
from semantic.compiler.expressions.duckdb.number_text import number_text
from semantic.compiler.expressions.duckdb.rules import (
    arguments,
    by_type,
    literal_integer,
    literal_text,
    template,
)
from semantic.compiler.expressions.duckdb.translator import FunctionRule, Translator
from semantic.compiler.expressions.duckdb.value import Value
from semantic.compiler.expressions.duckdb.zones import at_session_zone, at_zone
from semantic.compiler.expressions.fields import find_field
from semantic.compiler.expressions.interval_constants import constant_interval
from semantic.compiler.expressions.moments import IntervalParts
from semantic.compiler.expressions.periods import HOUR, Period, read_period, start_of_period
from semantic.compiler.expressions.signatures.registry import Resolved
from semantic.compiler.expressions.syntax import Call
from semantic.compiler.expressions.types import is_number
from semantic.errors import SemanticError, UnsupportedError
from semantic.model.types import (
    DATE,
    FLOAT8,
    INTERVAL,
    NUMERIC,
    TEXT,
    TIMESTAMP,
    TIMESTAMPTZ,
    PostgresType,
)

_MICROSECOND_FIELDS = {"microseconds": 0, "milliseconds": 3, "second": 6}
_DAY_FIELDS = ("week", "dow", "doy", "isodow", "isoyear", "quarter")


def field(text: str) -> str:
    """A field's full name.

    Raises:
        SemanticError: 22023, there is no such field.
    """
    found = find_field(text)
    if found is None:
        raise SemanticError("22023", f'unit "{text}" not recognized')
    return found


def _extracted(kind: str, name: str, value: exp.Expr) -> tuple[exp.Expr, int]:
    """A field as a whole number of its smallest part, and how many decimals it has."""
    if kind == "interval":
        return _of_interval(name, value)
    if kind == "time" and name not in (*_MICROSECOND_FIELDS, "minute", "hour", "epoch"):
        raise SemanticError("0A000", f'unit "{name}" not supported for type time')
    if name in _MICROSECOND_FIELDS:
        if kind == "date":
            raise SemanticError("0A000", f'unit "{name}" not supported for type date')
        return sql("datepart('microsecond', _1)", value), _MICROSECOND_FIELDS[name]
    if name == "epoch":
        if kind == "date":
            return sql("CAST(epoch_us(_1) // 1000000 AS BIGINT)", value), 0
        return sql("epoch_us(_1)", value), 6
    if name.startswith("timezone"):
        if kind != "timestamptz":
            raise SemanticError("0A000", f'unit "{name}" not supported for type {kind}')
        return sql(f"datepart('{name}', _1)", value), 0
    if name in ("century", "millennium"):
        years = 100 if name == "century" else 1000
        text = f"""CASE WHEN datepart('year', _1) > 0
        THEN (datepart('year', _1) + {years - 1}) // {years}
        ELSE -(({years - 1} - (datepart('year', _1) - 1)) // {years}) END"""
        return exp.Paren(this=sql(text, value)), 0
    if name == "decade":
        return sql("CAST(floor(datepart('year', _1) / 10) AS BIGINT)", value), 0
    if name == "julian":
        if kind != "date":
            raise UnsupportedError("the Julian day of a timestamp is not supported on DuckDB")
        return sql("CAST(datepart('julian', _1) AS BIGINT)", value), 0
    if name in ("year", "isoyear"):
        # There is no year 0: the one before 1 is -1.
        part = f"datepart('{name}', _1) - CAST(datepart('{name}', _1) <= 0 AS INTEGER)"
        return exp.Paren(this=sql(part, value)), 0
    if kind == "date" and name in ("hour", "minute"):
        raise SemanticError("0A000", f'unit "{name}" not supported for type date')
    return sql(f"datepart('{name}', _1)", value), 0


_INTERVAL_EPOCH = """CAST((datepart('year', _1) * 31557600 + datepart('month', _1) * 2592000
+ datepart('day', _1) * 86400 + datepart('hour', _1) * 3600 + datepart('minute', _1) * 60) * 1000000
+ datepart('microsecond', _1) AS BIGINT)"""


def _of_interval(name: str, value: exp.Expr) -> tuple[exp.Expr, int]:
    if name in _MICROSECOND_FIELDS:
        return sql("datepart('microsecond', _1)", value), _MICROSECOND_FIELDS[name]
    if name == "epoch":
        return sql(_INTERVAL_EPOCH, value), 6
    if name == "quarter":
        return sql("datepart('month', _1) // 3 + 1", value), 0
    years = intervals.years(name, value)
    if years is not None:
        return exp.Paren(this=years), 0
    if name not in ("year", "month", "day", "hour", "minute"):
        raise SemanticError("0A000", f'unit "{name}" not supported for type interval')
    return sql(f"datepart('{name}', _1)", value), 0


def _extract(translator: Translator, call: Call, resolved: Resolved) -> Value:
    """extract, which returns numeric, and date_part, which returns double precision."""
    name = field(literal_text(call.arguments[0], "the field"))
    kind = resolved.arguments[1]
    value = translator.typed(call.arguments[1], kind)
    if kind == TIMESTAMPTZ and name != "epoch" and not name.startswith("timezone"):
        # By its local time, since DuckDB forgets the era of a zoned one.
        value = cast(value, "TIMESTAMP")
    part, decimals = _extracted(kind.name, name, value)
    endless = name in ENDLESS_FIELDS and kind.name in ("date", "timestamp", "timestamptz")
    if endless:
        part = field_of_infinite(part, value, as_float=resolved.result == FLOAT8)
    if resolved.result == FLOAT8:
        if decimals:
            return Value(sql(f"CAST(_1 AS DOUBLE) / {10**decimals}", part), FLOAT8)
        return Value(part if endless else cast(part, "DOUBLE"), FLOAT8)
    if not decimals:
        return Value(part, NUMERIC, scale=0)
    unit = "0." + "1".zfill(decimals)
    text = f"CAST(CAST(_1 AS DECIMAL(20, 0)) * {unit} AS DECIMAL(38, {decimals}))"
    return Value(sql(text, part), NUMERIC, scale=decimals)


# How many years, and the year that the first ones start with.
_LONG = {"decade": (10, 0), "century": (100, 1), "millennium": (1000, 1)}
_SHORT = {
    "hour": 3_600_000_000,
    "minute": 60_000_000,
    "second": 1_000_000,
    "milliseconds": 1_000,
    "microseconds": 1,
}


def truncated(name: str, kind: str, value: exp.Expr, *, folds: bool = False) -> exp.Expr:
    """``date_trunc`` to a field.

    ``folds``: the session's time zone has hours that come twice.
    """
    if name in ("dow", "doy", "isodow", "isoyear", "epoch", "julian"):
        raise SemanticError("0A000", f'unit "{name}" not supported for type {kind}')
    if name in _LONG:
        years, start = _LONG[name]
        past = f"((datepart('year', _1) - {start}) % {years} + {years}) % {years}"
        first = f"CAST(datepart('year', _1) - {past} AS BIGINT)"
        text = f"make_timestamp({first}, 1, 1, 0, 0, 0.0)"
        made = sql(text, value)
        return or_itself(
            at_session_zone(made, folds=folds) if kind == "timestamptz" else made, value
        )
    if kind == "timestamptz" and name in _SHORT:
        return _short_start(name, value, cast(value.copy(), "TIMESTAMP"))
    if kind == "timestamptz" and folds:
        local = build_call("date_trunc", string(name), cast(value, "TIMESTAMP"))
        return at_session_zone(local, folds=True)
    return build_call("date_trunc", string(name), value)


def _short_start(name: str, moment: exp.Expr, local: exp.Expr) -> exp.Expr:
    """A moment truncated to an hour or less of the clock that shows ``local``.

    Within the offset that holds at that moment: an hour that comes twice starts twice.
    """
    length = _SHORT[name]
    text = f"_1 - to_microseconds(((epoch_us(_2) % {length}) + {length}) % {length})"
    return or_itself(sql(text, moment, local), moment)


def _date_trunc(translator: Translator, call: Call, resolved: Resolved) -> Value:
    text = literal_text(call.arguments[0], "the field")
    kind = resolved.arguments[1]
    period = read_period(text)
    if period is not None:
        return _period_start(translator, period, call.arguments[1], kind)
    name = field(text)
    value = translator.typed(call.arguments[1], kind)
    if kind.name == "interval":
        return Value(exp.Paren(this=intervals.truncated(name, value)), INTERVAL)
    if len(call.arguments) == 2:
        made = truncated(name, kind.name, value, folds=translator.folds)
        return Value(made, resolved.result)
    zone = string(_zone(call.arguments[2]))
    local = build_call("timezone", zone, value.copy())
    if name in _SHORT:
        return Value(exp.Paren(this=_short_start(name, value, local)), TIMESTAMPTZ)
    return Value(at_zone(truncated(name, "timestamp", local), zone.this), TIMESTAMPTZ)


def _period_start(
    translator: Translator, period: Period, node: exp.Expr, kind: PostgresType
) -> Value:
    """``date_trunc`` to a period of the model."""
    moment = exp.Cast(this=node.copy(), to=exp.DataType.build(kind.name))
    if kind.name != "timestamptz" or not 0 < period.microseconds <= HOUR:
        return translator.value(start_of_period(period, moment, kind))
    # Within the offset that holds at that moment.
    local = exp.Cast(this=moment, to=exp.DataType.build("timestamp"))
    start = start_of_period(period, local, TIMESTAMP)
    items = [translator.value(each).node for each in (moment, local, start)]
    text = "_1 - to_microseconds(epoch_us(_2) - epoch_us(_3))"
    return Value(exp.Paren(this=sql(text, *items)), kind)


_ZONE = re.compile(r"[A-Za-z_]+(/[A-Za-z0-9_+-]+)+\Z|UTC\Z|GMT\Z", re.IGNORECASE)


def _zone(node: exp.Expr) -> str:
    """A zone's name; numbers and abbreviations mean other things in DuckDB."""
    name = literal_text(node, "the time zone")
    if not _ZONE.match(name):
        raise UnsupportedError(
            f'the time zone "{name}" is not supported on DuckDB',
            hint="Use a full name like Europe/Berlin, or UTC.",
        )
    return name


_OFFSET = re.compile(r"(?P<sign>[+-]?)(?P<hours>\d{1,2})(?::?(?P<minutes>\d{2}))?\Z")


def _offset(node: exp.Expr, kind: PostgresType) -> exp.Expr | None:
    """What to add to UTC: an interval, or an offset, which counts west as POSIX has it."""
    if kind == INTERVAL:
        parts = constant_interval(node)
        if parts is None or parts.months or parts.days:
            raise UnsupportedError("a time zone that is no constant interval of hours")
        return literals.interval(IntervalParts(microseconds=parts.microseconds))
    match = _OFFSET.match(literal_text(node, "the time zone"))
    if match is None:
        return None
    minutes = int(match["hours"]) * 60 + int(match["minutes"] or 0)
    sign = 1 if match["sign"] == "-" else -1
    return literals.interval(IntervalParts(microseconds=sign * minutes * 60_000_000))


def _timezone(translator: Translator, call: Call, resolved: Resolved) -> Value:
    value = translator.typed(call.arguments[1], resolved.arguments[1])
    offset = _offset(call.arguments[0], resolved.arguments[0])
    if offset is not None:
        if resolved.result == TIMESTAMPTZ:
            text = "timezone('UTC', CAST(_1 AS TIMESTAMP) - _2)"
        else:
            text = "timezone('UTC', _1) + _2"
        return Value(sql(text, value, offset), resolved.result)
    zone = _zone(call.arguments[0])
    if resolved.result == TIMESTAMPTZ:
        return Value(at_zone(value, zone), TIMESTAMPTZ)
    return Value(build_call("timezone", string(zone), value), resolved.result)


# Counted back from the later moment, field by field, as PostgreSQL's timestamp_age() does.
_AGE = """
list_transform([{'a': CASE WHEN _1 >= _2 THEN _1 WHEN _1 < _2 THEN _2 END,
    'b': CASE WHEN _1 >= _2 THEN _2 WHEN _1 < _2 THEN _1 END,
    's': CASE WHEN NOT isfinite(_1) AND _2 IS NOT NULL OR NOT isfinite(_2) AND _1 IS NOT NULL
      THEN CAST(concat('0A000: the age of an infinite moment is not supported: ', _1) AS INTEGER)
      WHEN _1 < _2 THEN -1 ELSE 1 END}],
  lambda x: list_transform([{
    'u': (epoch_us(x.a) - epoch_us(date_trunc('day', x.a)))
         - (epoch_us(x.b) - epoch_us(date_trunc('day', x.b))),
    'd': datepart('day', x.a) - datepart('day', x.b),
    'm': (datepart('year', x.a) - datepart('year', x.b)) * 12
         + datepart('month', x.a) - datepart('month', x.b),
    'l': datepart('day', last_day(x.b)),
    's': x.s
  }], lambda y: list_transform([{
    'u': CASE WHEN y.u < 0 THEN y.u + 86400000000 ELSE y.u END,
    'd': CASE WHEN y.u < 0 THEN y.d - 1 ELSE y.d END,
    'm': y.m, 'l': y.l, 's': y.s
  }], lambda z: CASE WHEN z.u IS NULL THEN NULL ELSE
    to_months(CAST((CASE WHEN z.d < 0 THEN z.m - 1 ELSE z.m END) * z.s AS INTEGER))
    + to_days(CAST((CASE WHEN z.d < 0 THEN z.d + z.l ELSE z.d END) * z.s AS INTEGER))
    + to_microseconds(z.u * z.s) END)[1])[1])[1]
"""


def _age(translator: Translator, call: Call, resolved: Resolved) -> Value:
    kind = resolved.arguments[0]
    items = arguments(translator, call, resolved)
    if len(items) == 1:
        today = cast(cast(build_call("now"), "DATE"), "TIMESTAMP")
        items.insert(0, today)
    if kind.name == "timestamptz":
        items = [cast(item, "TIMESTAMP") for item in items]
    return Value(sql(_AGE, *items), resolved.result)


def _date_bin(translator: Translator, call: Call, resolved: Resolved) -> Value:
    stride = constant_interval(call.arguments[0])
    if stride is None or stride.months or stride.days * 86_400_000_000 + stride.microseconds <= 0:
        raise UnsupportedError("date_bin needs a constant positive interval without months")
    size = stride.days * 86_400_000_000 + stride.microseconds
    items = [translator.typed(node, resolved.result) for node in call.arguments[1:]]
    # Division of whole numbers cuts toward zero.
    text = f"""list_transform([{{'d': CASE WHEN isfinite(_2)
      THEN epoch_us(_1) - epoch_us(_2) WHEN isfinite(_1)
      THEN CAST(concat('22008: origin out of range: ', _2) AS BIGINT) END, 'o': _2}}], lambda x:
    x.o + to_microseconds(x.d - ((x.d % {size}) + {size}) % {size}))[1]"""
    return Value(or_itself(sql(text, *items), items[0]), resolved.result)


def _to_char(translator: Translator, call: Call, resolved: Resolved) -> Value:
    kind = resolved.arguments[0]
    pattern = literal_text(call.arguments[1], "the pattern of to_char")
    if is_number(kind):
        return Value(number_text(translator, call.arguments[0], kind, pattern), TEXT)
    if translator.types.of(call.arguments[0]) == DATE and formats.is_of_days(pattern):
        kind = TIMESTAMP
    value = translator.typed(call.arguments[0], kind)
    if kind.name == "interval":
        return Value(formats.interval_to_char(value, pattern), TEXT)
    return Value(formats.to_char(value, pattern, zoned=kind == TIMESTAMPTZ), TEXT)


def _parsed(translator: Translator, call: Call, resolved: Resolved) -> Value:
    """to_date and to_timestamp of a text."""
    if resolved.arguments[0] == FLOAT8:
        value = translator.typed(call.arguments[0], FLOAT8)
        text = "make_timestamptz(CAST(round_even(_1 * 1000000, 0) AS BIGINT))"
        return Value(sql(text, value), TIMESTAMPTZ)
    pattern = formats.strptime(literal_text(call.arguments[1], "the pattern"))
    value = translator.typed(call.arguments[0], TEXT)
    node = build_call("strptime", value, string(pattern))
    target = "DATE" if resolved.result.name == "date" else "TIMESTAMPTZ"
    return Value(cast(node, target), resolved.result)


_YEAR_OR_NONE = """CASE WHEN _1 = 0 THEN
  CAST(fails('22008: date field value out of range: 0') AS INTEGER)
  WHEN _1 < 0 THEN _1 + 1 ELSE _1 END"""


def _made_moment(text: str) -> FunctionRule:
    """Of a year and the rest; years before the first are counted from 1 back, not from 0."""

    def translate(translator: Translator, call: Call, resolved: Resolved) -> Value:
        items = arguments(translator, call, resolved)
        if (literal_integer(call.arguments[0]) or 0) <= 0:
            items[0] = sql(_YEAR_OR_NONE, items[0])
        return Value(sql(text, *items), resolved.result)

    return translate


def _make_timestamptz(translator: Translator, call: Call, resolved: Resolved) -> Value:
    items = arguments(translator, call, resolved)
    if (literal_integer(call.arguments[0]) or 0) <= 0:
        items[0] = sql(_YEAR_OR_NONE, items[0])
    local = sql("make_timestamp(_1, _2, _3, _4, _5, _6)", *items[:6])
    if len(items) == 7:
        return Value(at_zone(local, _zone(call.arguments[6])), TIMESTAMPTZ)
    return Value(at_session_zone(local, folds=translator.folds), TIMESTAMPTZ)


DATES: dict[str, FunctionRule] = {
    "age": _age,
    "clock_timestamp": template("get_current_timestamp()"),
    "current_date": template("CAST(now() AS DATE)"),
    "date": template("CAST(_1 AS DATE)"),
    "date_bin": _date_bin,
    "date_part": _extract,
    "date_trunc": _date_trunc,
    "extract": _extract,
    "isfinite": by_type(
        {
            "interval": template("CASE WHEN _1 IS NOT NULL THEN TRUE END"),
            "any": template("isfinite(_1)"),
        }
    ),
    "localtimestamp": template("CAST(now() AS TIMESTAMP)"),
    "make_date": _made_moment("make_date(_1, _2, _3)"),
    "make_time": template("make_time(_1, _2, _3)"),
    "make_timestamp": _made_moment("make_timestamp(_1, _2, _3, _4, _5, _6)"),
    "make_timestamptz": _make_timestamptz,
    "now": template("now()"),
    "statement_timestamp": template("now()"),
    "timezone": _timezone,
    "to_char": _to_char,
    "to_date": _parsed,
    "to_timestamp": _parsed,
}
