"""Signatures of array functions (manual, 9.19)."""

from __future__ import annotations

from semantic.compiler.expressions.signatures.registry import read_table

ARRAYS = read_table(
    """
    array_append(anyarray, any) array
    array_cat(anyarray, anyarray) array
    array_dims(anyarray) text
    array_length(anyarray, int4) int4
    array_lower(anyarray, int4) int4
    array_ndims(anyarray) int4
    array_position(anyarray, any) int4
    array_positions(anyarray, any) _int4
    array_prepend(any, anyarray) array
    array_remove(anyarray, any) array
    array_replace(anyarray, any, any) array
    array_upper(anyarray, int4) int4
    trim_array(anyarray, int4) array
    cardinality(anyarray) int4
    """,
    "scalar",
)
