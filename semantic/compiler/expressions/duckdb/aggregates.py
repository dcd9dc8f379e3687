"""Aggregates and window functions.

One aggregate of PostgreSQL may need several of DuckDB's (an average is a sum and a count), each
with the same DISTINCT, FILTER and OVER. So a rule gets a frame that puts these around a call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlglot import exp

from semantic.compiler.expressions.duckdb import intervals, numeric
from semantic.compiler.expressions.duckdb.build import atom, cast, sql, string
from semantic.compiler.expressions.duckdb.build import call as build_call
from semantic.compiler.expressions.duckdb.json_text import json_key, json_text
from semantic.compiler.expressions.duckdb.rules import literal_text
from semantic.compiler.expressions.duckdb.spelling import MAX_PRECISION
from semantic.compiler.expressions.duckdb.spread import deviation, spread
from semantic.compiler.expressions.duckdb.translator import FunctionRule, Translator
from semantic.compiler.expressions.duckdb.value import Value
from semantic.compiler.expressions.inference import ordered_set, plain_arguments
from semantic.compiler.expressions.signatures.registry import Resolved
from semantic.compiler.expressions.syntax import Call, call_of
from semantic.compiler.expressions.types import QUOTIENT
from semantic.errors import UnsupportedError
from semantic.model.types import BOOL, FLOAT8, INT4, INT8, NUMERIC, TEXT, PostgresType


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around an aggregate: FILTER's condition and the parts of OVER."""

    condition: exp.Expr | None = None
    window: exp.Window | None = None

    def around(self, node: exp.Expr) -> exp.Expr:
        """Put FILTER and OVER around a call."""
        if self.condition is not None:
            node = exp.Filter(this=node, expression=exp.Where(this=self.condition.copy()))
        if self.window is not None:
            window = self.window.copy()
            window.set("this", node)
            return window
        return node


Rule = Callable[[Translator, Call, Resolved, Frame], Value]


@dataclass(frozen=True, slots=True)
class _Arguments:
    """An aggregate's arguments, whether they are DISTINCT, and its ORDER BY."""

    values: list[Value]
    distinct: bool
    order: exp.Order | None

    def call(self, function: str, *items: exp.Expr, ordered: bool = False) -> exp.Expr:
        """A call of a DuckDB aggregate with the same DISTINCT and, if it matters, ORDER BY."""
        arguments = list(items)
        first = arguments[0]
        if self.distinct:
            arguments[0] = exp.Distinct(expressions=[first])
        if ordered and self.order is None and self.distinct and _is_sortable(first):
            # PostgreSQL finds what is distinct by sorting, so that it is in order.
            key = exp.Ordered(this=first.copy(), nulls_first=False)
            arguments[-1] = exp.Order(this=arguments[-1], expressions=[key])
        if ordered and self.order is not None:
            keys = [item.copy() for item in self.order.expressions]
            arguments[-1] = exp.Order(this=arguments[-1], expressions=keys)
        return build_call(function, *arguments)


def _is_sortable(node: exp.Expr) -> bool:
    """Whether DuckDB takes an expression as the key of a DISTINCT aggregate: if it can find it."""
    return node.find(exp.Column) is not None and not may_fail(node)


def may_fail(node: exp.Expr) -> bool:
    """Whether a tree raises errors of its own, for which DuckDB takes it as volatile."""
    return any(
        (isinstance(item, exp.Anonymous) and item.name.lower() == "error")
        or (isinstance(item, exp.Var) and "ERROR(" in item.name)
        for item in node.walk()
    )


def _read(translator: Translator, call: Call, resolved: Resolved) -> _Arguments:
    order: exp.Order | None = None
    distinct = False
    for argument in call.arguments:
        if isinstance(argument, exp.Order):
            order = ordering(translator, argument)
            argument = argument.this
        distinct = distinct or isinstance(argument, exp.Distinct)
    nodes = plain_arguments(call)
    values = [
        translator.coerced(node, kind) for node, kind in zip(nodes, resolved.arguments, strict=True)
    ]
    return _Arguments(values, distinct, order)


