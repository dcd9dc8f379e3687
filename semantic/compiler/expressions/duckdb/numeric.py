"""PostgreSQL's numeric: exact quotients with PostgreSQL's number of digits, and its text."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from sqlglot import exp

from semantic.compiler.expressions.duckdb.build import cast, sql
from semantic.compiler.expressions.duckdb.spelling import MAX_PRECISION
from semantic.compiler.expressions.duckdb.value import Value
from semantic.compiler.expressions.types import INTEGERS, QUOTIENT, is_quotient, numeric_scale
from semantic.model.types import NUMERIC

# The type of quotients and of all else whose number of digits is only known per row.
QUOTIENT_TYPE = "DECIMAL(38, 24)"
QUOTIENT_SCALE = 24
_QUOTIENT_META = "cubewire_exact_text"

# The templates below see a number as its digits without sign and point, and a scale.
_DIGITS = "CAST(abs({0}) AS VARCHAR)"
_DECIMAL_DIGITS = "CAST(CAST(replace(CAST(abs({0}) AS VARCHAR), '.', '') AS HUGEINT) AS VARCHAR)"
_TEXT_DIGITS = "CAST(CAST(replace(ltrim({0}, '-'), '.', '') AS HUGEINT) AS VARCHAR)"
_TEXT_SCALE = "CASE WHEN contains({0}, '.') THEN length({0}) - strpos({0}, '.') ELSE 0 END"

# PostgreSQL keeps a numeric in groups of four decimal digits, counted from the point. How many
# groups a quotient has (select_div_scale) follows from those of its operands and their first ones.
_GROUPS = "(length(x.{0}) + 39 - {1}) // 4"
_GROUPS_OR_ZERO = "CASE WHEN x.{0} = '0' THEN 10 ELSE (length(x.{0}) + 39 - {1}) // 4 END"
_FIRST = "CAST(left(x.{0}, (length(x.{0}) + 39) % 4 + 1) AS INTEGER)"
_FIRST_OF_DECIMAL = (
    "CAST(rpad(x.{0}, CAST((length(x.{0}) + 39 - {1}) % 4 + 1 AS INTEGER), '0') AS INTEGER)"
)
_QUOTIENT = """
list_transform([{least}16 + 4 * ({right_groups} - {left_groups}
    + CASE WHEN {left_first} <= {right_first} THEN 1 ELSE 0 END){most}], lambda r:
  list_transform([CAST((2 * CAST(x.u || repeat('0', {shift}) AS HUGEINT) + CAST(x.v AS HUGEINT))
      // (2 * CAST(x.v AS HUGEINT)) AS VARCHAR)], lambda d:
    CASE WHEN x.s THEN '-' ELSE '' END
    || CASE WHEN length(d) > r THEN left(d, length(d) - r) ELSE '0' END
    || CASE WHEN r > 0 THEN '.' ELSE '' END || right(repeat('0', r) || d, r))[1])[1]
"""
_EXACT_OPERANDS = "list_transform([{{'u': {u}, 'v': {v}, 's': {s}}}], lambda x: {body})[1]"
_ANY_OPERANDS = """
list_transform([{{'a': _1, 'b': _2}}], lambda t: list_transform([{{
  'u': {u}, 'v': {v}, 'p': {p}, 'q': {q},
  's': starts_with(t.a, '-') <> starts_with(t.b, '-') AND regexp_matches(t.a, '[1-9]')
}}], lambda x: {body})[1])[1]
"""


@lru_cache(maxsize=256)
def _quotient_template(left: int | None, right: int | None, *, positive: bool) -> str:
    """The quotient of ``_1`` and ``_2``, of these scales; None is one that differs by row.

    ``positive``: the divisor cannot be negative.
    """
    known = left is not None and right is not None
    one, two = ("x.p", "x.q") if not known else (str(left), str(right))

    def first(name: str, scale: str) -> str:
        return (_FIRST if scale == "0" else _FIRST_OF_DECIMAL).format(name, scale)

    body = _QUOTIENT.format(
        least="CAST(greatest(",
        most=f", {one}, {two}, 0) AS INTEGER)" if not (one == two == "0") else ", 0) AS INTEGER)",
        right_groups=_GROUPS.format("v", two),
        left_groups=(_GROUPS if one == "0" else _GROUPS_OR_ZERO).format("u", one),
        left_first=first("u", one),
        right_first=first("v", two),
        shift="r" if one == two == "0" else f"CAST(r + {two} - {one} AS INTEGER)",
    )
    if not known:
        return _ANY_OPERANDS.format(
            u=_TEXT_DIGITS.format("t.a"),
            v=_TEXT_DIGITS.format("t.b"),
            p=_TEXT_SCALE.format("t.a"),
            q=_TEXT_SCALE.format("t.b"),
            body=body,
        )
    return _EXACT_OPERANDS.format(
        u=(_DECIMAL_DIGITS if left else _DIGITS).format("_1"),
        v=(_DECIMAL_DIGITS if right else _DIGITS).format("_2"),
        s="_1 < 0" if positive else "sign(_1) * sign(_2) < 0",
        body=body,
    )


# What a subquery hands up of a quotient has a fixed scale: digits beyond it may not be lost.
_BOUNDED = f"""
list_transform([_1], lambda t: CASE
    WHEN length(t) - strpos(t, '.') > {QUOTIENT_SCALE} AND strpos(t, '.') > 0
         AND regexp_matches(substring(t, strpos(t, '.') + {QUOTIENT_SCALE + 1}), '[1-9]')
    THEN CAST(error('a quotient this small has more digits than can be computed with: '
         || 'cast its operands to double precision') AS VARCHAR)
    ELSE t END)[1]
"""

# A quotient whose text is gone: its zeros go, as far as PostgreSQL would not print them.
_TRIMMED = """
list_transform([CAST(_1 AS VARCHAR)], lambda t: left(t, strpos(t, '.') + greatest(
    16 - 4 * ((length(ltrim(split_part(t, '.', 1), '-0')) + 3) // 4 - 1),
    (length(rtrim(split_part(t, '.', 2), '0')) + 3) // 4 * 4)))[1]
"""


def element_texts(node: exp.Expr) -> exp.Expr:
    """The texts of an array's numbers."""
    return cast(node, "VARCHAR[]")


def text_of(value: Value) -> exp.Expr:
    """The text of a number as PostgreSQL prints a numeric."""
    if value.text is not None:
        return value.text.copy()
    if is_quotient(value.type):
        return sql(_TRIMMED, value.node)
    return cast(value.node, "VARCHAR")


def quotient(left: Value, right: Value, *, positive: bool = False) -> Value:
    """``left / right`` of two exact numbers, with the digits that PostgreSQL gives it.

    ``positive``: the divisor is never negative.
    """
    scales = (known_scale(left), known_scale(right))
    if None in scales or left.text is not None or right.text is not None:
        template = _quotient_template(None, None, positive=False)
        return from_text(sql(template, text_of(left), text_of(right)))
    template = _quotient_template(*scales, positive=positive)
    return from_text(sql(template, left.node, right.node))


def from_text(text: exp.Expr) -> Value:
    """A numeric whose exact text is known."""
    node = cast(sql(_BOUNDED, text), QUOTIENT_TYPE)
    node.meta[_QUOTIENT_META] = True
    return Value(node, QUOTIENT, text=text)


def exact_text(node: exp.Expr) -> exp.Expr | None:
    """The exact text inside a tree that ``from_text`` made, also in a copy of that tree."""
    if not (node._meta and node._meta.get(_QUOTIENT_META)) or not isinstance(node, exp.Cast):
        return None
    array = node.this.this.expressions[0]
    found = array.expressions[0]
    return found if isinstance(found, exp.Expr) else None


def as_float(value: Value) -> exp.Expr:
    """An exact number as the nearest double, by way of its text: arithmetic would round twice."""
    if value.type.name in INTEGERS:
        return cast(value.node, "DOUBLE")
    if value.text is not None:
        return cast(value.text.copy(), "DOUBLE")
    return cast(cast(value.node, "VARCHAR"), "DOUBLE")


def known_scale(value: Value) -> int | None:
    """The scale of an exact number, where it is the same in every row."""
    if value.type.name in INTEGERS:
        return 0
    if value.scale is not None:
        return value.scale
    size = numeric_scale(value.type)
    return None if size is None else size[1]


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
        if isinstance(value.node, exp.Null)
        else Value(cast(value.node, kind), NUMERIC, scale=widest)
        for value in values
    ]
