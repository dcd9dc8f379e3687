"""PostgreSQL's numeric on DuckDB: exact to the last digit that PostgreSQL prints, or refused.

PostgreSQL's numeric is a number and how many decimals it is printed with. DuckDB's DECIMAL has the
decimals in its type. So a numeric is one of:

- *fixed*: all rows have the same decimals, which are known (``Value.scale``): a column that is
  declared with them, a literal, what is added, multiplied, rounded or chosen of such. It is a
  DECIMAL(p, s) or an integer.
- *physical*: all rows have the same decimals, which DuckDB knows and the compiler does not: a sum
  that a subquery hands up. It is any DECIMAL or integer; its cast to text has the right decimals.
- *dynamic*: the decimals differ from row to row: quotients and averages (PostgreSQL gives them 16
  significant digits or more, after a rule of its own), parameters, casts from text and doubles,
  CASE and COALESCE over numbers of different scales, and what is computed of any of these. Beside
  ``Value.node``, which is a DECIMAL to compute and compare with, goes either the exact text
  (``Value.text``) or the number of decimals (``Value.digits``).

The inferred type of a dynamic numeric is ``QUOTIENT``. Between a query and the one around it
(subquery, CTE, set operation, VALUES, key of a grouping) a column of that type is the text, so that
no digit is lost; in the query around it the number is made of the text again. A number that is
dynamic where the types do not say so never leaves its query: it is refused (0A000).

Numbers are equal whatever their decimals, texts are not: what groups, compares, sorts or tells
duplicates apart does it with ``node``. Of equal numbers in a group any one's text stands for all,
as PostgreSQL too leaves open which one that is.

Computing with dynamic numbers is done on whole numbers of up to 38 digits (``exact.py``); sorting,
grouping and adding many up on whole numbers of any length (BIGNUM) in units of 10^-40. What is left
needs a common type, DECIMAL(38,24): from 10^14 on, and for digits behind the 24th decimal, that is
an error (22003) with a hint, never a rounded number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from sqlglot import exp

from semantic.compiler.expressions.duckdb.build import call, cast, number, sql
from semantic.compiler.expressions.duckdb.exact import (
    BIG_SUM,
    BIG_UNITS,
    CLAMPED,
    CLAMPED_SCALE,
    CLAMPED_TYPE,
    SCALE_OF_TEXT,
    operation_template,
    quotient_template,
)
from semantic.compiler.expressions.duckdb.spelling import MAX_PRECISION
from semantic.compiler.expressions.duckdb.value import Value
from semantic.compiler.expressions.types import INTEGERS, QUOTIENT, is_quotient, numeric_scale
from semantic.errors import UnsupportedError
from semantic.model.types import NUMERIC, PostgresType

# What dynamic numbers are compared and added up in.
QUOTIENT_TYPE = "DECIMAL(38, 24)"
QUOTIENT_SCALE = 24

# A cast that would round fails instead: what is cast then is no number. (DuckDB takes ``error()``
# for something that may differ from call to call, and would not find a key by it.)
_BOUNDED = f"""
list_transform([_1], lambda t: CASE
    WHEN length(t) - strpos(t, '.') > {QUOTIENT_SCALE} AND strpos(t, '.') > 0
         AND regexp_matches(substring(t, strpos(t, '.') + {QUOTIENT_SCALE + 1}), '[1-9]')
    THEN concat('too many decimals: ', t) ELSE t END)[1]
"""
# The text of the decimal _1 with _2 of its decimals; those behind them are zeros.
_RENDERED = """
list_transform([{'t': CAST(_1 AS VARCHAR), 'd': CAST(_2 AS INTEGER)}], lambda x: CASE
    WHEN strpos(x.t, '.') = 0 THEN x.t
    ELSE left(x.t, strpos(x.t, '.') - CASE WHEN x.d = 0 THEN 1 ELSE 0 END + x.d) END)[1]
"""
ELEMENT_UNITS = "list_transform(_1, lambda e: " + BIG_UNITS.replace("_1", "e") + ")"
_NEGATED = """
list_transform([_1], lambda t: CASE WHEN starts_with(t, '-') THEN substring(t, 2)
    WHEN regexp_matches(t, '[1-9]') THEN concat('-', t) ELSE t END)[1]
"""
QUOTIENT_FUNCTION = "cubewire_quotient"
"""Of the texts of two numbers; the connector adds it to each database."""
_SIGNS: dict[type[exp.Expr], str] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Mod: "%"}
_HINT = "Round it to a fixed number of decimals, or cast it to double precision."


def element_texts(value: Value) -> exp.Expr:
    """The texts of an array's numbers."""
    return value.text if value.text is not None else cast(value.node, "VARCHAR[]")


def text_of(value: Value) -> exp.Expr:
    """The text of a number as PostgreSQL prints a numeric."""
    if value.text is not None:
        return value.text.copy()
    if value.digits is not None:
        return sql(_RENDERED, value.node.copy(), value.digits.copy())
    if is_quotient(value.type) and value.scale is None:
        raise UnsupportedError("the digits of this number are not known on DuckDB", hint=_HINT)
    text = cast(value.node.copy(), "VARCHAR")
    return with_zero(text) if _is_fraction(value.type) else text


