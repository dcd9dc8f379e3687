"""SQL Server (T-SQL).

By its documentation; what that leaves open is left out. Conditions are no values there, and are
turned into bits and back. To its operators ``'a'`` equals ``'a '`` whatever the collation, so that
texts go by their bytes in UTF-8 (``varbinary(max)``), which sort as the collation "C" does; the
connector reads them as texts. Integers are computed in wider ones and cast back, which ends the
statement where they do not fit. Products of decimals may be rounded there, and are left out.

The connector's settings belong to this: errors for what does not fit and for zero divisors.
"""

from __future__ import annotations

from semantic.compiler.expressions.features import Features
from semantic.compiler.expressions.portable.tables import Tables, each

_UTF8 = "CAST(CAST(_1 COLLATE Latin1_General_100_BIN2_UTF8 AS varchar(max)) AS varbinary(max))"
_TYPES = {
    "bool": "bit",
    "int2": "smallint",
    "int4": "int",
    "int8": "bigint",
    "float8": "float(53)",
    "numeric": "decimal({precision}, {scale})",
    "date": "date",
    "timestamp": "datetime2(6)",
    "timestamptz": "datetimeoffset(6)",
}


def _truth(condition: str) -> str:
    return f"CAST(CASE WHEN {condition} THEN 1 WHEN NOT {condition} THEN 0 END AS bit)"


def _arithmetic(kind: str, wide: str) -> dict[str, str]:
    """Operators of an integer type; those of bigint complain by themselves."""
    one, two = f"CAST(_1 AS {wide})", f"CAST(_2 AS {wide})"
    made = {
        **{f"{sign}({kind}, {kind})": f"{one} {sign} {two}" for sign in "+-*"},
        # The quotient of the least integer and -1 does not fit.
        f"/({kind}, {kind})": f"CASE WHEN _2 = -1 THEN -{one} ELSE {one} / _2 END",
        f"%({kind}, {kind})": f"CASE WHEN _2 = -1 THEN {one} - {one} ELSE {one} % _2 END",
        f"-({kind})": f"-{one}",
        f"abs({kind})": f"ABS({one})",
    }
    return {key: f"CAST({text} AS {_TYPES[kind]})" for key, text in made.items()}


_NUMBERS = {
    **_arithmetic("int2", "int"),
    **_arithmetic("int4", "bigint"),
    **_arithmetic("int8", "bigint"),
    **{
        f"cast({one}, {two})": f"CAST(_1 AS {_TYPES[two]})"
        for one, two in (
            *(("int2", "int4"), ("int2", "int8"), ("int4", "int8")),
            *(("int4", "int2"), ("int8", "int2"), ("int8", "int4")),
            *(("int2", "float8"), ("int4", "float8"), ("bool", "int4")),
        )
    },
    **each("int2 int4 int8", {"cast({}, numeric)": "CAST(_1 AS _t)"}),
    **{f"{sign}(numeric, numeric)": f"CAST(_1 {sign} _2 AS _t)" for sign in "+-"},
    "-(numeric)": "-_1",
    "abs(numeric)": "ABS(_1)",
}
_STRINGS = {
    "||(text, text)": "_1 + _2",
    "octet_length(text)": "CAST(DATALENGTH(_1) AS int)",
    "starts_with(text, text)": _truth("(SUBSTRING(_1, 1, DATALENGTH(_2)) = _2)"),
}

# A Monday, from which days are counted.
_DAYS = "DATEDIFF(day, '00010101', _1)"
_DAY_FIELDS = {
    "year": "YEAR(_1)",
    "quarter": "DATEPART(quarter, _1)",
    "month": "MONTH(_1)",
    "week": "DATEPART(iso_week, _1)",
    "day": "DAY(_1)",
    "dow": f"({_DAYS} + 1) % 7",
    "isodow": f"{_DAYS} % 7 + 1",
    "doy": "DATEPART(dayofyear, _1)",
}
_CLOCK_FIELDS = {"hour": "DATEPART(hour, _1)", "minute": "DATEPART(minute, _1)"}
_FIELDS = {
    (kind, field): text
    for kind in ("date", "timestamp", "timestamptz")
    for field, text in {**_DAY_FIELDS, **({} if kind == "date" else _CLOCK_FIELDS)}.items()
}


def _at_clock(hour: str = "0", minute: str = "0", second: str = "0") -> str:
    """A time of the operand's day."""
    day = "YEAR(_1), MONTH(_1), DAY(_1)"
    return f"DATETIME2FROMPARTS({day}, {hour}, {minute}, {second}, 0, 6)"


