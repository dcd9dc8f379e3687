"""One-dimensional arrays of any type that has cells of its own.

Text as the manual has it (8.15.6); binary as ``array_send``: int32 dimensions (0 if empty), int32 1
if there is a NULL, int32 element type, int32 length, int32 lower bound, then elements as in a row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from proxy.rows.cells import (
    Array,
    Cells,
    Piece,
    Rows,
    constant,
    flags,
    flat,
    numbers,
    prefixes,
    ragged,
    raw_filled,
    sizes,
    validity,
    variable_lengths,
)
from proxy.rows.errors import EncodeError

_SPECIAL = b'{}",\\ \t\n\r\v\f'
_IS_SPECIAL = np.isin(np.arange(256), np.frombuffer(_SPECIAL, np.uint8))
_NEEDS_QUOTES = r'^$|[{}",\\ \t\n\r\v\f]|(?i:^null$)'
_HEADER = np.dtype(
    [("dimensions", ">i4"), ("nulls", ">i4"), ("type", ">i4"), ("count", ">i4"), ("lower", ">i4")]
)


def needs_quotes(text: bytes) -> bool:
    """Whether an element's text must stand in quotes."""
    return not text or text.lower() == b"null" or any(byte in _SPECIAL for byte in text)


def quoted(text: bytes) -> bytes:
    """An element's text in quotes."""
    return b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


@dataclass(frozen=True, slots=True)
class Lists:
    """A list column taken apart: all elements in one array, and where each row's are."""

    elements: pa.Array
    offsets: Array
    valid: Array | None

    def real(self) -> list[bool]:
        """False where the whole list is NULL."""
        if self.valid is None:
            return [True] * (len(self.offsets) - 1)
        return [bool(one) for one in self.valid]


def taken_apart(array: pa.Array) -> Lists:
    """A list column's elements and the rows they belong to."""
    kind = array.type
    if pa.types.is_nested(kind.value_type):
        raise EncodeError("0A000", "multidimensional arrays are not supported")
    if not pa.types.is_list(kind):
        array = array.cast(pa.list_(kind.value_type))
    counts, _ = raw_filled(pc.list_value_length(array), np.int32)
    offsets = np.zeros(len(array) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    return Lists(array.flatten(), offsets, validity(array))


def _quoted_where_needed(texts: pa.Array) -> pa.Array:
    """Elements' texts, those that need it in quotes. None is NULL here."""
    lengths = variable_lengths(texts)
    buffer = texts.buffers()[2]
    start = texts.offset  # zero for arrays made by a join
    plain = buffer is None or not _IS_SPECIAL.take(np.frombuffer(buffer, np.uint8)).any()
    if start == 0 and plain and not ((lengths == 0) | (lengths == 4)).any():
        return texts
    needed = pc.match_substring_regex(texts, _NEEDS_QUOTES)
    escaped = pc.replace_substring_regex(texts, r'(["\\])', r"\\\1")
    quote = constant(b'"', texts.type)
    wrapped = pc.binary_join_element_wise(quote, escaped, quote, constant(b"", texts.type))
    return pc.if_else(needed, wrapped, texts)


def array_text(array: pa.Array, element: Callable[[pa.Array], Cells], plain: bool = False) -> Cells:
    """``{1,NULL,"a b"}``.

    Args:
        array: a list column.
        element: cells of the elements.
        plain: no element's text ever needs quotes.
    """
    lists = taken_apart(array)
    cells = element(lists.elements)
    texts = flat(cells, len(lists.elements))
    if not plain:
        texts = _quoted_where_needed(texts)
    if cells.valid is not None:
        texts = pc.if_else(flags(cells.valid), texts, constant(b"NULL", texts.type))
    offsets = numbers(lists.offsets.astype(np.int32))
    joined = pc.binary_join(pa.ListArray.from_arrays(offsets, texts), constant(b",", texts.type))
    return Cells((b"{", joined, b"}"), variable_lengths(joined) + 2, lists.valid)


def array_binary(array: pa.Array, element: Callable[[pa.Array], Cells], element_oid: int) -> Cells:
    """Header and elements."""
    lists = taken_apart(array)
    cells = element(lists.elements)
    rows = len(lists.elements)
    gathered = Rows(rows)
    gathered.add(prefixes(cells))
    gathered.cells(cells)
    sent = sizes(cells, rows) + 4
    starts = np.zeros(rows + 1, np.int64)
    np.cumsum(sent, out=starts[1:])
    data = np.frombuffer(gathered.join(int(starts[-1])), np.uint8)
    body = np.diff(starts[lists.offsets])
    header, header_sizes = _headers(lists, cells.valid, element_oid)
    return Cells((header, ragged(data, body)), body + header_sizes, lists.valid)


def _headers(lists: Lists, valid: Array | None, element_oid: int) -> tuple[Piece, Array | int]:
    counts = np.diff(lists.offsets)
    header = np.zeros(len(counts), _HEADER)
    header["dimensions"], header["count"], header["lower"] = 1, counts, 1
    header["type"] = element_oid
    if valid is not None:
        nulls = np.zeros(len(valid) + 1, np.int64)
        np.cumsum(~valid, out=nulls[1:])
        header["nulls"] = np.diff(nulls[lists.offsets]) > 0
    empty = counts == 0
    if not empty.any():
        return header, _HEADER.itemsize
    header["dimensions"][empty] = 0
    lengths = np.where(empty, 12, _HEADER.itemsize)
    inside = np.arange(_HEADER.itemsize) < lengths[:, None]
    data = header.view(np.uint8).reshape(-1, _HEADER.itemsize)[inside]
    return ragged(data, lengths), lengths
