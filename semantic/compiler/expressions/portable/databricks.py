"""Databricks: Spark's SQL, where the connector cannot set all that Spark's templates rest on.

Products of decimals lose digits there when they would have more than 38, so they are left out. A
day is made of functions that Databricks and Spark both have.
"""

from __future__ import annotations

from dataclasses import replace

from semantic.compiler.expressions.portable.spark import SPARK


def _midnight(month: str) -> str:
    return f"CAST(make_date(year(_1), {month}, 1) AS TIMESTAMP_NTZ)"


_MONTHS = {"year": "1", "quarter": "quarter(_1) * 3 - 2", "month": "month(_1)"}
DATABRICKS = replace(
    SPARK,
    dialect="databricks",
    title="Databricks",
    templates={
        **{key: text for key, text in SPARK.templates.items() if key != "*(numeric, numeric)"},
        **{
            f"date_trunc('{field}', timestamp)": _midnight(month)
            for field, month in _MONTHS.items()
        },
    },
)
