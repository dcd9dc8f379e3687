"""Arrays that the catalog PostgreSQL has made of whole columns, as a warehouse is given them.

They may hold hundreds of thousands of values, so that common types are read without a reader each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from proxy.rows.parameters import decode_parameter

HEADER_BYTES = 20
"""Of a one-dimensional array: dimensions, flags, element type, length, lower bound."""

_NUMBERS = {"int2": ">i2", "int4": ">i4", "int8": ">i8", "float8": ">f8"}
_NULL = 0xFFFFFFFF


def _integer(data: bytes) -> int:
    return int.from_bytes(data, signed=True)


_ITEMS: dict[str, Callable[[bytes], object]] = {
    **dict.fromkeys(("text", "varchar", "bpchar", "name", "json"), bytes.decode),
    **dict.fromkeys(("int2", "int4", "int8"), _integer),
    "bool": any,
    "bytea": bytes,
}


def array_values(
    arrays: Sequence[bytes | None], type_names: Sequence[str], *, text: bool
) -> tuple[object, ...]:
    """Arrays as their text, or decoded from binary.

    Raises ParameterError 0A000 for a value that is not carried.
    """
    if text:
        return tuple(None if data is None else data.decode() for data in arrays)
    return tuple(_values(data, name) for data, name in zip(arrays, type_names, strict=True))


def _values(data: bytes | None, type_name: str) -> object:
    if data is None or int.from_bytes(data[:4]) != 1:
        return decode_parameter(data, type_name, 1)
    element = type_name.removeprefix("_")
    number = _NUMBERS.get(element)
    if number is not None:
        # Without NULLs all elements are of one length.
        layout = np.dtype([("size", ">i4"), ("value", number)])
        count = int.from_bytes(data[12:16])
        if len(data) == HEADER_BYTES + count * layout.itemsize:
            return np.frombuffer(data, layout, offset=HEADER_BYTES)["value"].tolist()
    read = _ITEMS.get(element)
    return decode_parameter(data, type_name, 1) if read is None else _items(data, read)


def _items(data: bytes, read: Callable[[bytes], object]) -> list[object]:
    values: list[object] = []
    position, end = HEADER_BYTES, len(data)
    while position < end:
        size = int.from_bytes(data[position : position + 4])
        position += 4
        if size == _NULL:
            values.append(None)
            continue
        values.append(read(data[position : position + size]))
        position += size
    return values
