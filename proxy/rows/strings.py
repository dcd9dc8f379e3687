"""Types whose bytes need no arithmetic: text, bytea, uuid, json, bool."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from proxy.rows.cells import (
    Array,
    Cells,
    binaries,
    constant,
    fixed_cells,
    ragged,
    raw,
    truth,
    validity,
    variable_cells,
    variable_lengths,
)
from proxy.rows.errors import EncodeError

_NIL = b"00000000-0000-0000-0000-000000000000"
_HEX = np.array([list(b"%02x" % byte) for byte in range(256)], np.uint8).view(np.uint16).ravel()
# PostgreSQL's ``bytea_output = escape`` (manual, 8.4.2): a backslash doubled, what is not printable
# ASCII as a backslash and three octal digits.
_ESCAPED = [
    b"\\\\" if byte == 92 else bytes([byte]) if 32 <= byte <= 126 else b"\\%03o" % byte
    for byte in range(256)
]


def bool_text(array: pa.Array) -> Cells:
    """``t`` or ``f``."""
    return fixed_cells(np.where(truth(array), np.uint8(116), np.uint8(102)), validity(array))


def bool_binary(array: pa.Array) -> Cells:
    """One byte, 1 or 0."""
    return fixed_cells(truth(array).view(np.uint8), validity(array))


def _content(array: pa.Array) -> tuple[Array, Array]:
    """All bytes of a binary array in one, and the lengths (zero where NULL)."""
    if array.null_count:
        array = pc.coalesce(array, constant(b"", array.type))
    large = pa.types.is_large_binary(array.type)
    size = 8 if large else 4
    buffers = array.buffers()
    offsets = np.frombuffer(buffers[1], f"<i{size}", len(array) + 1, array.offset * size)
    data = np.frombuffer(buffers[2] or b"", np.uint8)[int(offsets[0]) : int(offsets[-1])]
    return data, np.diff(offsets).astype(np.int64)


def bytea_hex(array: pa.Array) -> Cells:
    r"""``\x`` and two digits per byte."""
    valid = validity(array)
    if not len(array):
        return variable_cells(array)
    data, lengths = _content(array)
    digits = ragged(_HEX[data], lengths * 2)
    prefix = np.full(len(array), np.frombuffer(b"\\x", np.uint16)[0])
    return Cells((prefix, digits), lengths * 2 + 2, valid)


def escape_text(value: bytes) -> bytes:
    """One bytea in the escape format."""
    return b"".join([_ESCAPED[byte] for byte in value])


def bytea_escape(array: pa.Array) -> Cells:
    """The escape format."""
    texts = [None if value is None else escape_text(value) for value in array.to_pylist()]
    return variable_cells(binaries(texts))


def jsonb_binary(array: pa.Array) -> Cells:
    """A version byte (1) and the text (``jsonb_send``)."""
    version = np.full(len(array), 1, np.uint8)
    return Cells((version, array), variable_lengths(array) + 1, validity(array))


def uuid_text(array: pa.Array) -> Cells:
    """36 characters, from 16 bytes or from text."""
    if not pa.types.is_fixed_size_binary(array.type):
        return variable_cells(array)
    digits = _HEX[raw(array, "V16").view(np.uint8)].reshape(-1, 16).view(np.uint8)
    out = np.full((len(array), 36), ord("-"), np.uint8)
    for start, stop, at in ((0, 8, 0), (8, 12, 9), (12, 16, 14), (16, 20, 19), (20, 32, 24)):
        out[:, at : at + stop - start] = digits[:, start:stop]
    return fixed_cells(out.view("S36").ravel(), validity(array))


def uuid_binary(array: pa.Array) -> Cells:
    """16 bytes, from 16 bytes or from text."""
    if pa.types.is_fixed_size_binary(array.type):
        return fixed_cells(raw(array, "V16"), validity(array))
    valid = validity(array)
    if valid is not None:
        array = pc.coalesce(array, constant(_NIL, array.type))
    data, lengths = _content(array.cast(pa.binary()))
    if (lengths != 36).any():
        raise EncodeError("22P02", "invalid input syntax for type uuid")
    return fixed_cells(_uuid_bytes(data.reshape(-1, 36)), valid)


def _uuid_bytes(text: Array) -> Array:
    digits = np.delete(text, (8, 13, 18, 23), axis=1)
    low = digits & 15
    nibbles = np.where(digits > 57, low + 9, low)
    packed = np.ascontiguousarray((nibbles[:, ::2] << 4) | nibbles[:, 1::2], np.uint8)
    return packed.view("V16").ravel()
