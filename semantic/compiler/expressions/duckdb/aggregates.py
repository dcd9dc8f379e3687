"""Aggregates and window functions.

One aggregate of PostgreSQL may need several of DuckDB's (an average is a sum and a count), each
with the same DISTINCT, FILTER and OVER. So a rule gets a frame that puts these around a call.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from semantic.compiler.expressions.duckdb import intervals, numeric
from semantic.compiler.expressions.duckdb.build import atom, cast, sql
from semantic.compiler.expressions.duckdb.build import call as build_call
from semantic.compiler.expressions.duckdb.collecting import COLLECTING
from semantic.compiler.expressions.duckdb.float_totals import (
    checked_average,
    checked_pair,
    checked_spread,
    checked_sum,
)
from semantic.compiler.expressions.duckdb.frames import (
    Arguments,
    Frame,
    Rule,
    ordering,
    read_arguments,
)
from semantic.compiler.expressions.duckdb.ordered_sets import ordered_set_value
from semantic.compiler.expressions.duckdb.spelling import MAX_PRECISION
from semantic.compiler.expressions.duckdb.spread import deviation, spread
from semantic.compiler.expressions.duckdb.translator import FunctionRule, Translator
from semantic.compiler.expressions.duckdb.value import Value
from semantic.compiler.expressions.inference import plain_arguments
from semantic.compiler.expressions.signatures.registry import Resolved
from semantic.compiler.expressions.syntax import Call, call_of
from semantic.compiler.expressions.types import QUOTIENT
from semantic.errors import UnsupportedError
from semantic.model.types import BOOL, FLOAT8, INT4, INT8, NUMERIC, TEXT, PostgresType


def plain(rule: Rule) -> FunctionRule:
    """An aggregate without FILTER or OVER."""
    return lambda translator, call, resolved: rule(translator, call, resolved, Frame())


def filtered(translator: Translator, node: exp.Expr) -> Value:
    """FILTER (WHERE ...)."""
    return _framed(translator, node.this, Frame(_condition(translator, node)))


def _condition(translator: Translator, node: exp.Expr) -> exp.Expr:
    return translator.typed(node.expression.this, BOOL)


def windowed(translator: Translator, node: exp.Expr) -> Value:
    """OVER (...), OVER name, or the definition of a window that is named."""
    assert isinstance(node, exp.Window)
    window = exp.Window(
        partition_by=[
            numeric.sort_key(translator.settled(item))
            for item in node.args.get("partition_by") or []
        ],
        alias=node.args["alias"].copy() if node.args.get("alias") else None,
        over=node.args.get("over"),
    )
    order = node.args.get("order")
    if order is not None:
        window.set("order", ordering(translator, order))
    if node.args.get("spec") is not None:
        window.set("spec", _frame_clause(translator, node.args["spec"]))
    if node.this is None or isinstance(node.this, exp.Identifier):
        window.set("this", node.this.copy() if node.this is not None else None)
        return Value(window, TEXT)
    inner = node.this
    if isinstance(inner, exp.Filter):
        return _framed(translator, inner.this, Frame(_condition(translator, inner), window))
    return _framed(translator, inner, Frame(None, window))


def _frame_clause(translator: Translator, node: exp.Expr) -> exp.Expr:
    def bound(value: object) -> object:
        if isinstance(value, exp.Var):
            return value.copy()
        return translator.value(value).node if isinstance(value, exp.Expr) else value

    return exp.WindowSpec(**{key: bound(value) for key, value in node.args.items()})


def _framed(translator: Translator, node: exp.Expr, frame: Frame) -> Value:
    if isinstance(node, exp.WithinGroup):
        return ordered_set_value(translator, node, frame)
    call = call_of(node)
    rule = FRAMED.get(call.name) if call is not None else None
    if call is None or rule is None:
        raise UnsupportedError("this function is not supported with OVER or FILTER on DuckDB")
    return rule(translator, call, translator.types.call(call), frame)


def _count(translator: Translator, call: Call, resolved: Resolved, frame: Frame) -> Value:
    if not plain_arguments(call):
        return Value(frame.around(build_call("count", exp.Star())), INT8)
    read = read_arguments(translator, call, resolved)
    value = read.values[0]
    counted = value.text if value.text is not None else value.node
    if read.distinct:
        counted = numeric.sort_key(value)
    return Value(frame.around(read.call("count", counted)), INT8)


def _sum(translator: Translator, call: Call, resolved: Resolved, frame: Frame) -> Value:
    read = read_arguments(translator, call, resolved)
    value = read.values[0]
    if value.type.name == "interval":
        return Value(_interval_total(value.node, read, frame), resolved.result)
    return _total(value, read, frame, resolved.result)


def _interval_total(node: exp.Expr, read: Arguments, frame: Frame) -> exp.Expr:
    """Months, days and microseconds added up each."""
    if read.distinct:
        raise UnsupportedError("DISTINCT intervals are not added up on DuckDB")
    totals = [frame.around(read.call("sum", part)) for part in intervals.parts_of(node)]
    return exp.Paren(this=intervals.from_parts(*totals))


def _total(value: Value, read: Arguments, frame: Frame, result: PostgresType) -> Value:
    """A sum. Of numbers it has as many decimals as the one that has most of them."""
    if value.derived:
        return numeric.big_sum(value, frame.around, distinct=read.distinct)
    node = frame.around(read.call("sum", value.node))
    if result.name == "int8":
        return Value(cast(node, "BIGINT"), INT8)
    if result.name == "float4":
        # Added in double precision, so that only the cast can fail.
        return Value(cast(node, "FLOAT"), result)
    if result == FLOAT8:
        return Value(checked_sum(node, value.node, frame.around), FLOAT8)
    if not value.dynamic:
        return Value(node, result, scale=numeric.known_scale(value))
    counted = sql(
        "CASE WHEN _1 IS NOT NULL THEN _2 END", value.node.copy(), numeric.digits_of(value)
    )
    digits = frame.around(build_call("max", counted))
    scale = numeric.known_scale(value)
    return Value(node, QUOTIENT, scale=scale, digits=digits)


def _average(translator: Translator, call: Call, resolved: Resolved, frame: Frame) -> Value:
    read = read_arguments(translator, call, resolved)
    value = read.values[0]
    if value.type.name == "interval":
        counted = frame.around(read.call("count", value.node.copy()))
        total_ = _interval_total(value.node, read, frame)
        mean = intervals.divided(total_, cast(counted, "DOUBLE"))
        return Value(sql("CASE WHEN _1 > 0 THEN _2 END", counted.copy(), mean), resolved.result)
    if resolved.result == FLOAT8:
        mean = frame.around(read.call("avg", value.node))
        return Value(checked_average(mean, value.node, frame.around), FLOAT8)
    total = _total(value, read, frame, NUMERIC)
    counted = frame.around(read.call("count", value.node.copy()))
    return numeric.quotient(total, Value(counted, INT8), positive=True, few=frame.window is None)


def _spread(translator: Translator, call: Call, resolved: Resolved, frame: Frame) -> Value:
    """Variance and standard deviation."""
    read = read_arguments(translator, call, resolved)
    value = read.values[0]
    if resolved.result == FLOAT8:
        found = frame.around(read.call(call.name, cast(value.node, "DOUBLE")))
        return Value(checked_spread(found, value.node, frame.around), FLOAT8)
    if value.dynamic:
        raise UnsupportedError(
            f"{call.name} of numbers whose decimals differ by row is not supported on DuckDB",
            hint="Cast the argument to double precision if an approximate result will do.",
        )
    node = value.node
    if value.whole:
        node = cast(node, "HUGEINT")
    scale = numeric.known_scale(value)
    if scale is None:
        raise UnsupportedError(
            f"{call.name} of numbers whose scale is not known is not supported on DuckDB",
            hint="Cast the argument to double precision if an approximate result will do.",
        )
    if scale:
        node = cast(node, f"DECIMAL({MAX_PRECISION}, {scale})")
    square = exp.Mul(this=atom(node), expression=atom(node.copy()))
    variance = spread(
        frame.around(read.call("count", node.copy())),
        frame.around(read.call("sum", node.copy())),
        frame.around(read.call("sum", square)),
        scale=scale or 0,
        sample=call.name.endswith("samp"),
        few=frame.window is None,
    )
    return deviation(variance) if call.name.startswith("stddev") else variance


def _same(function: str) -> Rule:
    """Min and the like, whose result has the argument's type."""

    def translate(translator: Translator, call: Call, resolved: Resolved, frame: Frame) -> Value:
        read = read_arguments(translator, call, resolved)
        value = read.values[0]
        if value.dynamic:
            return _one_text(function, value, read, frame)
        node = frame.around(read.call(function, value.node))
        return Value(node, resolved.result, scale=value.scale)

    return translate


