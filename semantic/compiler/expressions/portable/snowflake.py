"""Snowflake.

By its documentation; what that leaves open is left out. Every integer is a NUMBER(38, 0) there, so
that a statement says the types of its result for the connector. The connector's sessions are in UTC
with weeks from Monday. A timestamp may hold nanoseconds: one that does ends the statement. Doubles
sort as in PostgreSQL, NaN behind all others. Quotients are rounded to 6 decimals, so left out.
"""

from __future__ import annotations

from semantic.compiler.expressions.features import Features
from semantic.compiler.expressions.portable.tables import Tables, each

_NUMBERS = {
    **each(
        "int2 int4 int8",
        {
            "+({}, {})": "_1 + _2",
            "-({}, {})": "_1 - _2",
            "*({}, {})": "_1 * _2",
            "%({}, {})": "MOD(_1, _2)",
            "-({})": "-_1",
            "abs({})": "ABS(_1)",
            "cast({}, numeric)": "CAST(_1 AS _t)",
            "cast({}, float8)": "CAST(_1 AS DOUBLE)",
            "cast({}, text)": "CAST(_1 AS VARCHAR)",
        },
    ),
    **{f"{sign}(numeric, numeric)": f"CAST(_1 {sign} _2 AS _t)" for sign in "+-"},
    "-(numeric)": "-_1",
    **dict.fromkeys(("cast(int2, int4)", "cast(int2, int8)", "cast(int4, int8)"), "_1"),
}
_STRINGS = {
    "||(text, text)": "_1 || _2",
    "length(text)": "LENGTH(_1)",
    "substring(text, int4)": "SUBSTR(_1, GREATEST(_2, 1))",
    "starts_with(text, text)": "STARTSWITH(_1, _2)",
    "like(text, text)": "_1 LIKE _2 ESCAPE '!'",
}
_PERIODS = ("year", "quarter", "month", "week", "day", "hour", "minute", "second")
_FIELDS = {
    "year": "YEAR(_1)",
    "quarter": "QUARTER(_1)",
    "month": "MONTH(_1)",
    "day": "DAY(_1)",
    "dow": "MOD(DAYOFWEEKISO(_1), 7)",
    "isodow": "DAYOFWEEKISO(_1)",
    "doy": "DAYOFYEAR(_1)",
}
_CLOCK = {"hour": "HOUR(_1)", "minute": "MINUTE(_1)"}
_FIELDS_OF = {
    (kind, field): text
    for kind in ("date", "timestamp", "timestamptz")
    for field, text in {**_FIELDS, **({} if kind == "date" else _CLOCK)}.items()
}
_DATES = {
    **{
        f"date_trunc('{name}', {kind})": f"DATE_TRUNC('{name}', _1)"
        for kind in ("timestamp", "timestamptz")
        for name in _PERIODS
    },
    **{
        f"extract('{field}', {kind})": f"CAST({text} AS NUMBER(10, 0))"
        for (kind, field), text in _FIELDS_OF.items()
    },
    **{
        f"date_part('{field}', {kind})": f"CAST({text} AS DOUBLE)"
        for (kind, field), text in _FIELDS_OF.items()
    },
    "+(date, int4)": "DATEADD('day', _2, _1)",
    "-(date, int4)": "DATEADD('day', -_2, _1)",
    "-(date, date)": "DATEDIFF('day', _2, _1)",
    **each("timestamp timestamptz", {"+({}, days)": "DATEADD('day', _2, _1)"}),
    "+(timestamp, months)": "DATEADD('month', _2, _1)",
    "cast(date, timestamp)": "CAST(_1 AS TIMESTAMP_NTZ(6))",
    "cast(timestamp, date)": "CAST(_1 AS DATE)",
    "cast(date, timestamptz)": "CONVERT_TIMEZONE('UTC', CAST(_1 AS TIMESTAMP_TZ(6)))",
    "cast(timestamp, timestamptz)": "CONVERT_TIMEZONE('UTC', CAST(_1 AS TIMESTAMP_TZ(6)))",
    "cast(timestamptz, timestamp)": "CAST(_1 AS TIMESTAMP_NTZ(6))",
    "cast(timestamptz, date)": "CAST(_1 AS DATE)",
}
_COMPARABLE = "bool int2 int4 int8 numeric float8 text varchar date timestamp timestamptz"
_TOTALS = {
    "count(*)": "COUNT(*)",
    "count(any)": "COUNT(_1)",
    **each("int2 int4", {"sum({})": "SUM(_1)"}),
    **each("int8 numeric", {"sum({})": "CAST(SUM(_1) AS _t)"}),
    **each(
        "int2 int4 int8 numeric float8 text varchar date timestamp timestamptz",
        {"min({})": "MIN(_1)", "max({})": "MAX(_1)"},
    ),
    "bool_and(bool)": "BOOLAND_AGG(_1)",
    "bool_or(bool)": "BOOLOR_AGG(_1)",
}
# A text that is no number ends the statement.
_FLOAT_TOTAL = (
    "CASE WHEN ABS(SUM(_1)) = CAST('inf' AS DOUBLE) AND MAX(ABS(_1)) < CAST('inf' AS DOUBLE) "
    "THEN CAST('value out of range: overflow' AS DOUBLE) ELSE SUM(_1) END"
)