def with_zero(text: exp.Expr) -> exp.Expr:
    """A number's text, which DuckDB begins with the point where all its digits are decimals."""
    return sql("regexp_replace(_1, '^(-?)[.]', '\\10.')", text)


def _is_fraction(kind: PostgresType) -> bool:
    """Whether all the digits of a numeric are decimals."""
    size = numeric_scale(kind)
    return size is not None and size[0] <= size[1]


def with_place(value: Value) -> Value:
    """A number with a place before the point, so that what is made of it has a zero there."""
    size = numeric_scale(value.type)
    if size is None or not _is_fraction(value.type) or size[1] >= MAX_PRECISION:
        return value
    return replace(value, node=cast(value.node, f"DECIMAL({size[1] + 1}, {size[1]})"))


def digits_of(value: Value) -> exp.Expr:
    """How many decimals PostgreSQL gives a number, NULL or anything for NULL."""
    if value.digits is not None:
        return value.digits.copy()
    scale = fixed_scale(value)
    if scale is not None:
        return number(scale)
    return sql(f"list_transform([_1], lambda t: {SCALE_OF_TEXT.format('t')})[1]", text_of(value))


def handed_up(value: Value, kind: PostgresType) -> exp.Expr:
    """A number as the column of a query that stands in another one; ``kind`` is the column's type.

    Raises:
        UnsupportedError: its digits would be lost.
    """
    if is_quotient(kind):
        return text_of(value)
    if value.dynamic:
        raise UnsupportedError(
            "a number whose decimals differ by row cannot be handed up here on DuckDB", hint=_HINT
        )
    return value.node


def from_text(text: exp.Expr) -> Value:
    """A numeric whose exact text is known."""
    return Value(number_of(text), QUOTIENT, text=text, derived=True)


def number_of(text: exp.Expr) -> exp.Expr:
    """The number that a text holds."""
    return cast(sql(_BOUNDED, text), QUOTIENT_TYPE)


def sort_key(value: Value) -> exp.Expr:
    """What a value sorts, groups and is told apart by."""
    return sql(BIG_UNITS, value.text.copy()) if value.derived and value.text else value.node


def compared(left: Value, right: Value) -> tuple[exp.Expr, exp.Expr]:
    """Two numbers in types that compare as the numbers do."""
    if not left.derived and not right.derived:
        return left.node, right.node
    if _is_bounded(right):
        return _clamped(left), right.node
    if _is_bounded(left):
        return left.node, _clamped(right)
    return big_units(left), big_units(right)


def big_units(value: Value) -> exp.Expr:
    """Any number as a whole one, in units that all numbers have in common."""
    if _is_null(value):
        return value.node
    return sql(BIG_UNITS, text_of(value))


def _clamped(value: Value) -> exp.Expr:
    assert value.text is not None
    return cast(sql(CLAMPED, value.text.copy()), CLAMPED_TYPE)


def _is_bounded(value: Value) -> bool:
    """Whether a number has few enough digits to be compared with a clamped one."""
    if value.derived:
        return False
    if value.type.name in INTEGERS:
        return True
    size = numeric_scale(value.type)
    return size is not None and size[1] < CLAMPED_SCALE and size[0] - size[1] < 20


def big_sum(value: Value, around: Callable[[exp.Expr], exp.Expr], *, distinct: bool) -> Value:
    """The sum of numbers that are known by their texts; ``around`` puts FILTER and OVER around."""
    units = sort_key(value)
    added: exp.Expr = exp.Distinct(expressions=[units]) if distinct else units
    digits = around(call("max", digits_of(value)))
    return from_text(sql(BIG_SUM, around(call("sum", added)), digits))


def quotient(left: Value, right: Value, *, positive: bool = False, few: bool = False) -> Value:
    """``left / right`` of two exact numbers, with the digits that PostgreSQL gives it.

    Args:
        positive: the divisor is never negative.
        few: there is one of a group of rows. DuckDB takes longer to prepare the division than to
            divide thousands of numbers, so that these are divided by a function of the connector's.
    """
    if few:
        return from_text(call(QUOTIENT_FUNCTION, text_of(left), text_of(right)))
    scales = (fixed_scale(left), fixed_scale(right))
    if None in scales:
        template = quotient_template(None, None, positive=False)
        return from_text(sql(template, text_of(left), text_of(right)))
    template = quotient_template(*scales, positive=positive)
    return from_text(sql(template, left.node, right.node))


def by_text(kind: type[exp.Expr], left: Value, right: Value) -> Value:
    """``left + right`` and the like of numbers one of which is dynamic."""
    return from_text(sql(operation_template(_SIGNS[kind]), text_of(left), text_of(right)))


def whole_quotient(left: Value, right: Value) -> Value:
    """How many times a number goes into another."""
    text = sql(operation_template("div"), text_of(left), text_of(right))
    return Value(cast(text, "HUGEINT"), NUMERIC, scale=0)