def _one_text(function: str, value: Value, read: Arguments, frame: Frame) -> Value:
    """One of numbers whose decimals differ by row, by its text."""
    text = numeric.text_of(value)
    if function == "any_value":
        return numeric.from_text(frame.around(read.call(function, text)))
    found = frame.around(build_call(f"arg_{function}", text, numeric.sort_key(value).copy()))
    if value.text is not None:
        return numeric.from_text(found)
    node = frame.around(read.call(function, value.node))
    return Value(node, QUOTIENT, scale=value.scale, text=found)


def _pair(function: str) -> Rule:
    """Statistics of two variables."""

    def translate(translator: Translator, call: Call, resolved: Resolved, frame: Frame) -> Value:
        read = read_arguments(translator, call, resolved)
        first, second = (value.node for value in read.values)
        node = frame.around(read.call(function, first, second))
        return Value(checked_pair(node, first, second, frame.around), resolved.result)

    return translate


def _regr_count(translator: Translator, call: Call, resolved: Resolved, frame: Frame) -> Value:
    read = read_arguments(translator, call, resolved)
    both = sql("CASE WHEN _2 IS NOT NULL THEN _1 END", *(value.node for value in read.values))
    return Value(frame.around(read.call("count", both)), INT8)


def within_group(translator: Translator, node: exp.Expr) -> Value:
    """Ordered-set aggregates."""
    return ordered_set_value(translator, node, Frame())


