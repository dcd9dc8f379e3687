"""Trino (and Athena's engine version 3, which is Trino).

By its documentation and sources; what they leave open is left out. Integers and decimals overflow
into errors as in PostgreSQL, texts compare by their code points, and a fence is a LIMIT, since no
filter is moved through one. ``lower`` and ``upper`` know more letters than the collation "C".
"""

from __future__ import annotations

from semantic.compiler.expressions.features import Features
from semantic.compiler.expressions.portable.tables import Tables, each

_DOUBLES = {
    # Infinity and NaN sort behind all other numbers in PostgreSQL, and NaN is equal to itself.
    f"{sign}(float8, float8)": "CASE WHEN _1 IS NULL OR _2 IS NULL THEN NULL "
    f"WHEN is_nan(_1) THEN {first} WHEN is_nan(_2) THEN {second} ELSE _1 {sign} _2 END"
    for sign, first, second in (
        ("=", "is_nan(_2)", "false"),
        ("<>", "NOT is_nan(_2)", "true"),
        ("<", "false", "true"),
        ("<=", "is_nan(_2)", "true"),
        (">", "NOT is_nan(_2)", "false"),
        (">=", "true", "false"),
    )
}
_NUMBERS = {
    **each(
        "int2 int4 int8",
        {
            "+({}, {})": "_1 + _2",
            "-({}, {})": "_1 - _2",
            "*({}, {})": "_1 * _2",
            "/({}, {})": "_1 / _2",
            "%({}, {})": "_1 % _2",
            "-({})": "-_1",
            "abs({})": "abs(_1)",
            "cast({}, numeric)": "CAST(_1 AS _t)",
            "cast({}, float8)": "CAST(_1 AS double)",
            "cast({}, text)": "CAST(_1 AS varchar)",
        },
    ),
    **{f"{sign}(numeric, numeric)": f"CAST(_1 {sign} _2 AS _t)" for sign in "+-*"},
    "-(numeric)": "-_1",
    "cast(int2, int4)": "CAST(_1 AS integer)",
    **each("int2 int4", {"cast({}, int8)": "CAST(_1 AS bigint)"}),
    **_DOUBLES,
}
_STRINGS = {
    "||(text, text)": "_1 || _2",
    "length(text)": "CAST(length(_1) AS integer)",
    "strpos(text, text)": "CAST(strpos(_1, _2) AS integer)",
    "substring(text, int4)": "substr(_1, greatest(_2, 1))",
    "starts_with(text, text)": "starts_with(_1, _2)",
    "like(text, text)": "_1 LIKE _2 ESCAPE '!'",
}
_PERIODS = ("year", "quarter", "month", "week", "day", "hour", "minute", "second")
_FIELDS = {
    "year": "year(_1)",
    "quarter": "quarter(_1)",
    "month": "month(_1)",
    "day": "day(_1)",
    "dow": "day_of_week(_1) % 7",
    "isodow": "day_of_week(_1)",
    "doy": "day_of_year(_1)",
}
_CLOCK = {"hour": "hour(_1)", "minute": "minute(_1)"}
_FIELDS_OF = {
    (kind, field): text
    for kind in ("date", "timestamp")
    for field, text in {**_FIELDS, **({} if kind == "date" else _CLOCK)}.items()
}
_IN_UTC = "at_timezone(_1, 'UTC')"
_DATES = {
    **{f"date_trunc('{name}', timestamp)": f"date_trunc('{name}', _1)" for name in _PERIODS},
    **{
        f"date_trunc('{name}', timestamptz)": f"date_trunc('{name}', {_IN_UTC})"
        for name in _PERIODS
    },
    **{
        f"extract('{field}', {kind})": f"CAST({text} AS decimal(10, 0))"
        for (kind, field), text in _FIELDS_OF.items()
    },
    **{
        f"date_part('{field}', {kind})": f"CAST({text} AS double)"
        for (kind, field), text in _FIELDS_OF.items()
    },
    "+(date, int4)": "date_add('day', _2, _1)",
    "-(date, int4)": "date_add('day', -CAST(_2 AS bigint), _1)",
    "-(date, date)": "CAST(date_diff('day', _2, _1) AS integer)",
    **each(
        "timestamp timestamptz",
        {
            "+({}, days)": "date_add('day', _2, _1)",
        },
    ),
    "+(timestamp, months)": "date_add('month', _2, _1)",
    "cast(date, timestamp)": "CAST(_1 AS timestamp(6))",
    "cast(date, timestamptz)": "with_timezone(CAST(_1 AS timestamp(6)), 'UTC')",
    "cast(timestamp, timestamptz)": "with_timezone(_1, 'UTC')",
    "cast(timestamptz, timestamp)": f"CAST({_IN_UTC} AS timestamp(6))",
    "cast(timestamptz, date)": f"CAST({_IN_UTC} AS date)",
    "cast(timestamp, date)": "CAST(_1 AS date)",
    "cast(date, text)": "CAST(_1 AS varchar)",
}
_COMPARABLE = "bool int2 int4 int8 numeric text varchar date timestamp timestamptz"
_TOTALS = {
    "count(*)": "count(*)",
    "count(any)": "count(_1)",
    **each("int2 int4", {"sum({})": "sum(_1)"}),
    **each("int8 numeric", {"sum({})": "sum(CAST(_1 AS _t))"}),
    **each(_COMPARABLE, {"min({})": "min(_1)", "max({})": "max(_1)"}),
    "bool_and(bool)": "bool_and(_1)",
    "bool_or(bool)": "bool_or(_1)",
}
_FLOAT_TOTAL = (
    "CASE WHEN is_infinite(sum(_1)) AND NOT bool_or(is_infinite(_1)) "
    "THEN CAST(fail('value out of range: overflow') AS double) ELSE sum(_1) END"
)
TRINO = Tables(
    dialect="trino",
    title="Trino",
    features=Features(
        # Trino joins both sides in full by equalities alone.
        full_join=False,
        lateral=False,
        distinct_on=False,
        with_ties=False,
        set_operations=frozenset(("union", "union all", "intersect", "except")),
        recursive=False,
        materialized=False,
        computed_limits=False,
        correlated_subqueries=False,
        fence="limit",
    ),
    types={
        "bool": "boolean",
        "int2": "smallint",
        "int4": "integer",
        "int8": "bigint",
        "float8": "double",
        "numeric": "decimal({precision}, {scale})",
        "text": "varchar",
        "varchar": "varchar",
        "date": "date",
        "timestamp": "timestamp(6)",
        "timestamptz": "timestamp(6) with time zone",
    },
    digits=38,
    comparable=frozenset(_COMPARABLE.split()),
    templates={
        **_NUMBERS,
        **_STRINGS,
        **_DATES,
        **_TOTALS,
        "sum(float8)": _FLOAT_TOTAL,
        **each(_COMPARABLE, {"count(distinct {})": "count(DISTINCT _1)"}),
        **{f"{key} over": text for key, text in _TOTALS.items()},
        **{f"{name}() over": f"{name}()" for name in ("row_number", "rank", "dense_rank")},
    },
    constants={
        "int2": "CAST(_1 AS smallint)",
        "int4": "CAST(_1 AS integer)",
        "int8": "CAST(_1 AS bigint)",
        "numeric": "CAST(_1 AS _t)",
        "float8": "CAST(_1 AS double)",
        "date": "CAST(_1 AS date)",
        "timestamp": "CAST(_1 AS timestamp(6))",
        "timestamptz": "with_timezone(CAST(_1 AS timestamp(6)), 'UTC')",
    },
    parameters={
        "bool": "CAST(_1 AS boolean)",
        "int2": "CAST(_1 AS smallint)",
        "int4": "CAST(_1 AS integer)",
        "int8": "CAST(_1 AS bigint)",
        "float8": "CAST(_1 AS double)",
        "text": "CAST(_1 AS varchar)",
        "varchar": "CAST(_1 AS varchar)",
        "date": "CAST(_1 AS date)",
        "timestamp": "CAST(_1 AS timestamp(6))",
        "timestamptz": "with_timezone(CAST(_1 AS timestamp(6)), 'UTC')",
    },
    columns={
        # Each source has a precision of its own; all are compared as one of microseconds.
        "timestamp": "CAST(_1 AS timestamp(6))",
        "timestamptz": "CAST(_1 AS timestamp(6) with time zone)",
        **dict.fromkeys(("text", "varchar"), "CAST(_1 AS varchar)"),
    },
    moment="with_timezone(CAST(_1 AS timestamp(6)), 'UTC')",
)
