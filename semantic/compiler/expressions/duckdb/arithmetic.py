"""Operators: arithmetic of numbers, dates and intervals, concatenation, bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sqlglot import exp

from semantic.compiler.expressions import operators
from semantic.compiler.expressions.duckdb import casts, intervals, literals, numeric
from semantic.compiler.expressions.duckdb.build import atom, call, cast, number, sql
from semantic.compiler.expressions.duckdb.floats import float_operation, not_zero
from semantic.compiler.expressions.duckdb.spelling import MAX_PRECISION, duckdb_type
from semantic.compiler.expressions.duckdb.translator import Translator
from semantic.compiler.expressions.duckdb.value import Value
from semantic.compiler.expressions.duckdb.zones import at_session_zone
from semantic.compiler.expressions.interval_constants import constant_interval
from semantic.compiler.expressions.moments import IntervalParts
from semantic.compiler.expressions.places import position
from semantic.compiler.expressions.types import (
    FLOATS,
    INTEGERS,
    NUMBERS,
    QUOTIENT,
    numeric_scale,
)
from semantic.errors import UnsupportedError
from semantic.model.types import (
    FLOAT8,
    INTERVAL,
    NUMERIC,
    TEXT,
    PostgresType,
)


def operation(translator: Translator, node: exp.Expr) -> Value:
    """A binary operator."""
    left, right = translator.types.of(node.this), translator.types.of(node.expression)
    found = operators.binary(type(node), left, right, node)
    result = found.result
    if result.name in INTEGERS and found.left.name in INTEGERS:
        return _integers(translator, node, found)
    if result.name in FLOATS and found.left.name in FLOATS:
        return float_operation(translator, node, found)
    if result.name == "numeric":
        return _numerics(translator, node)
    if isinstance(node, exp.DPipe):
        return _concatenation(translator, node, found)
    return _moments(translator, node, found)


def _integers(translator: Translator, node: exp.Expr, found: operators.Operator) -> Value:
    left = atom(translator.typed(node.this, found.left))
    right = atom(translator.typed(node.expression, found.right))
    if isinstance(node, exp.BitwiseXor):
        return Value(call("xor", left, right), found.result)
    if isinstance(node, exp.BitwiseLeftShift | exp.BitwiseRightShift):
        raise UnsupportedError("shifts are not supported on DuckDB")
    kind = exp.IntDiv if isinstance(node, exp.Div) else type(node)
    if isinstance(node, exp.Mod):
        right = not_zero(right, duckdb_type(found.right))
    # A literal may be narrower in DuckDB than its PostgreSQL type, a column never is.
    made = kind(this=left, expression=right)
    if any(isinstance(side, exp.Literal) for side in (left, right)) and found.result.name == "int8":
        made = kind(this=cast(left, "BIGINT"), expression=right)
    return Value(made, found.result)


def _numerics(translator: Translator, node: exp.Expr) -> Value:
    left = translator.coerced(node.this, NUMERIC)
    right = translator.coerced(node.expression, NUMERIC)
    if isinstance(node, exp.Div):
        return numeric.quotient(left, right, few=_is_of_groups(node))
    dynamic = left.dynamic or right.dynamic
    one, two = atom(left.node), atom(right.node)
    scales = (numeric.known_scale(left), numeric.known_scale(right))
    known = scales[0] is not None and scales[1] is not None
    by_digits = known and left.text is None and right.text is None
    if dynamic and (isinstance(node, exp.Mod) or not by_digits):
        return numeric.by_text(type(node), left, right)
    if isinstance(node, exp.Mod):
        return _remainder(left, right)
    scale = (scales[0] or 0, scales[1] or 0)
    if isinstance(node, exp.Mul):
        one = _wide_enough(one, left, right)
        result = sum(scale) if known else None
    else:
        result = max(scale) if known else None
    made = type(node)(this=one, expression=two)
    if not dynamic:
        return Value(made, NUMERIC, scale=result)
    template = "_1 + _2" if isinstance(node, exp.Mul) else "greatest(_1, _2)"
    digits = sql(template, numeric.digits_of(left), numeric.digits_of(right))
    return Value(made, QUOTIENT, scale=result, digits=digits)


def _is_of_groups(node: exp.Expr) -> bool:
    """Whether an expression has aggregates in it, other than over windows and in subqueries."""
    if isinstance(node, exp.Window | exp.Query):
        return False
    if isinstance(node, exp.AggFunc) and not isinstance(node, exp.Grouping):
        return True
    return any(map(_is_of_groups, node.iter_expressions()))


def _remainder(left: Value, right: Value) -> Value:
    """Of two decimals of one type; DuckDB would make doubles of others."""
    sides = numeric.alike([left, right])
    if sides is None:
        raise UnsupportedError("% of numbers whose scale is not known is not supported on DuckDB")
    scale = numeric.known_scale(sides[0])
    if scale is None or numeric.known_scale(sides[1]) is None:
        # A decimal of any scale and an integer make a decimal of that scale.
        divisor = not_zero(sides[1].node, "HUGEINT" if sides[1].whole else numeric.QUOTIENT_TYPE)
        return Value(exp.Mod(this=atom(sides[0].node), expression=divisor), NUMERIC)
    kind = "HUGEINT" if scale == 0 else f"DECIMAL({MAX_PRECISION}, {scale})"
    one, two = (cast(side.node, kind) for side in sides)
    return Value(exp.Mod(this=one, expression=not_zero(two, kind)), NUMERIC, scale=scale)


def _wide_enough(node: exp.Expr, left: Value, right: Value) -> exp.Expr:
    """DuckDB multiplies two short decimals into one no longer than itself; make room."""
    one, two = _size(left), _size(right)
    if one is None or two is None:
        return node
    precision, scale = one
    if scale + two[1] > MAX_PRECISION:
        raise UnsupportedError("the product has more digits than DuckDB can hold")
    wide = min(MAX_PRECISION, precision + two[0])
    return node if wide == precision else cast(node, f"DECIMAL({wide}, {scale})")


def _size(value: Value) -> tuple[int, int] | None:
    size = numeric_scale(value.type)
    if size is None and value.scale is not None:
        return MAX_PRECISION, value.scale
    return size


def negative(translator: Translator, node: exp.Expr) -> Value:
    """A minus sign."""
    kind = translator.types.of(node)
    value = translator.coerced(node.this, kind)
    inner = value.node
    if isinstance(inner, exp.Neg):
        inner = exp.Paren(this=inner)
    if isinstance(node.this, exp.Literal) and not node.this.is_string:
        return literals.number_literal(f"-{node.this.this}")
    made = exp.Paren(this=exp.Neg(this=atom(inner)))
    return numeric.negated(value) or replace(value, node=made)


def _concatenation(translator: Translator, node: exp.Expr, found: operators.Operator) -> Value:
    if found.result.is_array:
        return _array_concatenation(translator, node, found)
    sides = []
    for side in (node.this, node.expression):
        value = translator.value(side)
        if value.type.name == "unknown":
            sides.append(atom(translator.typed(side, TEXT)))
        else:
            sides.append(atom(casts.text(value)))
    return Value(exp.DPipe(this=sides[0], expression=sides[1]), TEXT)


def _array_concatenation(
    translator: Translator, node: exp.Expr, found: operators.Operator
) -> Value:
    left, right = translator.value(node.this), translator.value(node.expression)
    if left.raw is not None:
        left = casts.convert(left, right.type, folds=translator.folds)
    if right.raw is not None:
        right = casts.convert(right, left.type, folds=translator.folds)
    if left.text is not None or right.text is not None or left.type.element.name == "numeric":
        raise UnsupportedError("|| of arrays of such numbers is not supported on DuckDB")
    if left.type.is_array and right.type.is_array:
        template = """CASE WHEN _1 IS NULL THEN _2 WHEN _2 IS NULL THEN _1
        ELSE list_concat(_1, _2) END"""
        return Value(sql(template, left.node, right.node), found.result)
    if left.type.is_array and left.type.element.name == right.type.name:
        return Value(call("list_append", left.node, right.node), found.result)
    if right.type.is_array and right.type.element.name == left.type.name:
        return Value(call("list_prepend", left.node, right.node), found.result)
    raise UnsupportedError("|| of an array and a value of another type is not supported")


# A difference is given in whole days of 24 hours and a rest, never in months.
_DIFFERENCE = """list_transform([
  CASE WHEN isfinite(_1) AND isfinite(_2) THEN epoch_us(_1) - epoch_us(_2)
  WHEN _1 IS NOT NULL AND _2 IS NOT NULL
  THEN CAST(concat('22008: cannot subtract infinite timestamps: ', _1) AS BIGINT) END], lambda u:
  to_days(CAST(u // 86400000000 AS INTEGER)) + to_microseconds(u % 86400000000))[1]"""
_DAYS_BETWEEN = """CASE WHEN isfinite(_1) AND isfinite(_2) THEN CAST(_1 - _2 AS INTEGER)
  WHEN _1 IS NOT NULL AND _2 IS NOT NULL
  THEN CAST(concat('22008: cannot subtract infinite dates: ', _1) AS INTEGER) END"""
# Templates by sign, left and right type.
_MOMENTS = {
    ("Add", "date", "int4"): "_1 + CAST(_2 AS INTEGER)",
    ("Add", "int4", "date"): "_2 + CAST(_1 AS INTEGER)",
    ("Sub", "date", "int4"): "_1 - CAST(_2 AS INTEGER)",
    ("Sub", "date", "date"): _DAYS_BETWEEN,
    ("Add", "date", "interval"): "CAST(_1 AS TIMESTAMP) + _2",
    ("Add", "interval", "date"): "CAST(_2 AS TIMESTAMP) + _1",
    ("Sub", "date", "interval"): "CAST(_1 AS TIMESTAMP) + (- _2)",
    ("Add", "date", "time"): "_1 + _2",
    ("Add", "time", "date"): "_2 + _1",
    ("Add", "timestamp", "interval"): "_1 + _2",
    ("Add", "interval", "timestamp"): "_2 + _1",
    ("Sub", "timestamp", "interval"): "_1 + (- _2)",
    ("Sub", "timestamp", "timestamp"): _DIFFERENCE,
    ("Sub", "timestamptz", "timestamptz"): _DIFFERENCE,
    ("Add", "time", "interval"): "_1 + _2",
    ("Add", "interval", "time"): "_2 + _1",
    ("Sub", "time", "interval"): "_1 - _2",
    ("Sub", "time", "time"): "to_microseconds(epoch_us(_1) - epoch_us(_2))",
    ("Add", "interval", "interval"): "_1 + _2",
    ("Sub", "interval", "interval"): "_1 - _2",
}


def _moments(translator: Translator, node: exp.Expr, found: operators.Operator) -> Value:
    left = translator.coerced(node.this, found.left)
    right = translator.coerced(node.expression, found.right)
    if isinstance(node, exp.Mul | exp.Div):
        return _scaled_interval(translator, node, found)
    if found.result.name == "timestamptz":
        return _zoned_shift(translator, node, found)
    template = _MOMENTS.get((type(node).__name__, found.left.name, found.right.name))
    if template is None:
        raise UnsupportedError("this operator is not supported on DuckDB", position=position(node))
    return Value(sql(template, left.node, right.node), found.result)


# Months and then days are put on the local clock, hours on the point in time that results.
_MONTHS = "to_months(CAST(datepart('year', _1) * 12 + datepart('month', _1) AS INTEGER))"
_DAYS = "to_days(CAST(datepart('day', _1) AS INTEGER))"
# The parts of a NULL that is constant are doubles in DuckDB.
_REST = """to_microseconds(CAST(datepart('hour', _1) * 3600000000
  + datepart('minute', _1) * 60000000 + datepart('microsecond', _1) AS BIGINT))"""


def _zoned_shift(translator: Translator, node: exp.Expr, found: operators.Operator) -> Value:
    """A timestamp with time zone and an interval."""
    moment, span = node.this, node.expression
    if found.left.name == "interval":
        moment, span = span, moment
    result = translator.typed(moment, found.result)
    parts = constant_interval(span)
    if parts is not None:
        parts = -parts if isinstance(node, exp.Sub) else parts
        local = [
            literals.interval(IntervalParts(months=parts.months)) if parts.months else None,
            literals.interval(IntervalParts(days=parts.days)) if parts.days else None,
        ]
        rest = parts.microseconds
        last = literals.interval(IntervalParts(microseconds=rest)) if rest else None
    else:
        interval_ = translator.typed(span, INTERVAL)
        if isinstance(node, exp.Sub):
            interval_ = exp.Paren(this=exp.Neg(this=atom(interval_)))
        local = [sql(_MONTHS, interval_), sql(_DAYS, interval_.copy())]
        last = sql(_REST, interval_.copy())
    for piece in local:
        if piece is not None:
            clock = exp.Add(this=cast(result, "TIMESTAMP"), expression=piece)
            result = at_session_zone(clock, folds=translator.folds)
    if last is not None:
        result = exp.Add(this=atom(result), expression=last)
    return Value(result, found.result)


def _scaled_interval(translator: Translator, node: exp.Expr, found: operators.Operator) -> Value:
    """An interval times or divided by a number."""
    amount, span = node.expression, node.this
    if found.right.name == "interval":
        amount, span = span, amount
    parts = constant_interval(span)
    counted = translator.value(amount) if translator.types.of(amount).name in NUMBERS else None
    if isinstance(node, exp.Mul) and counted is not None and counted.whole:
        count = cast(counted.node, "BIGINT")
        if parts is not None:
            return Value(_counted(parts, count), INTERVAL)
        return Value(
            exp.Mul(this=atom(translator.typed(span, INTERVAL)), expression=atom(count)), INTERVAL
        )
    if isinstance(node, exp.Mul) and parts is not None and not parts.months and not parts.days:
        factor = translator.typed(amount, PostgresType("float8"))
        return Value(sql(_MICROSECONDS, factor, number(parts.microseconds)), INTERVAL)
    factor = translator.typed(amount, FLOAT8)
    whole = translator.typed(span, INTERVAL)
    if isinstance(node, exp.Mul):
        return Value(intervals.times(whole, factor), INTERVAL)
    return Value(intervals.divided(whole, not_zero(factor, "DOUBLE")), INTERVAL)


# PostgreSQL multiplies by a double, which makes a difference beyond 285 years.
_MICROSECONDS = "to_microseconds(CAST(round_even(CAST(_1 AS DOUBLE) * _2, 0) AS BIGINT))"


def _counted(parts: IntervalParts, count: exp.Expr) -> exp.Expr:
    pieces = [
        sql(template, count.copy(), number(amount))
        for template, amount in (
            ("to_months(CAST(_1 * _2 AS INTEGER))", parts.months),
            ("to_days(CAST(_1 * _2 AS INTEGER))", parts.days),
            (_MICROSECONDS, parts.microseconds),
        )
        if amount
    ]
    if not pieces:
        return literals.interval(parts)
    result = pieces[0]
    for piece in pieces[1:]:
        result = exp.Add(this=result, expression=piece)
    return exp.Paren(this=result) if len(pieces) > 1 else result


def interval(_translator: Translator, node: exp.Expr) -> Value:
    """INTERVAL '...'."""
    parts = constant_interval(node)
    if parts is None:
        raise UnsupportedError("this interval is not supported")
    return Value(literals.interval(parts), INTERVAL)


def inverted(translator: Translator, node: exp.Expr) -> Value:
    """``~`` of an integer."""
    kind = translator.types.of(node)
    return Value(exp.BitwiseNot(this=atom(translator.typed(node.this, kind))), kind)


OPERATORS: dict[type[exp.Expr], Callable[[Translator, exp.Expr], Value]] = {
    **dict.fromkeys(operators.ARITHMETIC, operation),
    exp.Neg: negative,
    exp.BitwiseNot: inverted,
    exp.Interval: interval,
}
