"""Arithmetic of numbers as texts: whole numbers of up to 38 digits, and where the point is.

Each template makes the text of a result with exactly the decimals that PostgreSQL gives it.
"""

from __future__ import annotations

from functools import lru_cache

# The templates below see a number as its digits without sign and point, and a scale.
_DIGITS = "CAST(abs({0}) AS VARCHAR)"
_DECIMAL_DIGITS = "CAST(CAST(replace(CAST(abs({0}) AS VARCHAR), '.', '') AS HUGEINT) AS VARCHAR)"
_TEXT_DIGITS = "CAST(CAST(replace(ltrim({0}, '-'), '.', '') AS HUGEINT) AS VARCHAR)"
SCALE_OF_TEXT = "CASE WHEN contains({0}, '.') THEN length({0}) - strpos({0}, '.') ELSE 0 END"

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
  list_transform([CASE WHEN length(x.u) + {shift} < 38 AND length(x.v) < 38
    THEN CAST((2 * CAST(x.u || repeat('0', {shift}) AS HUGEINT) + CAST(x.v AS HUGEINT))
      // (2 * CAST(x.v AS HUGEINT)) AS VARCHAR)
    ELSE list_transform([CAST(greatest(least({shift}, 37 - length(x.u)), 0) AS INTEGER)],
      lambda m: list_transform([{{
        'a': CAST(x.u || repeat('0', m) AS HUGEINT), 'b': CAST(x.v AS HUGEINT),
        'z': CAST('1' || repeat('0', CAST({shift} - m AS INTEGER)) AS HUGEINT)
      }}], lambda y: CAST(y.a // y.b * y.z + y.a % y.b * y.z // y.b
        + CASE WHEN y.b - y.a % y.b * y.z % y.b <= y.a % y.b * y.z % y.b THEN 1 ELSE 0 END
        AS VARCHAR))[1])[1] END], lambda d:
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
def quotient_template(left: int | None, right: int | None, *, positive: bool) -> str:
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
        # In two steps, so that the dividend with its zeros may have more than 38 digits.
        shift="r" if one == two == "0" else f"CAST(r + {two} - {one} AS INTEGER)",
    )
    if not known:
        return _ANY_OPERANDS.format(
            u=_TEXT_DIGITS.format("t.a"),
            v=_TEXT_DIGITS.format("t.b"),
            p=SCALE_OF_TEXT.format("t.a"),
            q=SCALE_OF_TEXT.format("t.b"),
            body=body,
        )
    return _EXACT_OPERANDS.format(
        u=(_DECIMAL_DIGITS if left else _DIGITS).format("_1"),
        v=(_DECIMAL_DIGITS if right else _DIGITS).format("_2"),
        s="_1 < 0" if positive else "sign(_1) * sign(_2) < 0",
        body=body,
    )


# _1 and _2 as whole numbers without their points, u of scale p and v of scale q.
_OPERANDS = """
list_transform([{{'a': _1, 'b': _2}}], lambda t: list_transform([{{
  'u': replace(t.a, '.', ''), 'v': replace(t.b, '.', ''), 'p': {p}, 'q': {q}
}}], lambda x: list_transform([{{'d': {d}, 'r': CAST({r} AS INTEGER)}}],
  lambda y: {body})[1])[1])[1]
"""
_FORMATTED = """CASE WHEN y.d < 0 THEN '-' ELSE '' END
  || list_transform([CAST(abs(y.d) AS VARCHAR)], lambda w:
    CASE WHEN length(w) > y.r THEN left(w, length(w) - y.r) ELSE '0' END
    || CASE WHEN y.r > 0 THEN '.' ELSE '' END || right(repeat('0', y.r) || w, y.r))[1]"""
_ALIGNED = (
    "CAST(x.u || repeat('0', CAST(greatest(x.q - x.p, 0) AS INTEGER)) AS HUGEINT)",
    "CAST(x.v || repeat('0', CAST(greatest(x.p - x.q, 0) AS INTEGER)) AS HUGEINT)",
)
_RESULTS = {
    "+": (f"{_ALIGNED[0]} + {_ALIGNED[1]}", "greatest(x.p, x.q)"),
    "-": (f"{_ALIGNED[0]} - {_ALIGNED[1]}", "greatest(x.p, x.q)"),
    "*": ("CAST(x.u AS HUGEINT) * CAST(x.v AS HUGEINT)", "x.p + x.q"),
    "div": (f"{_ALIGNED[0]} // {_ALIGNED[1]}", "0"),
    # Dividing, other than the remainder, is an error where the divisor is zero.
    "%": (
        f"{_ALIGNED[0]} - ({_ALIGNED[0]} // {_ALIGNED[1]}) * {_ALIGNED[1]}",
        "greatest(x.p, x.q)",
    ),
}


# The text _1 as a whole number in units of 10^-40. A cast fails where that would lose digits.
BIG_UNITS = """
list_transform([_1], lambda t: list_transform([split_part(t, '.', 2)], lambda f:
  CAST(CASE WHEN length(f) > 40 AND regexp_matches(substring(f, 41), '[1-9]')
    THEN 'too many decimals: ' || t
    ELSE split_part(t, '.', 1) || rpad(f, 40, '0') END AS BIGNUM))[1])[1]
"""
# The text of the sum _1 of such numbers, with _2 decimals; those behind them are zeros.
BIG_SUM = """
list_transform([{'s': CAST(_1 AS VARCHAR), 'd': CAST(_2 AS INTEGER)}], lambda x:
  list_transform([lpad(ltrim(x.s, '-'), CAST(greatest(41, length(x.s)) AS INTEGER), '0')],
    lambda w: CASE WHEN starts_with(x.s, '-') THEN '-' ELSE '' END
      || CAST(CAST(left(w, length(w) - 40) AS BIGNUM) AS VARCHAR)
      || CASE WHEN x.d > 0 THEN '.' ELSE '' END || substring(w, length(w) - 39, x.d))[1])[1]
"""
# The text _1 for comparing with numbers of at most 17 decimals and 19 digits before them: what is
# larger may be any larger number, and decimals behind the 18th only say that there are some.
CLAMPED_TYPE = "DECIMAL(38, 18)"
CLAMPED_SCALE = 18
CLAMPED = """
list_transform([_1], lambda t: CASE
  WHEN length(ltrim(split_part(t, '.', 1), '-')) > 20 THEN
    CASE WHEN starts_with(t, '-') THEN '-' ELSE '' END || '99999999999999999999'
  WHEN length(split_part(t, '.', 2)) <= 18 THEN t
  WHEN substring(t, strpos(t, '.') + 18, 1) = '0'
    AND regexp_matches(substring(t, strpos(t, '.') + 19), '[1-9]')
  THEN left(t, strpos(t, '.') + 17) || '1'
  ELSE left(t, strpos(t, '.') + 18) END)[1]
"""


@lru_cache(maxsize=8)
def operation_template(sign: str) -> str:
    """The sum, difference, product, whole quotient or remainder of the texts ``_1`` and ``_2``."""
    number, scale = _RESULTS[sign]
    return _OPERANDS.format(
        p=SCALE_OF_TEXT.format("t.a"),
        q=SCALE_OF_TEXT.format("t.b"),
        d=number,
        r=scale,
        body=_FORMATTED,
    )
