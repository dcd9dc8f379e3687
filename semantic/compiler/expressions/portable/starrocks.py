"""StarRocks and Apache Doris, which speak MySQL's protocol and compute in ways of their own.

Few templates: what both manuals promise. None of it has been tried on a real server yet. Texts have
no collations there and compare by bytes.
"""

from __future__ import annotations

import re
from dataclasses import replace

from semantic.compiler.expressions.features import Features
from semantic.compiler.expressions.portable.tables import Tables, each

_COMPARABLE = "bool int2 int4 int8 text varchar date timestamp"
_AGGREGATES = {
    "count(*)": "COUNT(*)",
    "count(any)": "COUNT(_1)",
    # Sums of integers wrap around unless they are of decimals.
    "sum(int2)": "CAST(SUM(CAST(_1 AS DECIMAL(38,0))) AS BIGINT)",
    "sum(int4)": "CAST(SUM(CAST(_1 AS DECIMAL(38,0))) AS BIGINT)",
    "sum(int8)": "SUM(CAST(_1 AS DECIMAL(38,0)))",
    "sum(numeric)": "SUM(CAST(_1 AS _t))",
    **each("int2 int4 int8 text varchar date timestamp", {"min({})": "MIN(_1)"}),
    **each("int2 int4 int8 text varchar date timestamp", {"max({})": "MAX(_1)"}),
    **each(_COMPARABLE, {"count(distinct {})": "COUNT(DISTINCT _1)"}),
}
_FIELDS = {"year": "YEAR", "quarter": "QUARTER", "month": "MONTH", "day": "DAYOFMONTH"}
_TEMPLATES = {
    **dict.fromkeys(("cast(int2, int4)", "cast(int2, int8)", "cast(int4, int8)"), "_1"),
    **each("int2 int4 int8", {"cast({}, numeric)": "CAST(_1 AS _t)"}),
    "cast(numeric, numeric)": "CAST(_1 AS _t)",
    "cast(date, timestamp)": "CAST(_1 AS DATETIME)",
    "length(text)": "CHAR_LENGTH(_1)",
    "||(text, text)": "CONCAT(_1, _2)",
    "starts_with(text, text)": "STARTS_WITH(_1, _2)",
    **{
        f"date_trunc('{field}', timestamp)": f"DATE_TRUNC('{field}', _1)"
        for field in ("year", "quarter", "month", "week", "day", "hour", "minute")
    },
    **{
        f"extract('{field}', {kind})": f"{function}(_1)"
        for field, function in _FIELDS.items()
        for kind in ("date", "timestamp")
    },
    **_AGGREGATES,
}
STARROCKS = Tables(
    dialect="starrocks",
    title="StarRocks",
    features=Features(
        full_join=False,
        lateral=False,
        grouping_sets=False,
        distinct_on=False,
        with_ties=False,
        set_operations=frozenset(("union", "union all")),
        recursive=False,
        materialized=False,
        values=False,
        named_windows=False,
        nulls_order=False,
        computed_limits=False,
        single_row_subqueries=False,
        correlated_subqueries=False,
        booleans=False,
        filters=False,
        fence="limit",
        typed_results=True,
    ),
    types={
        "bool": "BOOLEAN",
        "int2": "SMALLINT",
        "int4": "INT",
        "int8": "BIGINT",
        "float8": "DOUBLE",
        "numeric": "DECIMAL({precision},{scale})",
        "text": "STRING",
        "varchar": "STRING",
        "date": "DATE",
        "timestamp": "DATETIME",
    },
    digits=38,
    decimals=18,
    comparable=frozenset((*_COMPARABLE.split(), "numeric")),
    templates=_TEMPLATES,
    constants={
        **dict.fromkeys(("int2", "int4", "int8"), "_1"),
        "numeric": "CAST(_1 AS _t)",
        "date": "CAST(_1 AS DATE)",
        "timestamp": "CAST(_1 AS DATETIME)",
    },
    parameters={
        "bool": "_1",
        **dict.fromkeys(("int2", "int4", "int8"), "CAST(_1 AS BIGINT)"),
        **dict.fromkeys(("text", "varchar"), "CAST(_1 AS STRING)"),
        "date": "CAST(_1 AS DATE)",
        "timestamp": "CAST(_1 AS DATETIME)",
    },
    same="_1 <=> _2",
)
DORIS = replace(
    STARROCKS,
    dialect="doris",
    title="Doris",
    templates={
        # The same function with its arguments the other way round.
        key: re.sub(r"DATE_TRUNC\(('\w+'), _1\)", r"DATE_TRUNC(_1, \1)", text)
        for key, text in _TEMPLATES.items()
    },
)