def _of_microseconds(kind: str, value: str) -> str:
    return (
        "CASE WHEN MOD(DATE_PART('nanosecond', _1), 1000) = 0 THEN "
        f"{value} WHEN _1 IS NOT NULL THEN CAST('a {kind} with nanoseconds' AS {kind}) END"
    )


SNOWFLAKE = Tables(
    dialect="snowflake",
    title="Snowflake",
    features=Features(
        lateral=False,
        distinct_on=False,
        set_operations=frozenset(("union", "union all", "intersect", "except")),
        recursive=False,
        materialized=False,
        named_windows=False,
        computed_limits=False,
        correlated_subqueries=False,
        fence="limit",
        typed_results=True,
    ),
    types={
        "bool": "BOOLEAN",
        **dict.fromkeys(("int2", "int4", "int8"), "NUMBER(38, 0)"),
        "float8": "DOUBLE",
        "numeric": "NUMBER({precision}, {scale})",
        "text": "VARCHAR",
        "varchar": "VARCHAR",
        "date": "DATE",
        "timestamp": "TIMESTAMP_NTZ(6)",
        "timestamptz": "TIMESTAMP_TZ(6)",
    },
    digits=38,
    comparable=frozenset(_COMPARABLE.split()),
    templates={
        **_NUMBERS,
        **_STRINGS,
        **_DATES,
        **_TOTALS,
        "sum(float8)": _FLOAT_TOTAL,
        **each(_COMPARABLE, {"count(distinct {})": "COUNT(DISTINCT _1)"}),
        **{f"{key} over": text for key, text in _TOTALS.items() if "bool_" not in key},
        **{f"{name}() over": f"{name}()" for name in ("row_number", "rank", "dense_rank")},
    },
    constants={
        **dict.fromkeys(("int2", "int4", "int8"), "_1"),
        "numeric": "CAST(_1 AS _t)",
        "float8": "CAST(_1 AS DOUBLE)",
        "date": "TO_DATE(_1, 'YYYY-MM-DD')",
        "timestamp": "CAST(_1 AS TIMESTAMP_NTZ(6))",
        "timestamptz": "CONVERT_TIMEZONE('UTC', CAST(_1 || ' +0000' AS TIMESTAMP_TZ(6)))",
    },
    parameters={
        "bool": "CAST(_1 AS BOOLEAN)",
        **dict.fromkeys(("int2", "int4", "int8"), "CAST(_1 AS NUMBER(38, 0))"),
        "float8": "CAST(_1 AS DOUBLE)",
        **dict.fromkeys(("text", "varchar"), "CAST(_1 AS VARCHAR)"),
        "date": "TO_DATE(_1, 'YYYY-MM-DD')",
        "timestamp": "CAST(_1 AS TIMESTAMP_NTZ(6))",
        "timestamptz": "CONVERT_TIMEZONE('UTC', CAST(_1 || ' +0000' AS TIMESTAMP_TZ(6)))",
    },
    columns={
        # A column may be declared with a collation of its own.
        **dict.fromkeys(("text", "varchar"), "COLLATE(_1, '')"),
        "timestamp": _of_microseconds("TIMESTAMP_NTZ", "CAST(_1 AS TIMESTAMP_NTZ(6))"),
        "timestamptz": _of_microseconds(
            "TIMESTAMP_TZ", "CONVERT_TIMEZONE('UTC', CAST(_1 AS TIMESTAMP_TZ(6)))"
        ),
    },
    moment="CONVERT_TIMEZONE('UTC', CAST(_1 AS TIMESTAMP_TZ(6)))",
)
