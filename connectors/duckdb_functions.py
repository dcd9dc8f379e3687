"""Functions that statements may call on a DuckDB database besides its own.

DuckDB takes 10 to 50 microseconds to prepare each operator of a statement, each time it runs. What
needs a hundred of them in SQL, for each of a few rows, is a function of ours here instead. It holds
the interpreter's lock while it computes, so it is no place for what is done row by row.
"""

from __future__ import annotations

import duckdb
from duckdb.func import PythonUDFType

QUOTIENT = "cubewire_quotient"
"""``cubewire_quotient(dividend VARCHAR, divisor VARCHAR) -> VARCHAR``: see ``quotient``."""

_SIGNIFICANT = 16
"""Digits that PostgreSQL gives a quotient at least (``NUMERIC_MIN_SIG_DIGITS``)."""


def add_functions(database: duckdb.DuckDBPyConnection) -> None:
    """Add them to a database; once for all connections to it, in whatever way it is opened."""
    known = database.execute(
        "SELECT count(*) FROM duckdb_functions() WHERE function_name = ?", [QUOTIENT]
    ).fetchall()
    if known == [(0,)]:
        database.create_function(
            QUOTIENT,
            quotient,
            ["VARCHAR", "VARCHAR"],
            "VARCHAR",
            type=PythonUDFType.NATIVE,
            side_effects=False,
        )


def quotient(dividend: str, divisor: str) -> str:
    """The quotient of two numbers in plain decimal notation, digit for digit PostgreSQL's.

    Raises ZeroDivisionError, which DuckDB reports as a division by zero.

    >>> quotient("2.00", "3"), quotient("-10", "4"), quotient("20000", "0.5")
    ('0.66666666666666666667', '-2.5000000000000000', '40000.000000000000')
    """
    above, above_scale, above_weight, above_first = _read(dividend)
    below, below_scale, below_weight, below_first = _read(divisor)
    if not below:
        raise ZeroDivisionError("division by zero")
    # How many decimals there are: select_div_scale() in PostgreSQL's numeric.c.
    weight = above_weight - below_weight - (above_first <= below_first)
    scale = max(_SIGNIFICANT - 4 * weight, above_scale, below_scale, 0)
    shift = scale + below_scale - above_scale
    if shift < 0:
        below *= 10**-shift
    else:
        above *= 10**shift
    digits = str((2 * above + below) // (2 * below))
    sign = "-" if above and dividend.startswith("-") != divisor.startswith("-") else ""
    if not scale:
        return sign + digits
    digits = digits.rjust(scale + 1, "0")
    return f"{sign}{digits[:-scale]}.{digits[-scale:]}"


def _read(text: str) -> tuple[int, int, int, int]:
    """A number without sign and point, its decimals, and its weight and first digit to base 10^4.

    As PostgreSQL keeps a numeric: in groups of four decimal digits, counted from the point.
    """
    whole, _, decimals = text.partition(".")
    number, scale = abs(int(whole + decimals)), len(decimals)
    if not number:
        return 0, scale, 0, 0
    digits = str(number * 10 ** (-scale % 4))
    groups = (len(digits) + 3) // 4
    first = int(digits[: len(digits) - 4 * (groups - 1)])
    return number, scale, groups - 1 - (scale + 3) // 4, first
