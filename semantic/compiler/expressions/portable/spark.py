"""Spark, in its ANSI mode: integers that do not fit and casts that fail are errors.

Doubles are equal and sorted as PostgreSQL's are: NaN equals itself and is greater than the rest,
zeros are alike. Letters change case by ``translate``, since Spark knows those beyond ASCII, which
have no case in the collation "C".

The connector's settings belong to this: ANSI mode, decimals that never lose digits silently, and
the time zone UTC, by which moments and clock times are cast. A rollup of no rows has no grand total
on Spark, so grouping sets are left to the stage.
"""

from __future__ import annotations

from semantic.compiler.expressions.features import Features
from semantic.compiler.expressions.portable.tables import Tables, each

_TYPES = {
    "bool": "BOOLEAN",
    "int2": "SMALLINT",
    "int4": "INT",
    "int8": "BIGINT",
    "float4": "FLOAT",
    "float8": "DOUBLE",
    "numeric": "DECIMAL({precision}, {scale})",
    "text": "STRING",
    "varchar": "STRING",
    "date": "DATE",
    "timestamp": "TIMESTAMP_NTZ",
    "timestamptz": "TIMESTAMP",
}
_INTEGERS = ("int2", "int4", "int8")


def _fails(sqlstate: str, message: str, kind: str) -> str:
    """An expression of a type that ends the statement where it is evaluated."""
    return f"CAST(raise_error('{sqlstate}: {message}') AS {_TYPES[kind]})"


def _arithmetic(kind: str) -> dict[str, str]:
    """Operators of an integer type; what Spark computes in a wider one is checked by the cast."""
    name, pair = _TYPES[kind], f"({kind}, {kind})"
    return {
        **{f"{sign}{pair}": f"CAST(_1 {sign} _2 AS {name})" for sign in "+-*%"},
        f"/{pair}": f"CAST(_1 div _2 AS {name})",
        f"-({kind})": f"CAST(-_1 AS {name})",
        f"abs({kind})": f"CAST(abs(_1) AS {name})",
    }


_INFINITE = "DOUBLE('Infinity')"
_OVERFLOW = _fails("22003", "value out of range: overflow", "float8")
_UNDERFLOW = _fails("22003", "value out of range: underflow", "float8")
_NO_DIVISOR = _fails("22012", "division by zero", "float8")


def _double(made: str, vanishes: str) -> str:
    """An operation on doubles that may not leave their range on either side."""
    return (
        f"CASE WHEN abs({made}) = {_INFINITE} AND abs(_1) <> {_INFINITE} AND abs(_2) <> "
        f"{_INFINITE} THEN {_OVERFLOW} WHEN {made} = 0 AND {vanishes} THEN {_UNDERFLOW} "
        f"ELSE {made} END"
    )