def negated(value: Value) -> Value | None:
    """The negative of a number that is known by its text; None for others."""
    return None if value.text is None else from_text(sql(_NEGATED, value.text.copy()))


def as_float(value: Value) -> exp.Expr:
    """An exact number as the nearest double, by way of its text: arithmetic would round twice."""
    if value.type.name in INTEGERS:
        return cast(value.node, "DOUBLE")
    if value.text is not None:
        return cast(value.text.copy(), "DOUBLE")
    return cast(cast(value.node, "VARCHAR"), "DOUBLE")


def known_scale(value: Value) -> int | None:
    """The scale of a number's tree, where it is known."""
    if value.type.name in INTEGERS:
        return 0
    if value.scale is not None:
        return value.scale
    size = numeric_scale(value.type)
    return None if size is None else size[1]


def fixed_scale(value: Value) -> int | None:
    """The decimals that PostgreSQL gives a number, where they are the same in every row."""
    return None if value.dynamic else known_scale(value)


def alike(values: Sequence[Value]) -> list[Value] | None:
    """Numbers in one physical type; None where only their texts have one.

    DuckDB, left to itself, gives CASE, COALESCE and lists of DECIMAL(38,2) and DECIMAL(38,5) the
    type DECIMAL(38,2), and rounds.
    """
    if any(value.text is not None for value in values):
        return None
    scales = [known_scale(value) for value in values]
    known = [scale for scale in scales if scale is not None]
    if len(known) < len(scales):
        # An integer fits any decimal; more than one unknown scale does not.
        unknown = len(scales) - len(known)
        return list(values) if unknown == 1 and not any(known) else None
    widest = max(known)
    if widest == 0:
        return list(values)
    kind = f"DECIMAL({MAX_PRECISION}, {widest})"
    return [
        value
        if _is_null(value)
        else Value(cast(value.node, kind), NUMERIC, scale=widest, digits=value.digits)
        for value in values
    ]


def _is_null(value: Value) -> bool:
    return isinstance(value.node, exp.Null)


def chosen(
    values: Sequence[Value],
    make: Callable[[list[exp.Expr]], exp.Expr],
    *,
    skips_nulls: bool,
) -> Value:
    """One of several numbers, as CASE and COALESCE make it, with the decimals that it has.

    ``skips_nulls``: the choice is the first that is not NULL.
    """
    present = [value for value in values if not _is_null(value)]
    if len(present) <= 1:
        kept = present[0] if present else values[0]
        return _rewrapped(kept, values, make)
    unified = alike(values)
    if unified is None:
        return from_text(make([_text_or_null(value) for value in values]))
    scales = {fixed_scale(value) for value in present}
    if None not in scales and len(scales) == 1:
        kinds = {value.type for value in present}
        kind = kinds.pop() if len(kinds) == 1 else NUMERIC
        return Value(make([value.node for value in unified]), kind, scale=scales.pop())
    node = make([value.node for value in unified])
    if any(known_scale(value) is None for value in unified):
        return Value(node, QUOTIENT, text=make([_text_or_null(value) for value in values]))
    digits = [
        sql("CASE WHEN _1 IS NOT NULL THEN _2 END", value.node.copy(), digits_of(value))
        if skips_nulls
        else digits_of(value)
        for value in values
    ]
    widest = max(scale for value in unified if (scale := known_scale(value)) is not None)
    return Value(node, QUOTIENT, scale=widest, digits=make(digits))


def _rewrapped(
    kept: Value, values: Sequence[Value], make: Callable[[list[exp.Expr]], exp.Expr]
) -> Value:
    """The only number among NULLs."""
    if kept.text is not None:
        return from_text(make([_text_or_null(value) for value in values]))
    node = make([value.node for value in values])
    return Value(node, kept.type, scale=known_scale(kept), digits=kept.digits)


def _text_or_null(value: Value) -> exp.Expr:
    return exp.Null() if _is_null(value) else text_of(value)


def extreme(values: Sequence[Value], function: str) -> Value:
    """``greatest`` or ``least`` of numbers; of equal ones the first."""
    unified = alike(values)
    scales = {fixed_scale(value) for value in values if not _is_null(value)}
    if unified is not None and None not in scales and len(scales) == 1:
        node = call(function, *(value.node for value in unified))
        return Value(node, NUMERIC, scale=scales.pop())
    sign, best = ("-", "list_max") if function == "greatest" else ("", "list_min")
    present = [value for value in values if not _is_null(value)]
    nodes = [
        big_units(value) if unified is None else value.node
        for value in (present if unified is None else unified)
        if not _is_null(value)
    ]
    items = [
        sql(f"{{'k': _1, 'i': {sign}{index}, 't': _2}}", node, text_of(value))
        for index, (node, value) in enumerate(zip(nodes, present, strict=True), start=1)
    ]
    template = (
        f"list_transform([{best}(list_filter(_1, lambda s: s.k IS NOT NULL))], lambda m: m.t)[1]"
    )
    return from_text(sql(template, exp.Array(expressions=items)))