def _numbered(text: str) -> Rule:
    """Window functions that take no value of the row."""

    def translate(translator: Translator, call: Call, resolved: Resolved, frame: Frame) -> Value:
        _needs_window(call, frame)
        items = [
            translator.typed(node, kind)
            for node, kind in zip(call.arguments, resolved.arguments, strict=True)
        ]
        node = frame.around(build_call(call.name, *items))
        return Value(sql(text, node), resolved.result)

    return translate


def _needs_window(call: Call, frame: Frame) -> None:
    if frame.window is None:
        raise UnsupportedError(f"window function {call.name} requires an OVER clause")


def _picked(translator: Translator, call: Call, resolved: Resolved, frame: Frame) -> Value:
    """lag, lead, first_value, last_value, nth_value."""
    _needs_window(call, frame)
    read = read_arguments(translator, call, resolved)
    value = read.values[0]
    items = [item.node for item in read.values]
    if len(items) > 1:
        items[1] = cast(items[1], "BIGINT")
    if value.type.name == "numeric":
        numbers = [
            each for each in (value, *read.values[2:]) if not isinstance(each.node, exp.Null)
        ]
        scales = {numeric.fixed_scale(each) for each in numbers}
        if value.dynamic or (len(numbers) > 1 and (None in scales or len(scales) > 1)):
            items[0] = numeric.text_of(value)
            if len(items) > 2 and len(numbers) > 1:
                items[2] = numeric.text_of(read.values[2])
            return numeric.from_text(frame.around(build_call(call.name, *items)))
    node = frame.around(build_call(call.name, *items))
    return Value(node, resolved.result, scale=value.scale)


def grouping(translator: Translator, node: exp.Expr) -> Value:
    """GROUPING of grouping keys."""
    keys = [translator.settled(item).node for item in node.expressions]
    return Value(cast(exp.Grouping(expressions=keys), "INTEGER"), INT4)


_PAIRS = (
    "corr", "covar_pop", "covar_samp", "regr_avgx", "regr_avgy", "regr_intercept", "regr_r2",
    "regr_slope", "regr_sxx", "regr_sxy", "regr_syy",
)  # fmt: skip
FRAMED: dict[str, Rule] = {
    **COLLECTING,
    "any_value": _same("any_value"),
    "avg": _average,
    "bit_and": _same("bit_and"),
    "bit_or": _same("bit_or"),
    "bit_xor": _same("bit_xor"),
    "bool_and": _same("bool_and"),
    "bool_or": _same("bool_or"),
    "count": _count,
    "max": _same("max"),
    "min": _same("min"),
    "regr_count": _regr_count,
    "sum": _sum,
    **dict.fromkeys(("stddev_pop", "stddev_samp", "var_pop", "var_samp"), _spread),
    **{name: _pair(name) for name in _PAIRS},
    **dict.fromkeys(("row_number", "rank", "dense_rank"), _numbered("_1")),
    **dict.fromkeys(("percent_rank", "cume_dist"), _numbered("_1")),
    "ntile": _numbered("CAST(_1 AS INTEGER)"),
    **dict.fromkeys(("lag", "lead", "first_value", "last_value", "nth_value"), _picked),
}


AGGREGATES: dict[str, FunctionRule] = {name: plain(rule) for name, rule in FRAMED.items()}
AGGREGATE_NODES: dict[type[exp.Expr], Callable[[Translator, exp.Expr], Value]] = {
    exp.Filter: filtered,
    exp.Window: windowed,
    exp.WithinGroup: within_group,
    exp.Grouping: grouping,
}
