"""Mathematical functions."""

from __future__ import annotations

from sqlglot import exp

from semantic.compiler.expressions.duckdb import numeric
from semantic.compiler.expressions.duckdb.arithmetic import operation
from semantic.compiler.expressions.duckdb.build import call as build_call
from semantic.compiler.expressions.duckdb.build import cast, number, sql
from semantic.compiler.expressions.duckdb.rules import (
    arguments,
    by_type,
    literal_integer,
    template,
)
from semantic.compiler.expressions.duckdb.spelling import MAX_PRECISION
from semantic.compiler.expressions.duckdb.translator import FunctionRule, Translator
from semantic.compiler.expressions.duckdb.value import Value
from semantic.compiler.expressions.signatures.registry import Resolved
from semantic.compiler.expressions.syntax import Call
from semantic.errors import UnsupportedError
from semantic.model.types import INT4, NUMERIC


def _same_type(function: str) -> FunctionRule:
    """Abs and the like, which give back the type they are given."""

    def translate(translator: Translator, call: Call, resolved: Resolved) -> Value:
        value = translator.coerced(call.arguments[0], resolved.arguments[0])
        if value.text is not None:
            return numeric.from_text(
                build_call("ltrim", value.text.copy(), exp.Literal.string("-"))
            )
        node = build_call(function, value.node)
        return Value(node, resolved.result, scale=value.scale, digits=value.digits)

    return translate


# Floor and ceiling of the text of a number.
_WHOLES = {
    name: f"""list_transform([_1], lambda t: CAST(split_part(t, '.', 1) AS HUGEINT) {step}
      CASE WHEN {sign} starts_with(t, '-') AND regexp_matches(split_part(t, '.', 2), '[1-9]')
      THEN 1 ELSE 0 END)[1]"""
    for name, step, sign in (("floor", "-", ""), ("ceil", "+", "NOT"))
}
_CUT = """list_transform([_1], lambda t: CASE WHEN strpos(t, '.') = 0 THEN t
  ELSE left(t, strpos(t, '.') + {places}) END)[1]"""


def _to_whole(function: str) -> FunctionRule:
    """Ceil and floor of a numeric."""

    def translate(translator: Translator, call: Call, _resolved: Resolved) -> Value:
        value = translator.coerced(call.arguments[0], NUMERIC)
        if value.whole:
            return value
        if value.derived:
            return Value(sql(_WHOLES[function], numeric.text_of(value)), NUMERIC, scale=0)
        return Value(cast(build_call(function, value.node), "HUGEINT"), NUMERIC, scale=0)

    return translate


def _rounding(function: str) -> FunctionRule:
    """Round and trunc of a numeric, with a number of places that is known."""

    def translate(translator: Translator, call: Call, _resolved: Resolved) -> Value:
        value = translator.coerced(call.arguments[0], NUMERIC)
        places = 0
        if len(call.arguments) > 1:
            found = literal_integer(call.arguments[1])
            if found is None:
                raise UnsupportedError(f"{function} needs a constant number of places")
            places = found
        scale = max(places, 0)
        if scale > numeric.QUOTIENT_SCALE:
            raise UnsupportedError(f"{function} to so many places is not supported on DuckDB")
        node = value.node
        kind = f"DECIMAL({MAX_PRECISION}, {scale})"
        if value.whole and places >= 0:
            return Value(cast(node, kind) if scale else node, NUMERIC, scale=scale)
        if value.text is not None and places >= 0:
            # From the text the digits are rounded once only, and none is too long.
            text = value.text.copy()
            if function == "trunc":
                text = sql(_CUT.replace("{places}", str(places)), text)
            return _whole_again(cast(text, kind), scale)
        if value.whole:
            # DuckDB rounds integers to tens as well, but only those of 64 bits.
            node = cast(node, f"DECIMAL({MAX_PRECISION}, 0)")
        last = [number(places)] if places else []
        return _whole_again(cast(build_call(function, node, *last), kind), scale)

    return translate


def _whole_again(node: exp.Expr, scale: int) -> Value:
    """A decimal; without decimals an integer, which meets other numbers without losing theirs."""
    return Value(node if scale else cast(node, "HUGEINT"), NUMERIC, scale=scale)


def _remainder(translator: Translator, call: Call, _resolved: Resolved) -> Value:
    left, right = call.arguments
    return operation(translator, exp.Mod(this=left, expression=right))


def _integer_division(translator: Translator, call: Call, _resolved: Resolved) -> Value:
    """div(), which cuts the quotient off at the point."""
    left = translator.coerced(call.arguments[0], NUMERIC)
    right = translator.coerced(call.arguments[1], NUMERIC)
    if not (left.whole and right.whole):
        return numeric.whole_quotient(left, right)
    node = sql("CAST(_1 AS HUGEINT) // CAST(_2 AS HUGEINT)", left.node, right.node)
    return Value(exp.Paren(this=node), NUMERIC, scale=0)


# A cast that fails is the error of a number out of range.
_OUT_OF_RANGE = "CAST(CAST({} AS HUGEINT) AS DOUBLE)"


def _checked(text: str, *, underflow: bool = False) -> str:
    """A double that must not overflow (22003) as PostgreSQL sees it."""
    low = (
        f"WHEN r = 0 AND isfinite(_1) THEN {_OUT_OF_RANGE.format('r + 1e300')}" if underflow else ""
    )
    return f"""list_transform([{text}], lambda r: CASE
    WHEN isinf(r) AND isfinite(_1) THEN {_OUT_OF_RANGE.format("r")} {low} ELSE r END)[1]"""