_QUOTIENT = _double("_1 / nullif(_2, 0)", f"_1 <> 0 AND abs(_2) <> {_INFINITE}")
_DOUBLES = {
    "+(float8, float8)": _double("_1 + _2", "false"),
    "-(float8, float8)": _double("_1 - _2", "false"),
    "*(float8, float8)": _double("_1 * _2", "_1 <> 0 AND _2 <> 0"),
    "/(float8, float8)": f"CASE WHEN _2 = 0 AND isnan(_1) THEN _1 WHEN _2 = 0 AND _1 IS NOT NULL "
    f"THEN {_NO_DIVISOR} ELSE {_QUOTIENT} END",
    "-(float8)": "-_1",
    "abs(float8)": "abs(_1)",
    # To even where two are as near.
    "round(float8)": "rint(_1)",
}
_NUMBERS = (
    _DOUBLES
    | {key: text for kind in _INTEGERS for key, text in _arithmetic(kind).items()}
    | {
        **{f"{sign}(numeric, numeric)": f"CAST(_1 {sign} _2 AS _t)" for sign in "+-*"},
        "-(numeric)": "-_1",
        "abs(numeric)": "abs(_1)",
    }
)
# The greatest bigint is no double: the next one, too, would be cast to it.
_NEAREST = (
    f"CASE WHEN _1 >= 9223372036854775808D THEN {_fails('22003', 'bigint out of range', 'float8')} "
    "ELSE rint(_1) END"
)
_BEFORE_CHRIST = "lpad({0}, greatest(4, length({0})), '0')".format("CAST(1 - year(_1) AS STRING)")
_TEXT = "CAST(_1 AS STRING)"
# Beyond year 9999 Spark writes a sign.
_MOMENT_TEXT = (
    f"CASE WHEN year(_1) < 1 THEN concat({_BEFORE_CHRIST}, substring({_TEXT}, locate('-', {_TEXT}, "
    f"2)), ' BC') ELSE trim(LEADING '+' FROM {_TEXT}) END"
)
_CASTS = {
    **{f"cast(float8, {kind})": f"CAST({_NEAREST} AS {_TYPES[kind]})" for kind in _INTEGERS},
    **{f"cast(numeric, {kind})": f"CAST(round(_1, 0) AS {_TYPES[kind]})" for kind in _INTEGERS},
    "cast(numeric, float8)": "CAST(CAST(_1 AS STRING) AS DOUBLE)",
    "cast(date, text)": _MOMENT_TEXT,
    "cast(timestamp, text)": _MOMENT_TEXT,
    **{
        f"cast({one}, {two})": f"CAST(_1 AS {_TYPES[two]})"
        for one in _INTEGERS
        for two in (*_INTEGERS, "float8", "text")
        if one != two
    },
    **each("int2 int4 int8 numeric", {"cast({}, numeric)": "CAST(_1 AS _t)"}),
    "cast(bool, int4)": "CAST(_1 AS INT)",
    "cast(bool, text)": "CAST(_1 AS STRING)",
    "cast(float4, float8)": "CAST(_1 AS DOUBLE)",
    "cast(date, timestamp)": "CAST(_1 AS TIMESTAMP_NTZ)",
    "cast(date, timestamptz)": "CAST(_1 AS TIMESTAMP)",
    "cast(timestamp, timestamptz)": "CAST(_1 AS TIMESTAMP)",
    "cast(timestamptz, timestamp)": "CAST(_1 AS TIMESTAMP_NTZ)",
    **each("timestamp timestamptz", {"cast({}, date)": "CAST(_1 AS DATE)"}),
}
_CASTS |= {
    key.replace("text)", "varchar)"): text for key, text in _CASTS.items() if key.endswith("text)")
}
_UPPER, _LOWER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz"
_LOWERED = "translate({}, '" + _UPPER + "', '" + _LOWER + "')"
# greatest() and least() pass over NULLs.
_START = "if(_2 < 1, 1, _2)"
_REST = f"CAST(_2 AS BIGINT) + _3 - {_START}"
_LENGTH = (
    f"CAST(CASE WHEN {_REST} < 0 THEN 0 WHEN {_REST} > 2147483647 THEN 2147483647 "
    f"ELSE {_REST} END AS INT)"
)
_NEGATIVE = _fails("22011", "negative substring length not allowed", "text")
_STRINGS = {
    "||(text, text)": "_1 || _2",
    "lower(text)": _LOWERED.format("_1"),
    "upper(text)": f"translate(_1, '{_LOWER}', '{_UPPER}')",
    **dict.fromkeys(("length(text)", "char_length(text)"), "length(_1)"),
    "octet_length(text)": "octet_length(_1)",
    "replace(text, text, text)": "replace(_1, _2, _3)",
    "strpos(text, text)": "instr(_1, _2)",
    "btrim(text)": "trim(_1)",
    "ltrim(text)": "ltrim(_1)",
    "rtrim(text)": "rtrim(_1)",
    "reverse(text)": "reverse(_1)",
    **dict.fromkeys(("substring(text, int4)", "substr(text, int4)"), f"substring(_1, {_START})"),
    **dict.fromkeys(
        ("substring(text, int4, int4)", "substr(text, int4, int4)"),
        "CASE WHEN _1 IS NOT NULL AND _2 IS NOT NULL AND _3 < 0 "
        f"THEN {_NEGATIVE} ELSE substring(_1, {_START}, {_LENGTH}) END",
    ),
    "left(text, int4)": "CASE WHEN _2 >= 0 THEN substring(_1, 1, _2) WHEN _2 < 0 THEN "
    "substring(_1, 1, CAST(greatest(length(_1) + CAST(_2 AS BIGINT), 0) AS INT)) END",
    "ascii(text)": "ascii(_1)",
    "starts_with(text, text)": "startswith(_1, _2)",
    "like(text, text)": "_1 LIKE _2 ESCAPE '!'",
    "ilike(text, text)": f"{_LOWERED.format('_1')} LIKE {_LOWERED.format('_2')} ESCAPE '!'",
}

_DAY_FIELDS = {
    "year": "year(_1)",
    "quarter": "quarter(_1)",
    "month": "month(_1)",
    "week": "weekofyear(_1)",
    "isoyear": "extract(YEAROFWEEK FROM _1)",
    "day": "day(_1)",
    "dow": "(dayofweek(_1) - 1)",
    "isodow": "(weekday(_1) + 1)",
    "doy": "dayofyear(_1)",
}
_CLOCK_FIELDS = {"hour": "hour(_1)", "minute": "minute(_1)"}


def _fields(kind: str) -> dict[str, str]:
    found = _DAY_FIELDS if kind == "date" else {**_DAY_FIELDS, **_CLOCK_FIELDS}
    return {
        **{
            f"extract('{field}', {kind})": f"CAST({text} AS DECIMAL(10, 0))"
            for field, text in found.items()
        },
        **{
            f"date_part('{field}', {kind})": f"CAST({text} AS DOUBLE)"
            for field, text in found.items()
        },
    }


