"""numeric from decimal arrays, or from text that already is PostgreSQL's.

The binary format (``numeric_send``): int16 number of digits to base 10000, int16 weight of the
first, uint16 sign, int16 display scale, and the digits, without zero digits at either end.
"""

from __future__ import annotations

import decimal
import functools
import struct

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from proxy.rows.cells import (
    Array,
    Cells,
    Piece,
    binaries,
    constant,
    flags,
    numbers,
    patched,
    ragged,
    raw,
    truth,
    validity,
    variable_cells,
    variable_lengths,
)
from proxy.rows.errors import EncodeError

_NEGATIVE = 0x4000
_SPECIAL = {"NaN": 0xC000, "Infinity": 0xD000, "-Infinity": 0xF000}
_POWERS = np.array([10**n for n in range(20)], np.uint64)
# A number is taken apart as an integer part and this many decimal places, both in 64 bits.
_PLACES = 16
_BASE = np.uint64(10_000)
_HEADER = np.dtype([("count", ">i2"), ("weight", ">i2"), ("sign", ">u2"), ("scale", ">i2")])


def plain_text(value: decimal.Decimal) -> str:
    """One finite decimal without exponent, all digits of its scale kept."""
    return format(value, "f")


def binary_of_text(text: str) -> bytes:
    """The binary form of one number as PostgreSQL prints it. Raises EncodeError 22P02."""
    special = _SPECIAL.get(text)
    if special is not None:
        return struct.pack("!hhHh", 0, 0, special, 0)
    negative = text.startswith("-")
    whole, _, fraction = text.lstrip("+-").partition(".")
    if not (whole + fraction).isdecimal():
        raise EncodeError("22P02", f'invalid input syntax for type numeric: "{text}"')
    whole = whole.rjust(-(-len(whole) // 4) * 4, "0")
    padded = whole + fraction.ljust(-(-len(fraction) // 4) * 4, "0")
    digits = [int(padded[at : at + 4]) for at in range(0, len(padded), 4)]
    weight = len(whole) // 4 - 1
    while digits and not digits[-1]:
        digits.pop()
    first = next((at for at, digit in enumerate(digits) if digit), 0)
    digits = digits[first:]
    weight = weight - first if digits else 0
    sign = _NEGATIVE if negative and digits else 0
    return struct.pack(f"!hhHh{len(digits)}h", len(digits), weight, sign, len(fraction), *digits)


def _small(array: pa.Array) -> tuple[Array, Array]:
    """The unscaled integers of a decimal128 array in 64 bits, and which did not fit (zero)."""
    words = raw(array, "V16").view("<i8").reshape(-1, 2)
    low, high = words[:, 0], words[:, 1]
    odd = high != low >> 63
    valid = validity(array)
    if valid is not None:
        return np.where(valid & ~odd, low, 0), odd & valid
    return (np.where(odd, 0, low) if odd.any() else low), odd


def _size(integers: Array) -> Array:
    """Absolute values; the least int64 has one, too."""
    return np.abs(integers).view(np.uint64)


@functools.cache
def _fraction_table(scale: int) -> Array:
    """``.dd`` of each fraction of up to four decimal places."""
    return np.array([b".%0*d" % (scale, n) for n in range(10**scale)], f"S{scale + 1}")


@functools.cache
def _four_digits() -> Array:
    return np.array([b"%04d" % n for n in range(10_000)], "S4").view(np.uint32)


def _fraction_pieces(fraction: Array, scale: int) -> list[Piece]:
    """The point and ``scale`` digits."""
    first = scale % 4 or 4
    rest = scale - first
    head = fraction // _POWERS[rest]
    pieces: list[Piece] = [_fraction_table(first).take(head.view(np.int64))]
    left = fraction - head * _POWERS[rest]
    while rest:
        rest -= 4
        digit = left // _POWERS[rest]
        left = left - digit * _POWERS[rest]
        pieces.append(_four_digits().take(digit.view(np.int64)))
    return pieces


def _decimal_text(array: pa.Array) -> Cells:
    """Text of decimals whose unscaled integers mostly fit 64 bits."""
    scale = array.type.scale
    integers, odd = _small(array)
    size = _size(integers)
    whole = size // _POWERS[scale]
    fraction = size - whole * _POWERS[scale]
    negative = integers < 0
    signed = whole.view(np.int64)
    texts = numbers(np.where(negative, -signed, signed)).cast(pa.string())
    below_one = negative & (whole == 0)
    if below_one.any():
        texts = pc.if_else(flags(below_one), constant(b"-0", texts.type), texts)
    pieces: list[Piece] = [texts]
    lengths = variable_lengths(texts)
    if scale:
        pieces += _fraction_pieces(fraction, scale)
        lengths = lengths + (1 + scale)
    cells = Cells(tuple(pieces), lengths, validity(array))
    return patched(cells, len(array), odd, lambda row: plain_text(array[row].as_py()).encode())


def numeric_text(array: pa.Array) -> Cells:
    """Text of a decimal or string array."""
    if not pa.types.is_decimal(array.type):
        return variable_cells(array)
    if pa.types.is_decimal128(array.type) and 0 <= array.type.scale <= _PLACES:
        return _decimal_text(array)
    texts = array.cast(pa.string())
    cells = Cells((texts,), variable_lengths(texts), validity(array))
    # Arrow changes to exponents for values with more than six leading zeros.
    odd = truth(pc.match_substring(texts, "E"))
    return patched(cells, len(array), odd, lambda row: plain_text(array[row].as_py()).encode())


def _base_10000(integers: Array, scale: Array | int) -> tuple[list[Array], int]:
    """Digits to base 10000, column by column, and how many are of the integer part."""
    power = _POWERS[scale]
    size = _size(integers)
    whole = size // power
    fraction = (size - whole * power) * _POWERS[_PLACES - scale]
    largest = int(whole.max(initial=0))
    wholes = next(n for n in range(1, 6) if largest < 10_000**n)
    fractions = 4 if np.ndim(scale) else -(-int(scale) // 4)
    digits = []
    for _ in range(wholes - 1):
        rest = whole // _BASE
        digits.append(whole - rest * _BASE)
        whole = rest
    digits.append(whole)
    digits.reverse()
    for column in range(fractions):
        unit = _POWERS[_PLACES - 4 * (column + 1)]
        digit = fraction // unit
        digits.append(digit)
        fraction = fraction - digit * unit
    return digits, wholes


def _packed(integers: Array, scale: Array | int, valid: Array | None) -> Cells:
    """Binary form of ``integers`` / 10**``scale``."""
    columns, wholes = _base_10000(integers, scale)
    rows, width = len(integers), len(columns)
    # Which digits are other than zero, as the bits of a number: what is to be sent, from the first
    # to the last of them, is then looked up in tables.
    bits = np.zeros(rows, np.uint16)
    digits = np.empty((rows, width), ">i2")
    for place, column in enumerate(columns):
        digits[:, place] = column
        bits |= (column != 0).astype(np.uint16) << np.uint16(place)
    starts, counts, inside = _spans(width)
    count = counts.take(bits)
    header = np.empty(rows, _HEADER)
    header["count"] = count
    header["weight"] = np.where(count > 0, wholes - 1 - starts.take(bits), 0)
    header["sign"] = np.where(integers < 0, _NEGATIVE, 0)
    header["scale"] = scale
    data = digits[inside.take(bits, axis=0)].view(np.uint8)
    lengths = count.astype(np.int64) * 2
    return Cells((header, ragged(data, lengths)), lengths + 8, valid)


@functools.cache
def _spans(width: int) -> tuple[Array, Array, Array]:
    """Of each set of bits: the lowest, how many up to the highest, and a mask of these."""
    integers = range(1 << width)
    starts = np.array([max((n & -n).bit_length() - 1, 0) for n in integers], np.int16)
    ends = np.array([n.bit_length() for n in integers], np.int16)
    place = np.arange(width)
    return starts, ends - starts, (place >= starts[:, None]) & (place < ends[:, None])


def _from_text(array: pa.Array) -> Cells:
    """Binary form of integers that arrive as text."""
    valid, texts = validity(array), pc.coalesce(array, constant(b"0", array.type))
    lengths = variable_lengths(texts)
    letters = truth(pc.match_substring_regex(texts, "[^0-9.-]"))
    odd = letters | (lengths > 18)
    if odd.any():
        texts = pc.if_else(flags(odd), constant(b"0", texts.type), texts)
        lengths = np.where(odd, 1, lengths)
    point = raw(pc.find_substring(texts, ".").cast(pa.int64()), np.int64)
    scale = np.where(point < 0, 0, lengths - point - 1)
    if scale.max(initial=0) > _PLACES:
        return _one_by_one(array)
    try:
        digits = pc.replace_substring(texts, ".", "", max_replacements=1).cast(pa.int64())
    except pa.ArrowInvalid:
        return _one_by_one(array)
    cells = _packed(raw(digits, np.int64), scale, valid)
    return patched(cells, len(array), odd, lambda row: binary_of_text(array[row].as_py()))


def _one_by_one(array: pa.Array) -> Cells:
    texts = [
        None
        if value is None
        else binary_of_text(value if isinstance(value, str) else plain_text(value))
        for value in array.to_pylist()
    ]
    return variable_cells(binaries(texts))


def numeric_binary(array: pa.Array) -> Cells:
    """Binary form of a decimal or string array."""
    if not pa.types.is_decimal(array.type):
        return _from_text(array)
    if not pa.types.is_decimal128(array.type) or not 0 <= array.type.scale <= _PLACES:
        return _one_by_one(array)
    integers, odd = _small(array)
    cells = _packed(integers, array.type.scale, validity(array))
    return patched(
        cells, len(array), odd, lambda row: binary_of_text(plain_text(array[row].as_py()))
    )