_HOUR, _MINUTE, _SECOND = (f"DATEPART({part}, _1)" for part in ("hour", "minute", "second"))
_QUARTER = "DATEPART(quarter, _1) * 3 - 2"
_TRUNCATED = {
    "year": "DATETIME2FROMPARTS(YEAR(_1), 1, 1, 0, 0, 0, 0, 6)",
    "quarter": f"DATETIME2FROMPARTS(YEAR(_1), {_QUARTER}, 1, 0, 0, 0, 0, 6)",
    "month": "DATETIME2FROMPARTS(YEAR(_1), MONTH(_1), 1, 0, 0, 0, 0, 6)",
    "week": f"CAST(DATEADD(day, -({_DAYS} % 7), CAST(_1 AS date)) AS datetime2(6))",
    "day": "CAST(CAST(_1 AS date) AS datetime2(6))",
    "hour": _at_clock(_HOUR),
    "minute": _at_clock(_HOUR, _MINUTE),
    "second": _at_clock(_HOUR, _MINUTE, _SECOND),
}
# Moments are in UTC, see the columns below.
_IN_UTC = "CAST({} AS datetimeoffset(6))"
_DATES = {
    **{f"date_trunc('{field}', timestamp)": text for field, text in _TRUNCATED.items()},
    **{
        f"date_trunc('{field}', timestamptz)": _IN_UTC.format(text)
        for field, text in _TRUNCATED.items()
    },
    **{
        f"extract('{field}', {kind})": f"CAST({text} AS decimal(10, 0))"
        for (kind, field), text in _FIELDS.items()
    },
    **{
        f"date_part('{field}', {kind})": f"CAST({text} AS float(53))"
        for (kind, field), text in _FIELDS.items()
    },
    "+(date, int4)": "DATEADD(day, _2, _1)",
    "-(date, int4)": "DATEADD(day, -_2, _1)",
    "-(date, date)": "DATEDIFF(day, _2, _1)",
    **each(
        "timestamp timestamptz",
        {"+({}, months)": "DATEADD(month, _2, _1)", "+({}, days)": "DATEADD(day, _2, _1)"},
    ),
    "cast(date, timestamp)": "CAST(_1 AS datetime2(6))",
    **each("date timestamp", {"cast({}, timestamptz)": _IN_UTC.format("_1")}),
    "cast(timestamptz, timestamp)": "CAST(_1 AS datetime2(6))",
    **each("timestamp timestamptz", {"cast({}, date)": "CAST(_1 AS date)"}),
}
_COMPARABLE = "bool int2 int4 int8 numeric float8 text varchar date timestamp timestamptz"
_EXTREMES = "int2 int4 int8 numeric float8 date timestamp timestamptz"
_BIT = "CAST(_1 AS tinyint)"
_AGGREGATES = {
    "count(*)": "COUNT_BIG(*)",
    "count(any)": "COUNT_BIG(_1)",
    **each("int2 int4", {"sum({})": "SUM(CAST(_1 AS bigint))"}),
    **each("int8 numeric", {"sum({})": "SUM(CAST(_1 AS _t))"}),
    "sum(float8)": "SUM(_1)",
    **each(_EXTREMES, {"min({})": "MIN(_1)", "max({})": "MAX(_1)"}),
    "bool_and(bool)": f"CAST(MIN({_BIT}) AS bit)",
    "bool_or(bool)": f"CAST(MAX({_BIT}) AS bit)",
    **each(_COMPARABLE, {"count(distinct {})": "COUNT_BIG(DISTINCT _1)"}),
}


def _of_microseconds(kind: str, value: str) -> str:
    """A column's value; one that is finer than a microsecond ends the statement."""
    return (
        f"CASE WHEN DATEPART(nanosecond, _1) % 1000 = 0 THEN {value} "
        f"WHEN _1 IS NOT NULL THEN CAST('finer than a microsecond' AS {_TYPES[kind]}) END"
    )


TSQL = Tables(
    dialect="tsql",
    title="SQL Server",
    features=Features(
        lateral=False,
        # Of no rows there is no grand total.
        grouping_sets=False,
        distinct_on=False,
        with_ties=False,
        set_operations=frozenset(("union", "union all", "intersect", "except")),
        recursive=False,
        materialized=False,
        named_windows=False,
        computed_limits=False,
        correlated_subqueries=False,
        filters=False,
        constant_keys=False,
        nested_order=False,
        empty_pages=False,
        aggregated_queries=False,
        fence="limit",
        typed_results=True,
    ),
    types=_TYPES,
    digits=38,
    comparable=frozenset(_COMPARABLE.split()),
    templates={**_NUMBERS, **_STRINGS, **_DATES, **_AGGREGATES},
    constants={
        **{kind: f"CAST(_1 AS {_TYPES[kind]})" for kind in ("bool", "int2", "int4", "int8")},
        "float8": "CAST(_1 AS float(53))",
        "numeric": "CAST(_1 AS _t)",
        "text": "CAST(_1 AS varbinary(max))",
        **{kind: f"CAST(_1 AS {_TYPES[kind]})" for kind in ("date", "timestamp")},
        "timestamptz": "CAST(CAST(_1 AS datetime2(6)) AS datetimeoffset(6))",
    },
    parameters={
        **{
            kind: f"CAST(_1 AS {_TYPES[kind]})"
            for kind in ("bool", "int2", "int4", "int8", "float8", "date", "timestamp")
        },
        **dict.fromkeys(("text", "varchar"), _UTF8),
        "timestamptz": "CAST(CAST(_1 AS datetime2(6)) AS datetimeoffset(6))",
    },
    columns={
        **dict.fromkeys(("text", "varchar"), _UTF8),
        "timestamp": _of_microseconds("timestamp", "CAST(_1 AS datetime2(6))"),
        "timestamptz": _of_microseconds(
            "timestamptz", "CAST(SWITCHOFFSET(_1, '+00:00') AS datetimeoffset(6))"
        ),
    },
    same="(_1 = _2 AND _1 IS NOT NULL AND _2 IS NOT NULL OR _1 IS NULL AND _2 IS NULL)",
    truth=_truth("_1"),
    holds="_1 = 1",
    byte_texts=True,
    moment="CAST(_1 AS datetimeoffset(6))",
)
