"""numeric from decimal arrays, or from text that already is PostgreSQL's."""

from __future__ import annotations

import decimal

import pyarrow as pa
import pyarrow.compute as pc

from proxy.rows.cells import Cells, patched, validity, variable_cells, variable_lengths


def plain_text(value: decimal.Decimal) -> bytes:
    """One finite decimal without exponent, all digits of its scale kept."""
    return format(value, "f").encode()


def numeric_cells(array: pa.Array) -> Cells:
    """Text of a decimal128, decimal256 or string array."""
    if not pa.types.is_decimal(array.type):
        return variable_cells(array)
    texts = array.cast(pa.string())
    cells = Cells((texts,), variable_lengths(texts), validity(array))
    if array.type.scale <= 6 and array.type.scale >= 0:
        return cells
    # Arrow changes to exponents for values with more than six leading zeros.
    odd = pc.match_substring(texts, "E").fill_null(False).to_numpy(zero_copy_only=False)
    return patched(cells, len(array), odd, lambda row: plain_text(array[row].as_py()))