_DAY = "CAST(CAST(_1 AS DATE) AS TIMESTAMP_NTZ)"
# date_trunc takes moments only, and would go by the session's time zone.
_TRUNCATED = {
    "year": "make_timestamp_ntz(year(_1), 1, 1, 0, 0, 0)",
    "quarter": "make_timestamp_ntz(year(_1), quarter(_1) * 3 - 2, 1, 0, 0, 0)",
    "month": "make_timestamp_ntz(year(_1), month(_1), 1, 0, 0, 0)",
    "week": "CAST(date_sub(CAST(_1 AS DATE), weekday(_1)) AS TIMESTAMP_NTZ)",
    "day": _DAY,
    "hour": f"{_DAY} + make_dt_interval(0, hour(_1))",
    "minute": f"{_DAY} + make_dt_interval(0, hour(_1), minute(_1))",
    "second": f"{_DAY} + make_dt_interval(0, hour(_1), minute(_1), "
    "CAST(floor(extract(SECOND FROM _1)) AS DECIMAL(18, 6)))",
}
_ADDED = {
    "months": "make_ym_interval(0, _2)",
    "days": "make_dt_interval(_2)",
    "microseconds": "make_dt_interval(0, 0, 0, CAST(_2 AS DECIMAL(18, 0)) * 0.000001)",
}
_MOST_DAYS = 2_500_000


def _moved(function: str) -> str:
    """A date some days away; what would not fit into Spark's number of a day would wrap around."""
    days = f"CASE WHEN abs(CAST(_2 AS BIGINT)) <= {_MOST_DAYS} THEN _2 WHEN _2 IS NOT NULL THEN "
    return f"{function}(_1, {days}{_fails('22008', 'date out of range', 'int4')} END)"


_DATES = {
    **{f"date_trunc('{field}', timestamp)": text for field, text in _TRUNCATED.items()},
    **{f"date_trunc('{field}', timestamptz)": f"date_trunc('{field}', _1)" for field in _TRUNCATED},
    **_fields("date"),
    **_fields("timestamp"),
    **_fields("timestamptz"),
    **{f"+(timestamp, {part})": f"_1 + {text}" for part, text in _ADDED.items()},
    **{f"+(timestamptz, {part})": f"_1 + {text}" for part, text in _ADDED.items()},
    "+(date, int4)": _moved("date_add"),
    "-(date, int4)": _moved("date_sub"),
    "-(date, date)": "datediff(_1, _2)",
}
_COMPARABLE = "bool int2 int4 int8 numeric float4 float8 text varchar date timestamp timestamptz"
_TOTALS = {
    "count(*)": "count(*)",
    "count(any)": "count(_1)",
    **each("int2 int4", {"sum({})": "sum(_1)"}),
    "sum(int8)": "sum(CAST(_1 AS DECIMAL(19, 0)))",
    "sum(numeric)": "sum(CAST(_1 AS _t))",
    **each(_COMPARABLE, {"min({})": "min(_1)", "max({})": "max(_1)"}),
    "bool_and(bool)": "bool_and(_1)",
    "bool_or(bool)": "bool_or(_1)",
}
_FLOAT_TOTAL = (
    f"CASE WHEN abs(sum(_1)) = {_INFINITE} AND max(abs(_1)) < {_INFINITE} "
    f"THEN {_OVERFLOW} ELSE sum(_1) END"
)
_AGGREGATES = {
    **_TOTALS,
    "sum(float8)": _FLOAT_TOTAL,
    **each(_COMPARABLE, {"count(distinct {})": "count(DISTINCT _1)"}),
    **{f"{key} over": text for key, text in _TOTALS.items() if not key.startswith("sum")},
    **{f"{name}() over": f"{name}()" for name in ("row_number", "rank", "dense_rank")},
}
SPARK = Tables(
    dialect="spark",
    title="Spark",
    features=Features(
        lateral=False,
        grouping_sets=False,
        distinct_on=False,
        with_ties=False,
        recursive=False,
        materialized=False,
        values=False,
        named_windows=False,
        unordered_ranks=False,
        names_outputs=True,
        sort_expressions=False,
        computed_limits=False,
        correlated_subqueries=False,
        fence="limit",
    ),
    types=_TYPES,
    digits=38,
    comparable=frozenset(_COMPARABLE.split()),
    templates={**_NUMBERS, **_CASTS, **_STRINGS, **_DATES, **_AGGREGATES},
    constants={
        **{kind: f"CAST(_1 AS {_TYPES[kind]})" for kind in (*_INTEGERS, "float8")},
        "numeric": "CAST(_1 AS _t)",
        "date": "CAST(_1 AS DATE)",
        "timestamp": "CAST(_1 AS TIMESTAMP_NTZ)",
        "timestamptz": "CAST(concat(_1, 'Z') AS TIMESTAMP)",
    },
    parameters={
        kind: f"CAST(_1 AS {_TYPES[kind]})"
        for kind in (
            *("bool", "int2", "int4", "int8", "float8", "text", "varchar"),
            *("date", "timestamp", "timestamptz"),
        )
    },
    results={
        **{kind: f"CAST(_1 AS {_TYPES[kind]})" for kind in ("bool", *_INTEGERS)},
    },
    same="_1 <=> _2",
    moment="CAST(_1 AS TIMESTAMP)",
)