def ordering(translator: Translator, node: exp.Expr) -> exp.Order:
    """ORDER BY inside an aggregate or a window."""
    keys = []
    for item in node.expressions:
        if not isinstance(item, exp.Ordered):
            raise UnsupportedError("this ORDER BY is not supported")
        keys.append(
            exp.Ordered(
                this=numeric.sort_key(translator.settled(item.this)),
                desc=item.args.get("desc"),
                nulls_first=bool(item.args.get("nulls_first")),
            )
        )
    return exp.Order(expressions=keys)


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
    if any(may_fail(key) for key in _window_keys(window)):
        raise UnsupportedError(
            "a window's key that may fail (a quotient, a cast) is not supported on DuckDB",
            hint="Compute it in a subquery and use its column.",
        )
    if node.args.get("spec") is not None:
        window.set("spec", _frame_clause(translator, node.args["spec"]))
    if node.this is None or isinstance(node.this, exp.Identifier):
        window.set("this", node.this.copy() if node.this is not None else None)
        return Value(window, TEXT)
    inner = node.this
    if isinstance(inner, exp.Filter):
        return _framed(translator, inner.this, Frame(_condition(translator, inner), window))
    return _framed(translator, inner, Frame(None, window))


def _window_keys(window: exp.Window) -> list[exp.Expr]:
    order = window.args.get("order")
    return [*window.args["partition_by"], *(order.expressions if order is not None else [])]


def _frame_clause(translator: Translator, node: exp.Expr) -> exp.Expr:
    def bound(value: object) -> object:
        if isinstance(value, exp.Var):
            return value.copy()
        return translator.value(value).node if isinstance(value, exp.Expr) else value

    return exp.WindowSpec(**{key: bound(value) for key, value in node.args.items()})


def _framed(translator: Translator, node: exp.Expr, frame: Frame) -> Value:
    if isinstance(node, exp.WithinGroup):
        return _ordered_set(translator, node, frame)
    call = call_of(node)
    rule = FRAMED.get(call.name) if call is not None else None
    if call is None or rule is None:
        raise UnsupportedError("this function is not supported with OVER or FILTER on DuckDB")
    return rule(translator, call, translator.types.call(call), frame)


def _count(translator: Translator, call: Call, resolved: Resolved, frame: Frame) -> Value:
    if not plain_arguments(call):
        return Value(frame.around(build_call("count", exp.Star())), INT8)
    read = _read(translator, call, resolved)
    value = read.values[0]
    counted = value.text if value.text is not None else value.node
    if read.distinct:
        counted = numeric.sort_key(value)
    return Value(frame.around(read.call("count", counted)), INT8)


def _sum(translator: Translator, call: Call, resolved: Resolved, frame: Frame) -> Value:
    read = _read(translator, call, resolved)
    value = read.values[0]
    if value.type.name == "interval":
        return Value(_interval_total(value.node, read, frame), resolved.result)
    return _total(value, read, frame, resolved.result)


def _interval_total(node: exp.Expr, read: _Arguments, frame: Frame) -> exp.Expr:
    """Months, days and microseconds added up each."""
    if read.distinct:
        raise UnsupportedError("DISTINCT intervals are not added up on DuckDB")
    totals = [frame.around(read.call("sum", part)) for part in intervals.parts_of(node)]
    return exp.Paren(this=intervals.from_parts(*totals))


def _total(value: Value, read: _Arguments, frame: Frame, result: PostgresType) -> Value:
    """A sum. Of numbers it has as many decimals as the one that has most of them."""
    if value.derived:
        return numeric.big_sum(value, frame.around, distinct=read.distinct)
    node = frame.around(read.call("sum", value.node))
    if result.name == "int8":
        return Value(cast(node, "BIGINT"), INT8)
    if result.name == "float4":
        return Value(cast(node, "FLOAT"), result)
    if not value.dynamic:
        return Value(node, result, scale=numeric.known_scale(value))
    counted = sql(
        "CASE WHEN _1 IS NOT NULL THEN _2 END", value.node.copy(), numeric.digits_of(value)
    )
    digits = frame.around(build_call("max", counted))
    scale = numeric.known_scale(value)
    return Value(node, QUOTIENT, scale=scale, digits=digits)


