"""float4 and float8 as PostgreSQL prints them.

PostgreSQL prints the shortest digits that lie strictly inside the interval of numbers that round to
the value (manual, 8.1.3; unlike Python's shortest form, the interval's ends are left out), in fixed
notation for exponents from -4 to 14 (float8) or 5 (float4), else with at least two digits of
exponent. With ``extra_float_digits`` of zero or less it is ``%.*g``.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from proxy.rows.cells import (
    Array,
    Cells,
    binaries,
    constant,
    numbers,
    raw,
    substituted,
    validity,
    variable_lengths,
)

# Below these an end of the interval cannot be shorter than what lies inside it: an end has one bit
# more than the mantissa, and its last decimal digit is then beyond those that are needed.
_ENDS_MATTER = {"<f8": 2.0**53, "<f4": 2.0**24}
_FIXED_EXPONENT = {"<f8": 15, "<f4": 6}
_DIGITS = {"<f8": 15, "<f4": 6}
_TAILS = [(b".%02d" % n).rstrip(b"0").rstrip(b".") for n in range(100)]
# Where Arrow's own text is the same as PostgreSQL's.
_ARROW_LOW, _ARROW_HIGH = 1e-4, {"<f8": 1e10, "<f4": 1e6}


def special_text(value: float) -> bytes | None:
    """Text of what is not a finite number."""
    if math.isnan(value):
        return b"NaN"
    if math.isinf(value):
        return b"Infinity" if value > 0 else b"-Infinity"
    return None


def _neighbours(value: float, kind: str) -> tuple[Fraction, Fraction]:
    """The open interval of reals that round to ``value`` (positive)."""
    dtype = np.dtype(kind).type
    exact = Fraction(value)
    below = Fraction(float(np.nextafter(dtype(value), dtype(0))))
    with np.errstate(over="ignore"):
        above = np.nextafter(dtype(value), dtype(math.inf))
    upper = exact + (exact - below) if np.isinf(above) else Fraction(float(above))
    return (below + exact) / 2, (exact + upper) / 2


def _inside(value: float, kind: str, digits: str, exponent: int) -> tuple[str, int]:
    """Shortest digits strictly inside the interval, from the shortest with its ends."""
    low, high = _neighbours(value, kind)
    exact = Fraction(value)
    if low < Fraction(int(digits)) * Fraction(10) ** (exponent - len(digits) + 1) < high:
        return digits, exponent
    for count in range(len(digits), 18):
        unit = Fraction(10) ** (exponent - count + 1)
        floor = exact // unit
        found = [n for n in (floor, floor + 1) if low < n * unit < high]
        if found:
            best = str(min(found, key=lambda n: abs(n * unit - exact)))
            return best.rstrip("0"), exponent + len(best) - count
    raise AssertionError(value)


def shortest_text(value: float, kind: str) -> bytes:
    """The text of one value, ``kind`` being ``<f8`` or ``<f4``."""
    if kind == "<f8" and (1e-4 <= value < 1e15 or -1e15 < value <= -1e-4):
        return repr(value).removesuffix(".0").encode()
    special = special_text(value)
    if special is not None:
        return special
    if value == 0:
        return b"-0" if math.copysign(1, value) < 0 else b"0"
    size = abs(value)
    text = repr(size) if kind == "<f8" else str(np.float32(size))
    mantissa, _, power = text.partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    exponent = len(whole) - 1 if whole != "0" else len(digits) - len(fraction) - 1
    exponent += int(power or 0)
    digits = digits.rstrip("0")
    if size >= _ENDS_MATTER[kind]:
        digits, exponent = _inside(size, kind, digits, exponent)
    return _laid_out("-" if value < 0 else "", digits, exponent, _FIXED_EXPONENT[kind])


def _laid_out(sign: str, digits: str, exponent: int, fixed: int) -> bytes:
    count = len(digits)
    if not -4 <= exponent < fixed:
        mantissa = digits[0] + ("." + digits[1:] if count > 1 else "")
        return f"{sign}{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}".encode()
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}".encode()
    if count <= exponent + 1:
        return f"{sign}{digits}{'0' * (exponent + 1 - count)}".encode()
    return f"{sign}{digits[: exponent + 1]}.{digits[exponent + 1 :]}".encode()


def rounded_digits(kind: str, extra_float_digits: int) -> int:
    """Significant digits for an ``extra_float_digits`` of zero or less."""
    return max(_DIGITS[kind] + extra_float_digits, 1)


def rounded_text(value: float, digits: int) -> bytes:
    """The text of one value with a given number of significant digits."""
    special = special_text(value)
    return b"%.*g" % (digits, value) if special is None else special


def float_cells(array: pa.Array, kind: str, extra_float_digits: int) -> Cells:
    """Text of a float32 or float64 array."""
    values, valid = raw(array, kind), validity(array)
    if extra_float_digits <= 0:
        digits = rounded_digits(kind, extra_float_digits)
        texts = binaries([rounded_text(value, digits) for value in values.tolist()])
        return Cells((texts,), variable_lengths(texts), valid)
    texts = array.cast(pa.string())
    size = np.abs(values)
    same: Array = (size >= _ARROW_LOW) & (size < _ARROW_HIGH[kind])
    same |= size == 0
    if not same.all():
        odd = ~same if valid is None else ~same & valid
        return _repaired(texts.view(pa.binary()), values, odd, kind, valid)
    return Cells((texts,), variable_lengths(texts), valid)


def _repaired(texts: pa.Array, values: Array, odd: Array, kind: str, valid: Array | None) -> Cells:
    """Arrow's texts with those of ``odd`` values as PostgreSQL has them."""
    where = np.nonzero(odd)[0]
    part = values[where]
    fixed, done = _common_oddities(part, kind)
    for row in np.nonzero(~done)[0].tolist():
        fixed[row] = shortest_text(float(part[row]), kind)
    return substituted(texts, odd, fixed.tolist(), valid)


def _common_oddities(values: Array, kind: str) -> tuple[Array, Array]:
    """Texts of infinities, NaN, and large numbers without or with two decimal places.

    Returns:
        The texts, and which of them are there.
    """
    texts = np.empty(len(values), object)
    done = np.isnan(values)
    texts[done] = b"NaN"
    for infinity, text in ((math.inf, b"Infinity"), (-math.inf, b"-Infinity")):
        found = values == infinity
        texts[found] = text
        done |= found
    if kind == "<f4":
        return texts, done
    # A decimal of at most 15 digits is the only one of so few that reads back as its float8. So
    # what is equal to a whole number of hundredths is printed as that.
    large = (np.abs(values) >= 1e10) & (np.abs(values) < 1e13)
    hundredths = np.rint(np.where(large, values, 0) * 100)
    exact = large & (hundredths / 100 == values)
    texts[exact] = _hundredths_text(hundredths[exact].astype(np.int64))
    return texts, done | exact


def _hundredths_text(count: Array) -> list[bytes]:
    size = np.abs(count)
    whole = numbers(np.where(count < 0, -(size // 100), size // 100)).cast(pa.string())
    tails = binaries(_TAILS).take(numbers(size % 100))
    joined: list[bytes] = pc.binary_join_element_wise(
        whole.view(pa.binary()), tails, constant(b"", pa.binary())
    ).to_pylist()
    return joined