_LOGARITHM = """CASE WHEN _1 = 0 THEN CAST(fails('2201E: cannot take logarithm of zero') AS DOUBLE)
WHEN _1 < 0 THEN CAST(fails('2201E: cannot take logarithm of a negative number') AS DOUBLE)
ELSE {name}(_1) END"""
_POWER = """list_transform([{'r': pow(_1, _2), 'a': _1, 'b': _2}], lambda p: CASE
  WHEN p.a = 0 AND p.b < 0 THEN
    CAST(fails('2201F: zero raised to a negative power is undefined') AS DOUBLE)
  WHEN p.a < 0 AND floor(p.b) <> p.b THEN CAST(fails(
    '2201F: a negative number raised to a non-integer power yields a complex result') AS DOUBLE)
  WHEN isinf(p.r) AND isfinite(p.a) AND isfinite(p.b) THEN
    CAST(CAST(p.r AS HUGEINT) AS DOUBLE)
  WHEN p.r = 0 AND p.a <> 0 AND isfinite(p.a) AND isfinite(p.b) THEN
    CAST(CAST(p.r + 1e300 AS HUGEINT) AS DOUBLE)
  ELSE p.r END)[1]"""
_FINITE = """CASE WHEN isinf(_1) THEN CAST(fails('22003: input is out of range') AS DOUBLE)
ELSE {call} END"""
_UNIT_RANGE = """CASE WHEN _1 < -1 OR _1 > 1
THEN CAST(fails('22003: input is out of range') AS DOUBLE)
ELSE {name}(_1) END"""


def _floats_only(text: str) -> FunctionRule:
    return by_type({"float8": template(text)})


def _counted_nulls(test: str) -> FunctionRule:
    def translate(translator: Translator, call: Call, resolved: Resolved) -> Value:
        items = arguments(translator, call, resolved)
        parts = [sql(f"CASE WHEN _1 IS {test} THEN 1 ELSE 0 END", item) for item in items]
        total = parts[0]
        for part in parts[1:]:
            total = exp.Add(this=total, expression=part)
        return Value(exp.Paren(this=total), INT4)

    return translate


def _whole_pair(function: str) -> FunctionRule:
    """Gcd and lcm."""
    return by_type(
        {
            "int4": template(f"CAST({function}(_1, _2) AS INTEGER)"),
            "int8": template(f"CAST({function}(_1, _2) AS BIGINT)"),
        }
    )


NUMBERS: dict[str, FunctionRule] = {
    "abs": _same_type("abs"),
    "acos": template(_UNIT_RANGE.format(name="acos")),
    "asin": template(_UNIT_RANGE.format(name="asin")),
    "atan": template("atan(_1)"),
    "atan2": template("atan2(_1, _2)"),
    "ceil": by_type({"float8": template("ceil(_1)"), "numeric": _to_whole("ceil")}),
    "cos": template(_FINITE.format(call="cos(_1)")),
    "cosh": template("cosh(_1)"),
    "cot": template(_FINITE.format(call="1e0 / tan(_1)")),
    "sinh": template("sinh(_1)"),
    "tanh": template("tanh(_1)"),
    "asinh": template("asinh(_1)"),
    "degrees": template(_checked("_1 / 0.0174532925199432957692e0")),
    "div": _integer_division,
    "exp": _floats_only(_checked("exp(_1)", underflow=True)),
    "factorial": template(
        "CASE WHEN _1 < 0 THEN "
        "CAST(fails('22003: factorial of a negative number is undefined') AS HUGEINT) "
        "ELSE factorial(CAST(_1 AS INTEGER)) END",
        scale=0,
    ),
    "floor": by_type({"float8": template("floor(_1)"), "numeric": _to_whole("floor")}),
    "gen_random_uuid": template("gen_random_uuid()"),
    "gcd": _whole_pair("gcd"),
    "lcm": _whole_pair("lcm"),
    "ln": _floats_only(_LOGARITHM.format(name="ln")),
    "log": _floats_only(_LOGARITHM.format(name="log10")),
    "log10": _floats_only(_LOGARITHM.format(name="log10")),
    "mod": _remainder,
    "num_nonnulls": _counted_nulls("NOT NULL"),
    "num_nulls": _counted_nulls("NULL"),
    "pi": template("pi()"),
    "power": _floats_only(_POWER),
    "radians": template("_1 * 0.0174532925199432957692e0"),
    "random": template("random()"),
    "round": by_type({"float8": template("round_even(_1, 0)"), "numeric": _rounding("round")}),
    "sign": by_type(
        {
            "float8": template("CAST(sign(_1) AS DOUBLE)"),
            "numeric": template("CAST(sign(_1) AS INTEGER)", scale=0),
        }
    ),
    "sin": template(_FINITE.format(call="sin(_1)")),
    "sqrt": _floats_only(
        "CASE WHEN _1 < 0 THEN "
        "CAST(fails('2201F: cannot take square root of a negative number') AS DOUBLE) "
        "ELSE sqrt(_1) END"
    ),
    "tan": template(_FINITE.format(call="tan(_1)")),
    "trunc": by_type({"float8": template("trunc(_1)"), "numeric": _rounding("trunc")}),
}
