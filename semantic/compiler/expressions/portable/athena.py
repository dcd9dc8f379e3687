"""Athena, whose engine version 3 is Trino.

Its results show moments to the millisecond, so that a statement gives them as texts, and says the
types of its columns for the connector.
"""

from __future__ import annotations

from dataclasses import replace

from semantic.compiler.expressions.portable.trino import TRINO

ATHENA = replace(
    TRINO,
    dialect="athena",
    parser="trino",
    title="Athena",
    features=replace(TRINO.features, typed_results=True),
    results={
        "timestamp": "CAST(_1 AS varchar)",
        "timestamptz": "CAST(CAST(at_timezone(_1, 'UTC') AS timestamp(6)) AS varchar)",
    },
)
