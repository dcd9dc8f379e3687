"""Which expressions over a row that a join did not find are NULL by themselves."""

from __future__ import annotations

import pytest

from semantic.compiler.dialect import dialect_of
from semantic.compiler.model_sql import is_null_of_nulls


@pytest.mark.parametrize(
    "sql",
    [
        "a",
        "a + 1",
        "1 - (a * 2)",
        "CAST(a AS text)",
        "lower(trim(a)) || 'x'",
        "a > 1 OR NOT b = 2",
        "a > 1 AND b LIKE 'x%'",
        "a BETWEEN 1 AND 2",
    ],
)
def test_null(sql: str) -> None:
    assert is_null_of_nulls(dialect_of("duckdb").parse(sql)[0])


@pytest.mark.parametrize(
    "sql",
    [
        "1",
        "a IS NULL",
        "NOT a IS NULL",
        "COALESCE(a, 0)",
        "CASE WHEN a > 1 THEN 'x' ELSE 'y' END",
        "concat(a, 'x')",
        "a > 1 OR true",
        "a IS NOT DISTINCT FROM b",
        "greatest(a, 0)",
        "unknown(a)",
    ],
)
def test_perhaps_a_value(sql: str) -> None:
    assert not is_null_of_nulls(dialect_of("duckdb").parse(sql)[0])
