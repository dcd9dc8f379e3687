"""Signatures of array functions (manual, 9.19)."""

from __future__ import annotations

from semantic.compiler.expressions.signatures.registry import read_table

ARRAYS = read_table(
    """
    array_length(anyarray, int4) int4
    array_position(anyarray, any) int4
    cardinality(anyarray) int4
    """,
    "scalar",
)
