"""PostgreSQL's numeric: exact quotients with PostgreSQL's number of digits, and its text."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from semantic.compiler.expressions.duckdb.build import cast, sql
from semantic.compiler.expressions.duckdb.spelling import MAX_PRECISION
from semantic.compiler.expressions.duckdb.value import Value
from semantic.compiler.expressions.types import INTEGERS, numeric_scale
from semantic.model.types import NUMERIC

# The type of quotients and of all else whose number of digits is only known per row.
QUOTIENT_TYPE = "DECIMAL(38, 24)"
QUOTIENT_SCALE = 24
_QUOTIENT_META = "cubewire_exact_text"

# In the templates below numbers are pairs: n is the value without its point, s its scale.

_PARTS = """
list_transform([_1], lambda t: {
    'n': CAST(replace(t, '.', '') AS HUGEINT),
    's': CASE WHEN strpos(t, '.') = 0 THEN 0 ELSE length(t) - strpos(t, '.') END
})[1]
"""

# How many groups of four decimal digits stand before the point, and the first of them: PostgreSQL
# keeps a numeric in such groups, and its select_div_scale() looks at them.
_QUOTIENT = """
list_transform([{'a': _1, 'b': _2}], lambda x:
  list_transform([{
      'a': abs(x.a.n), 'b': abs(x.b.n),
      'u': CAST(abs(x.a.n) AS VARCHAR), 'v': CAST(abs(x.b.n) AS VARCHAR)
  }], lambda y:
    list_transform([{
      'p': CASE WHEN y.a = 0 THEN 0
           ELSE CAST(floor((length(y.u) - 1 - x.a.s) / 4) AS INTEGER) END,
      'q': CASE WHEN y.b = 0 THEN CAST(error('division by zero') AS INTEGER)
           ELSE CAST(floor((length(y.v) - 1 - x.b.s) / 4) AS INTEGER) END
    }], lambda w:
      list_transform([{
        'f': CAST(length(y.u) - x.a.s - 4 * w.p AS INTEGER),
        'g': CAST(length(y.v) - x.b.s - 4 * w.q AS INTEGER)
      }], lambda k:
        list_transform([CAST(greatest(
          16 - 4 * (w.p - w.q - CASE WHEN y.a = 0 OR
            CAST(rpad(left(y.u, k.f), k.f, '0') AS INTEGER)
            <= CAST(rpad(left(y.v, k.g), k.g, '0') AS INTEGER) THEN 1 ELSE 0 END),
          x.a.s, x.b.s, 0) AS INTEGER)
        ], lambda r:
          list_transform([CAST(rpad('1', CAST(r + x.b.s - x.a.s + 1 AS INTEGER), '0') AS HUGEINT)
          ], lambda e:
            list_transform([CAST((y.a // y.b) * e + (2 * ((y.a % y.b) * e) + y.b) // (2 * y.b)
              AS VARCHAR)
            ], lambda d:
              CASE WHEN x.a.n IS NULL OR x.b.n IS NULL THEN NULL ELSE concat(
                CASE WHEN (x.a.n < 0) <> (x.b.n < 0) AND d <> '0' THEN '-' ELSE '' END,
                CASE WHEN length(d) > r THEN left(d, length(d) - r) ELSE '0' END,
                CASE WHEN r > 0 THEN '.' ELSE '' END,
                CASE WHEN length(d) >= r THEN right(d, r) ELSE lpad(d, r, '0') END) END
            )[1]
          )[1]
        )[1]
      )[1]
    )[1]
  )[1]
)[1]
"""

# What a subquery hands up of a quotient has a fixed scale: digits beyond it may not be lost.
_BOUNDED = f"""
list_transform([_1], lambda t: CASE
    WHEN length(t) - strpos(t, '.') > {QUOTIENT_SCALE} AND strpos(t, '.') > 0
         AND regexp_matches(substring(t, strpos(t, '.') + {QUOTIENT_SCALE + 1}), '[1-9]')
    THEN CAST(error('a quotient this small has more digits than can be computed with: '
         || 'cast its operands to double precision') AS VARCHAR)
    ELSE t END)[1]
"""

# A quotient that came out of a subquery: its trailing zeros beyond PostgreSQL's digits go.
_TRIMMED = """
list_transform([CAST(_1 AS VARCHAR)], lambda t:
  list_transform([{
    'w': strpos(t, '.'),
    'k': greatest(16 - 4 * CAST(floor((length(ltrim(split_part(ltrim(t, '-'), '.', 1), '0'))
         - 1) / 4) AS INTEGER), length(rtrim(split_part(t, '.', 2), '0')))
  }], lambda s:
    CASE WHEN s.w = 0 THEN t
    WHEN s.k <= 0 THEN split_part(t, '.', 1)
    ELSE left(t, CAST(s.w + least(CAST(ceil(s.k / 4) AS INTEGER) * 4, 24) AS INTEGER)) END
  )[1]
)[1]
"""
_ANY_TEXT = (
    f"CASE WHEN typeof(_1) = 'DECIMAL(38,{QUOTIENT_SCALE})' THEN {_TRIMMED} "
    "ELSE CAST(_1 AS VARCHAR) END"
)


def element_texts(node: exp.Expr) -> exp.Expr:
    """The texts of an array's numbers."""
    return sql(f"list_transform(_1, lambda v: {_ANY_TEXT.replace('_1', 'v')})", node)


def text_of(value: Value) -> exp.Expr:
    """The text of a number as PostgreSQL prints a numeric."""
    if value.text is not None:
        return value.text.copy()
    if isinstance(value.node, exp.Null):
        return cast(exp.Null(), "VARCHAR")
    if known_scale(value) is not None:
        return cast(value.node, "VARCHAR")
    return numeric_column_text(value.node)


def numeric_column_text(node: exp.Expr) -> exp.Expr:
    """The text of an exact number whose physical type only DuckDB knows."""
    return sql(_ANY_TEXT, node)


def _parts(value: Value) -> exp.Expr:
    if value.text is None and value.whole:
        return sql("{'n': CAST(_1 AS HUGEINT), 's': 0}", value.node)
    return sql(_PARTS, text_of(value))


def quotient(left: Value, right: Value) -> Value:
    """``left / right`` of two exact numbers, with the digits that PostgreSQL gives it."""
    return from_text(sql(_QUOTIENT, _parts(left), _parts(right)))


def from_text(text: exp.Expr) -> Value:
    """A numeric whose exact text is known."""
    node = cast(sql(_BOUNDED, text), QUOTIENT_TYPE)
    node.meta[_QUOTIENT_META] = True
    return Value(node, NUMERIC, text=text)


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
