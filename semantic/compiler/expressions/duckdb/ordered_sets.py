"""Ordered-set aggregates: percentiles and the mode, with PostgreSQL's arithmetic."""

from __future__ import annotations

from sqlglot import exp

from semantic.compiler.expressions.duckdb.build import call as build_call
from semantic.compiler.expressions.duckdb.build import cast, sql, string
from semantic.compiler.expressions.duckdb.frames import Frame, unsupported_dynamic
from semantic.compiler.expressions.duckdb.translator import Translator
from semantic.compiler.expressions.duckdb.value import Value
from semantic.compiler.expressions.inference import ordered_set
from semantic.errors import UnsupportedError

# The most frequent value, the first in order of those that are equally so.
_DIGITS_KEPT = (exp.DataType.Type.DOUBLE, exp.DataType.Type.DECIMAL)
_MODE = """list_transform([_1], lambda h:
  list_extract({keys}, list_position({values}, list_max(map_values(h)))))[1]"""
# All values in order, how many are not missing, and the place in them that the fraction means.
_CONTINUOUS = """list_transform([{'l': _1, 'n': _2, 'r': _3 * (_2 - 1)}], lambda x: CASE
  WHEN x.n = 0 THEN NULL
  WHEN floor(x.r) = ceil(x.r) THEN list_extract(x.l, CAST(x.r AS BIGINT) + 1)
  ELSE list_extract(x.l, CAST(floor(x.r) AS BIGINT) + 1) + (x.r - floor(x.r))
    * (list_extract(x.l, CAST(ceil(x.r) AS BIGINT) + 1)
      - list_extract(x.l, CAST(floor(x.r) AS BIGINT) + 1)) END)[1]"""
_DISCRETE = """list_transform([{'l': _1, 'n': _2, 'r': CAST(ceil(_3 * _2) AS BIGINT)}],
  lambda x: CASE WHEN x.n > 0
  THEN list_extract(x.l, CASE WHEN x.r < 1 THEN 1 ELSE x.r END) END)[1]"""
# Of an odd number of values both are the same.
_MIDDLE = "CASE WHEN _1 = _2 THEN _1 ELSE _1 + 0.5e0 * (_2 - _1) END"


def ordered_set_value(translator: Translator, node: exp.Expr, frame: Frame) -> Value:
    """``f(...) WITHIN GROUP (ORDER BY value)``."""
    if frame.window is not None:
        raise UnsupportedError("OVER is not supported for ordered-set aggregates")
    call = ordered_set(node)
    resolved = translator.types.call(call)
    value = translator.coerced(call.arguments[0], resolved.arguments[0])
    descending = bool(node.expression.expressions[0].args.get("desc"))
    if value.dynamic:
        raise unsupported_dynamic(call.name)
    if call.name == "mode":
        counts = frame.around(build_call("histogram", value.node))
        keys, values = "map_keys(h)", "map_values(h)"
        if descending:
            keys, values = f"list_reverse({keys})", f"list_reverse({values})"
        text = _MODE.format(keys=keys, values=values)
        return Value(sql(text, counts), resolved.result, scale=value.scale)
    if resolved.arguments[0].name == "interval" and call.name == "percentile_cont":
        raise UnsupportedError("percentiles of intervals are not supported on DuckDB")
    continuous = call.name == "percentile_cont"
    fraction = call.arguments[1]
    if resolved.result.is_array:
        found = [
            _percentile(value, item, frame, descending=descending, continuous=continuous)
            for item in _fractions(fraction)
        ]
        counted = frame.around(build_call("count", value.node.copy()))
        listed = build_call("list_value", *found)
        made = sql("CASE WHEN _1 > 0 THEN _2 END", counted, listed)
        return Value(made, resolved.result)
    made = _percentile(
        value, _fraction(fraction), frame, descending=descending, continuous=continuous
    )
    return Value(made, resolved.result, scale=value.scale)


def _percentile(
    value: Value, fraction: str, frame: Frame, *, descending: bool, continuous: bool
) -> exp.Expr:
    if float(fraction) == 0.5:
        low = frame.around(_quantile(value.node.copy(), descending=descending))
        if not continuous:
            return low
        high = frame.around(_quantile(value.node.copy(), descending=not descending))
        return sql(_MIDDLE, low, high)
    key = exp.Ordered(this=value.node.copy(), desc=descending, nulls_first=False)
    items = build_call("list", exp.Order(this=value.node.copy(), expressions=[key]))
    counted = build_call("count", value.node.copy())
    place = cast(string(fraction), "DOUBLE")
    text = _CONTINUOUS if continuous else _DISCRETE
    return sql(text, frame.around(items), frame.around(counted), place)


def _quantile(node: exp.Expr, *, descending: bool) -> exp.Expr:
    """The value in the middle, or the one before the middle."""
    fraction = cast(string("0.5"), "DOUBLE")
    if descending:
        key = exp.Ordered(this=node.copy(), desc=True, nulls_first=False)
        fraction = exp.Order(this=fraction, expressions=[key])
    return build_call("quantile_disc", node, fraction)


def _uncast(node: exp.Expr) -> exp.Expr:
    """A constant without parentheses and casts that change none of its digits."""
    while isinstance(node, exp.Paren) or (isinstance(node, exp.Cast) and _keeps_digits(node.to)):
        node = node.this
    return node


def _keeps_digits(kind: exp.DataType) -> bool:
    if kind.this is exp.DataType.Type.ARRAY:
        return all(_keeps_digits(each) for each in kind.expressions)
    return kind.this in _DIGITS_KEPT and not kind.expressions


def _fractions(node: exp.Expr) -> list[str]:
    node = _uncast(node)
    if not isinstance(node, exp.Array):
        raise UnsupportedError("the fractions of a percentile must be written as ARRAY[...]")
    return [_fraction(item) for item in node.expressions]


def _fraction(node: exp.Expr) -> str:
    node = _uncast(node)
    if not isinstance(node, exp.Literal) or not 0 <= float(node.this) <= 1:
        raise UnsupportedError("the fraction of a percentile must be a number from 0 to 1")
    return str(node.this)