def _average(translator: Translator, call: Call, resolved: Resolved, frame: Frame) -> Value:
    read = _read(translator, call, resolved)
    value = read.values[0]
    if value.type.name == "interval":
        counted = frame.around(read.call("count", value.node.copy()))
        total_ = _interval_total(value.node, read, frame)
        mean = intervals.divided(total_, cast(counted, "DOUBLE"))
        return Value(sql("CASE WHEN _1 > 0 THEN _2 END", counted.copy(), mean), resolved.result)
    if resolved.result == FLOAT8:
        return Value(frame.around(read.call("avg", value.node)), FLOAT8)
    total = _total(value, read, frame, NUMERIC)
    counted = frame.around(read.call("count", value.node.copy()))
    return numeric.quotient(total, Value(counted, INT8), positive=True)


def _spread(translator: Translator, call: Call, resolved: Resolved, frame: Frame) -> Value:
    """Variance and standard deviation."""
    read = _read(translator, call, resolved)
    value = read.values[0]
    if resolved.result == FLOAT8:
        return Value(frame.around(read.call(call.name, cast(value.node, "DOUBLE"))), FLOAT8)
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
    )
    return deviation(variance) if call.name.startswith("stddev") else variance


def _same(function: str) -> Rule:
    """Min and the like, whose result has the argument's type."""

    def translate(translator: Translator, call: Call, resolved: Resolved, frame: Frame) -> Value:
        read = _read(translator, call, resolved)
        value = read.values[0]
        if value.dynamic:
            return _one_text(function, value, read, frame)
        node = frame.around(read.call(function, value.node))
        return Value(node, resolved.result, scale=value.scale)

    return translate


def _one_text(function: str, value: Value, read: _Arguments, frame: Frame) -> Value:
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
    """Statistics of two variables. DuckDB says NaN where PostgreSQL says NULL."""

    def translate(translator: Translator, call: Call, resolved: Resolved, frame: Frame) -> Value:
        read = _read(translator, call, resolved)
        node = frame.around(read.call(function, *(value.node for value in read.values)))
        return Value(sql("CASE WHEN NOT isnan(_1) THEN _1 END", node), resolved.result)

    return translate


def _regr_count(translator: Translator, call: Call, resolved: Resolved, frame: Frame) -> Value:
    read = _read(translator, call, resolved)
    both = sql("CASE WHEN _2 IS NOT NULL THEN _1 END", *(value.node for value in read.values))
    return Value(frame.around(read.call("count", both)), INT8)


def _string_agg(translator: Translator, call: Call, resolved: Resolved, frame: Frame) -> Value:
    read = _read(translator, call, resolved)
    separator = string(literal_text(plain_arguments(call)[1], "the delimiter of string_agg"))
    if frame.window is not None and read.order is not None:
        raise UnsupportedError("ORDER BY in string_agg with OVER is not supported")
    node = read.call("string_agg", read.values[0].node, separator, ordered=True)
    return Value(frame.around(node), TEXT)


def _array_agg(translator: Translator, call: Call, resolved: Resolved, frame: Frame) -> Value:
    read = _read(translator, call, resolved)
    if read.values[0].type.is_array:
        raise UnsupportedError("array_agg of arrays is not supported on DuckDB")
    value = read.values[0]
    node = read.call("list", value.node, ordered=True)
    if not value.dynamic:
        return Value(frame.around(node), resolved.result)
    if read.distinct:
        raise _unsupported_dynamic("array_agg(DISTINCT ...)")
    texts = read.call("list", numeric.text_of(value), ordered=True)
    return Value(frame.around(node), resolved.result, text=frame.around(texts))


