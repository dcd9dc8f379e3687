"""BigQuery (GoogleSQL).

By its documentation; what that leaves open is left out. All integers are INT64 and overflow into
errors, so that a statement says the types of its result for the connector. Numerics are NUMERIC
(38 digits, 9 of them decimals); products may be rounded there, and are left out. Texts compare by
their code points. The connector leaves the time zone at UTC.
"""

from __future__ import annotations

from semantic.compiler.expressions.features import Features
from semantic.compiler.expressions.portable.tables import Tables, each

_DOUBLES = {
    # NaN is equal to itself and behind all other numbers in PostgreSQL.
    f"{sign}(float8, float8)": "CASE WHEN _1 IS NULL OR _2 IS NULL THEN NULL "
    f"WHEN IS_NAN(_1) THEN {first} WHEN IS_NAN(_2) THEN {second} ELSE _1 {sign} _2 END"
    for sign, first, second in (
        ("=", "IS_NAN(_2)", "FALSE"),
        ("<>", "NOT IS_NAN(_2)", "TRUE"),
        ("<", "FALSE", "TRUE"),
        ("<=", "IS_NAN(_2)", "TRUE"),
        (">", "NOT IS_NAN(_2)", "FALSE"),
        (">=", "TRUE", "FALSE"),
    )
}
_NUMBERS = {
    **each(
        "int2 int4 int8",
        {
            "+({}, {})": "_1 + _2",
            "-({}, {})": "_1 - _2",
            "*({}, {})": "_1 * _2",
            "/({}, {})": "DIV(_1, _2)",
            "%({}, {})": "MOD(_1, _2)",
            "-({})": "-_1",
            "abs({})": "ABS(_1)",
            "cast({}, float8)": "CAST(_1 AS FLOAT64)",
            "cast({}, text)": "CAST(_1 AS STRING)",
            "cast({}, numeric)": "CAST(_1 AS NUMERIC)",
        },
    ),
    **dict.fromkeys(("cast(int2, int4)", "cast(int2, int8)", "cast(int4, int8)"), "_1"),
    **_DOUBLES,
}
_STRINGS = {
    "||(text, text)": "_1 || _2",
    "length(text)": "CHAR_LENGTH(_1)",
    "substring(text, int4)": "SUBSTR(_1, GREATEST(_2, 1))",
    "starts_with(text, text)": "STARTS_WITH(_1, _2)",
}
_PERIODS = {
    "year": "YEAR",
    "quarter": "QUARTER",
    "month": "MONTH",
    "week": "ISOWEEK",
    "day": "DAY",
    "hour": "HOUR",
    "minute": "MINUTE",
    "second": "SECOND",
}
_FIELDS = {
    "year": "EXTRACT(YEAR FROM _1)",
    "quarter": "EXTRACT(QUARTER FROM _1)",
    "month": "EXTRACT(MONTH FROM _1)",
    "day": "EXTRACT(DAY FROM _1)",
    "dow": "EXTRACT(DAYOFWEEK FROM _1) - 1",
    "doy": "EXTRACT(DAYOFYEAR FROM _1)",
}
_CLOCK = {"hour": "EXTRACT(HOUR FROM _1)", "minute": "EXTRACT(MINUTE FROM _1)"}
_FIELDS_OF = {
    (kind, field): text
    for kind in ("date", "timestamp", "timestamptz")
    for field, text in {**_FIELDS, **({} if kind == "date" else _CLOCK)}.items()
}
_DATES = {
    **{
        f"date_trunc('{name}', timestamp)": f"DATETIME_TRUNC(_1, {unit})"
        for name, unit in _PERIODS.items()
    },
    **{
        f"date_trunc('{name}', timestamptz)": f"TIMESTAMP_TRUNC(_1, {unit}, 'UTC')"
        for name, unit in _PERIODS.items()
    },
    **{
        f"extract('{field}', {kind})": f"CAST({text} AS NUMERIC)"
        for (kind, field), text in _FIELDS_OF.items()
    },
    **{
        f"date_part('{field}', {kind})": f"CAST({text} AS FLOAT64)"
        for (kind, field), text in _FIELDS_OF.items()
    },
    "+(date, int4)": "DATE_ADD(_1, INTERVAL _2 DAY)",
    "-(date, int4)": "DATE_SUB(_1, INTERVAL _2 DAY)",
    "-(date, date)": "DATE_DIFF(_1, _2, DAY)",
    "+(timestamp, days)": "DATETIME_ADD(_1, INTERVAL _2 DAY)",
    "+(timestamp, months)": "DATETIME_ADD(_1, INTERVAL _2 MONTH)",
    "+(timestamptz, days)": "TIMESTAMP_ADD(_1, INTERVAL _2 DAY)",
    "cast(date, timestamp)": "DATETIME(_1)",
    "cast(timestamp, date)": "DATE(_1)",
    "cast(date, timestamptz)": "TIMESTAMP(_1, 'UTC')",
    "cast(timestamp, timestamptz)": "TIMESTAMP(_1, 'UTC')",
    "cast(timestamptz, timestamp)": "DATETIME(_1, 'UTC')",
    "cast(timestamptz, date)": "DATE(_1, 'UTC')",
    "cast(date, text)": "CAST(_1 AS STRING)",
}
_COMPARABLE = "bool int2 int4 int8 numeric text varchar date timestamp timestamptz"
_TOTALS = {
    "count(*)": "COUNT(*)",
    "count(any)": "COUNT(_1)",
    **each("int2 int4", {"sum({})": "SUM(_1)"}),
    "sum(int8)": "SUM(CAST(_1 AS NUMERIC))",
    **each(_COMPARABLE, {"min({})": "MIN(_1)", "max({})": "MAX(_1)"}),
    "bool_and(bool)": "LOGICAL_AND(_1)",
    "bool_or(bool)": "LOGICAL_OR(_1)",
}
# SUM of doubles goes over into an infinity where PostgreSQL complains.
_FLOAT_TOTAL = (
    "CASE WHEN IS_INF(SUM(_1)) AND NOT LOGICAL_OR(IS_INF(_1)) "
    "THEN CAST(ERROR('value out of range: overflow') AS FLOAT64) ELSE SUM(_1) END"
)
BIGQUERY = Tables(
    dialect="bigquery",
    title="BigQuery",
    features=Features(
        # Both sides in full by equalities alone.
        full_join=False,
        lateral=False,
        grouping_sets=False,
        distinct_on=False,
        with_ties=False,
        set_operations=frozenset(("union", "union all", "intersect", "except")),
        recursive=False,
        materialized=False,
        values=False,
        computed_limits=False,
        correlated_subqueries=False,
        fence="limit",
        typed_results=True,
    ),
    types={
        "bool": "BOOL",
        **dict.fromkeys(("int2", "int4", "int8"), "BIGINT"),
        "float8": "FLOAT64",
        # Nine decimals whatever is said: only whole numbers are computed with.
        "numeric": "NUMERIC",
        **dict.fromkeys(("text", "varchar"), "STRING"),
        "date": "DATE",
        "timestamp": "DATETIME",
        "timestamptz": "TIMESTAMP",
    },
    digits=29,
    comparable=frozenset(_COMPARABLE.split()),
    templates={
        **_NUMBERS,
        **_STRINGS,
        **_DATES,
        **_TOTALS,
        "sum(float8)": _FLOAT_TOTAL,
        **each(_COMPARABLE, {"count(distinct {})": "COUNT(DISTINCT _1)"}),
    },
    constants={
        **dict.fromkeys(("int2", "int4", "int8"), "_1"),
        "numeric": "CAST(_1 AS NUMERIC)",
        "float8": "CAST(_1 AS FLOAT64)",
        "date": "CAST(_1 AS DATE)",
        "timestamp": "CAST(_1 AS DATETIME)",
        "timestamptz": "TIMESTAMP(CAST(_1 AS DATETIME), 'UTC')",
    },
    parameters={
        "bool": "CAST(_1 AS BOOL)",
        **dict.fromkeys(("int2", "int4", "int8"), "CAST(_1 AS INT64)"),
        "float8": "CAST(_1 AS FLOAT64)",
        **dict.fromkeys(("text", "varchar"), "CAST(_1 AS STRING)"),
        "date": "CAST(_1 AS DATE)",
        "timestamp": "CAST(_1 AS DATETIME)",
        "timestamptz": "TIMESTAMP(CAST(_1 AS DATETIME), 'UTC')",
    },
    # A column may be declared with a collation of its own.
    columns=dict.fromkeys(("text", "varchar"), "COLLATE(_1, '')"),
    moment="TIMESTAMP(_1, 'UTC')",
)