def _unsupported_dynamic(what: str) -> UnsupportedError:
    return UnsupportedError(
        f"{what} of numbers whose decimals differ by row is not supported on DuckDB",
        hint="Round them to a fixed number of decimals, or cast them to double precision.",
    )


def _json_agg(translator: Translator, call: Call, resolved: Resolved, frame: Frame) -> Value:
    """json_agg and jsonb_agg, whose elements may be NULL."""
    read = _read(translator, call, resolved)
    binary = call.name.startswith("jsonb")
    text = json_text(read.values[0], binary=binary)
    if read.distinct:
        raise UnsupportedError(f"{call.name} of DISTINCT values is not supported on DuckDB")
    listed = frame.around(read.call("string_agg", text, string(", "), ordered=True))
    return Value(sql("'[' || _1 || ']'", listed), resolved.result)


def _json_object_agg(translator: Translator, call: Call, resolved: Resolved, frame: Frame) -> Value:
    read = _read(translator, call, resolved)
    if read.distinct:
        raise UnsupportedError(f"{call.name} of DISTINCT values is not supported on DuckDB")
    pair = sql("_1 || ' : ' || _2", json_key(read.values[0]), json_text(read.values[1]))
    listed = frame.around(read.call("string_agg", pair, string(", "), ordered=True))
    return Value(sql("'{ ' || _1 || ' }'", listed), resolved.result)


def within_group(translator: Translator, node: exp.Expr) -> Value:
    """Ordered-set aggregates."""
    return _ordered_set(translator, node, Frame())


_MODE = """list_transform([_1], lambda h:
  list_extract(map_keys(h), list_position(map_values(h), list_max(map_values(h)))))[1]"""


def _ordered_set(translator: Translator, node: exp.Expr, frame: Frame) -> Value:
    if frame.window is not None:
        raise UnsupportedError("OVER is not supported for ordered-set aggregates")
    call = ordered_set(node)
    resolved = translator.types.call(call)
    value = translator.coerced(call.arguments[0], resolved.arguments[0])
    key = node.expression.expressions[0]
    descending = bool(key.args.get("desc"))
    if value.dynamic:
        raise _unsupported_dynamic(call.name)
    if call.name == "mode":
        if descending:
            raise UnsupportedError("mode() with a descending order is not supported on DuckDB")
        counts = frame.around(build_call("histogram", value.node))
        return Value(sql(_MODE, counts), resolved.result, scale=value.scale)
    if resolved.result.name == "interval":
        raise UnsupportedError("percentiles of intervals are not supported on DuckDB")
    fraction = _fraction(call.arguments[1])
    if descending:
        ordered = exp.Ordered(this=value.node.copy(), desc=True, nulls_first=False)
        fraction = exp.Order(this=fraction, expressions=[ordered])
    name = "quantile_cont" if call.name == "percentile_cont" else "quantile_disc"
    made = build_call(name, value.node, fraction)
    return Value(frame.around(made), resolved.result, scale=value.scale)


def _fraction(node: exp.Expr) -> exp.Expr:
    while isinstance(node, exp.Paren | exp.Cast):
        node = node.this
    if not isinstance(node, exp.Literal) or not 0 <= float(node.this) <= 1:
        raise UnsupportedError("the fraction of a percentile must be a number from 0 to 1")
    return cast(string(str(node.this)), "DOUBLE")


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
    read = _read(translator, call, resolved)
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
    "any_value": _same("any_value"),
    "array_agg": _array_agg,
    "avg": _average,
    "bit_and": _same("bit_and"),
    "bit_or": _same("bit_or"),
    "bit_xor": _same("bit_xor"),
    "bool_and": _same("bool_and"),
    "bool_or": _same("bool_or"),
    "count": _count,
    "json_agg": _json_agg,
    "json_object_agg": _json_object_agg,
    "jsonb_agg": _json_agg,
    "max": _same("max"),
    "min": _same("min"),
    "regr_count": _regr_count,
    "string_agg": _string_agg,
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
