"""SQLite.

It types values, not columns, so that a column's values are checked where they are read: one that is
not what its column is declared as ends the statement (``cubewire_invalid``, which the connector
adds). Dates are texts ``YYYY-MM-DD`` and timestamps ``YYYY-MM-DD hh:mm:ss.ffffff``, so that bytes
compare as moments do. A timestamptz is such a text in UTC. A numeric is an integer: SQLite has
nothing exact with decimals. What exceeds an integer turns into a double there, which is refused.
"""

from __future__ import annotations

from semantic.compiler.expressions.features import Features
from semantic.compiler.expressions.portable.tables import Tables, each

_TOO_BIG = "abs(-9223372036854775808)"
"""An integer that cannot be had: SQLite ends the statement with ``integer overflow``."""

_RANGES = {"int2": "-32768 AND 32767", "int4": "-2147483648 AND 2147483647"}


def _checked(expression: str, kind: str) -> str:
    """An integer, or the end of the statement where it is none of its type."""
    good = f"({expression}) BETWEEN {_RANGES[kind]}" if kind in _RANGES else ""
    good = good or f"typeof({expression}) = 'integer'"
    return f"CASE WHEN {good} THEN {expression} WHEN ({expression}) IS NOT NULL THEN {_TOO_BIG} END"


def _divided(operator: str, kind: str) -> str:
    return (
        f"CASE WHEN _2 <> 0 THEN {_checked(f'_1 {operator} _2', kind)} "
        "WHEN _1 IS NOT NULL AND _2 = 0 THEN cubewire_fail('22012', 'division by zero') END"
    )


_INTEGERS = {
    key: text
    for kind in ("int2", "int4", "int8", "numeric")
    for key, text in {
        **{f"{sign}({kind}, {kind})": _checked(f"_1 {sign} _2", kind) for sign in "+-*"},
        f"/({kind}, {kind})": _divided("/", kind),
        f"%({kind}, {kind})": _divided("%", kind),
        f"-({kind})": _checked("-_1", kind),
        f"abs({kind})": "abs(_1)",
    }.items()
    if not (kind == "numeric" and key[0] in "/%")
}
_CASTS = {
    **dict.fromkeys(
        ("cast(int2, int4)", "cast(int2, int8)", "cast(int4, int8)", "cast(bool, int4)"), "_1"
    ),
    **each(
        "int2 int4 int8",
        {
            "cast({}, float8)": "CAST(_1 AS REAL)",
            "cast({}, text)": "CAST(_1 AS TEXT)",
        },
    ),
    # Those of eight bytes may have a digit more than a numeric here.
    **each("int2 int4 numeric", {"cast({}, numeric)": "_1"}),
    "cast(numeric, float8)": "CAST(_1 AS REAL)",
    "cast(date, text)": "_1",
    "cast(timestamp, text)": "rtrim(rtrim(_1, '0'), '.')",
    "cast(date, timestamp)": "_1 || ' 00:00:00.000000'",
    "cast(date, timestamptz)": "_1 || ' 00:00:00.000000'",
    "cast(timestamp, timestamptz)": "_1",
    "cast(timestamptz, timestamp)": "_1",
    **each("timestamp timestamptz", {"cast({}, date)": "substr(_1, 1, 10)"}),
}
_STRINGS = {
    "||(text, text)": "_1 || _2",
    "lower(text)": "lower(_1)",
    "upper(text)": "upper(_1)",
    "length(text)": "length(_1)",
    "octet_length(text)": "length(CAST(_1 AS BLOB))",
    "replace(text, text, text)": "replace(_1, _2, _3)",
    "strpos(text, text)": "instr(_1, _2)",
    **{
        f"{name}({', '.join(['text'] * count)})": f"{function}({', '.join(['_1', '_2'][:count])})"
        for name, function in (("btrim", "trim"), ("ltrim", "ltrim"), ("rtrim", "rtrim"))
        for count in (1, 2)
    },
    "substring(text, int4)": "substr(_1, max(_2, 1))",
    "substring(text, int4, int4)": "CASE WHEN _1 IS NOT NULL AND _2 IS NOT NULL AND _3 < 0 THEN "
    "cubewire_fail('22011', 'negative substring length not allowed') "
    "ELSE substr(_1, max(_2, 1), max(_2 + _3 - max(_2, 1), 0)) END",
    "left(text, int4)": "CASE WHEN _2 >= 0 THEN substr(_1, 1, _2) "
    "WHEN _2 < 0 THEN substr(_1, 1, max(length(_1) + _2, 0)) END",
    "starts_with(text, text)": "substr(_1, 1, length(_2)) = _2",
    "like(text, text)": "_1 GLOB _2",
    # Letters beyond ASCII have no case in the collation "C".
    "ilike(text, text)": "lower(_1) GLOB lower(_2)",
}
_MIDNIGHT = "' 00:00:00.000000'"
_QUARTER = "(CAST(substr(_1, 6, 2) AS INTEGER) - 1) / 3"
_TRUNCATED = {
    "year": f"substr(_1, 1, 4) || '-01-01' || {_MIDNIGHT}",
    "quarter": f"substr(_1, 1, 5) || printf('%02d-01', {_QUARTER} * 3 + 1) || {_MIDNIGHT}",
    "month": f"substr(_1, 1, 7) || '-01' || {_MIDNIGHT}",
    "week": f"date(substr(_1, 1, 10), '-6 days', 'weekday 1') || {_MIDNIGHT}",
    "day": f"substr(_1, 1, 10) || {_MIDNIGHT}",
    "hour": "substr(_1, 1, 13) || ':00:00.000000'",
    "minute": "substr(_1, 1, 16) || ':00.000000'",
    "second": "substr(_1, 1, 19) || '.000000'",
}
_DAY_FIELDS = {
    "year": "CAST(substr(_1, 1, 4) AS INTEGER)",
    "quarter": f"{_QUARTER} + 1",
    "month": "CAST(substr(_1, 6, 2) AS INTEGER)",
    "day": "CAST(substr(_1, 9, 2) AS INTEGER)",
    "dow": "CAST(strftime('%w', substr(_1, 1, 10)) AS INTEGER)",
    "isodow": "(CAST(strftime('%w', substr(_1, 1, 10)) AS INTEGER) + 6) % 7 + 1",
    "doy": "CAST(strftime('%j', substr(_1, 1, 10)) AS INTEGER)",
}
_CLOCK_FIELDS = {
    "hour": "CAST(substr(_1, 12, 2) AS INTEGER)",
    "minute": "CAST(substr(_1, 15, 2) AS INTEGER)",
}
_FIELDS = {
    (kind, field): text
    for kind in ("date", "timestamp", "timestamptz")
    for field, text in {**_DAY_FIELDS, **({} if kind == "date" else _CLOCK_FIELDS)}.items()
}


def _moved(days: str) -> str:
    """A date some days later, where there are four digits for its year."""
    moved = f"date(substr(_1, 1, 10), ({days}) || ' days')"
    return (
        f"CASE WHEN {moved} BETWEEN '0001-01-01' AND '9999-12-31' THEN {moved} || substr(_1, 11) "
        "WHEN _1 IS NOT NULL AND _2 IS NOT NULL THEN "
        "cubewire_fail('22008', 'date out of range') END"
    )


_DATES = {
    **{
        f"date_trunc('{field}', {kind})": text
        for kind in ("timestamp", "timestamptz")
        for field, text in _TRUNCATED.items()
    },
    **{f"extract('{field}', {kind})": text for (kind, field), text in _FIELDS.items()},
    **{
        f"date_part('{field}', {kind})": f"CAST({text} AS REAL)"
        for (kind, field), text in _FIELDS.items()
    },
    "+(date, int4)": _moved("_2"),
    "-(date, int4)": _moved("-_2"),
    "-(date, date)": "CAST(julianday(_1) - julianday(_2) AS INTEGER)",
    **each("timestamp timestamptz", {"+({}, days)": _moved("_2")}),
}
_FLOAT_TOTAL = (
    "CASE WHEN count(_1) > 0 AND sum(_1) IS NULL THEN "
    "cubewire_fail('0A000', 'NaN cannot be had of SQLite') "
    "WHEN abs(sum(_1)) = 9e999 AND max(abs(_1)) < 9e999 THEN "
    "cubewire_fail('22003', 'value out of range: overflow') ELSE sum(_1) END"
)
_COMPARABLE = "bool int2 int4 int8 numeric float8 text varchar date timestamp timestamptz"
_TOTALS = {
    "count(*)": "count(*)",
    "count(any)": "count(_1)",
    **each("int2 int4 int8 numeric", {"sum({})": "sum(_1)"}),
    **each(
        _COMPARABLE,
        {
            "min({})": "min(_1)",
            "max({})": "max(_1)",
        },
    ),
    "bool_and(bool)": "min(_1)",
    "bool_or(bool)": "max(_1)",
}
_AGGREGATES = {
    **_TOTALS,
    "sum(float8)": _FLOAT_TOTAL,
    **each(_COMPARABLE, {"count(distinct {})": "count(DISTINCT _1)"}),
    **{f"{key} over": text for key, text in _TOTALS.items()},
    **{f"{name}() over": f"{name}()" for name in ("row_number", "rank", "dense_rank")},
}
_WIDE = "substr(_1 || CASE WHEN length(_1) = 19 THEN '.' ELSE '' END || '000000', 1, 26)"


def _column(test: str, value: str, kind: str) -> str:
    return f"CASE WHEN {test} THEN {value} WHEN _1 IS NOT NULL THEN cubewire_invalid('{kind}') END"


_TIMESTAMP = _column(
    "typeof(_1) = 'text' AND datetime(substr(_1, 1, 19)) = replace(substr(_1, 1, 19), 'T', ' ')"
    " AND (length(_1) = 19 OR length(_1) BETWEEN 21 AND 26 AND substr(_1, 20, 1) = '.'"
    " AND NOT substr(_1, 21) GLOB '*[^0-9]*')",
    f"replace({_WIDE}, 'T', ' ')",
    "timestamp",
)
_TEXT = _column("typeof(_1) = 'text'", "_1", "text")
_COLUMNS = {
    "bool": _column("typeof(_1) = 'integer' AND _1 IN (0, 1)", "_1", "boolean"),
    **{
        kind: _column(f"typeof(_1) = 'integer' AND _1 BETWEEN {_RANGES[kind]}", "_1", kind)
        for kind in _RANGES
    },
    "int8": _column("typeof(_1) = 'integer'", "_1", "bigint"),
    "numeric": _column("typeof(_1) = 'integer'", "_1", "numeric"),
    "float8": _column("typeof(_1) = 'real'", "_1", "double precision"),
    **dict.fromkeys(("text", "varchar"), f"({_TEXT}) COLLATE BINARY"),
    "date": _column("typeof(_1) = 'text' AND _1 = date(_1)", "_1", "date"),
    "timestamp": _TIMESTAMP,
    "timestamptz": _TIMESTAMP,
}
SQLITE = Tables(
    dialect="sqlite",
    title="SQLite",
    features=Features(
        lateral=False,
        grouping_sets=False,
        distinct_on=False,
        with_ties=False,
        set_operations=frozenset(("union", "union all", "intersect", "except")),
        nested_set_operations=False,
        recursive=False,
        values=False,
        computed_limits=False,
        single_row_subqueries=False,
        typed_results=True,
    ),
    types={"numeric": "INTEGER"},
    digits=18,
    comparable=frozenset(_COMPARABLE.split()),
    templates={**_INTEGERS, **_CASTS, **_STRINGS, **_DATES, **_AGGREGATES},
    constants={
        **dict.fromkeys(("int2", "int4", "int8", "numeric", "float8", "date"), "_1"),
        **dict.fromkeys(("timestamp", "timestamptz"), _WIDE),
    },
    parameters={
        **dict.fromkeys(
            ("bool", "int2", "int4", "int8", "text", "varchar", "date", "timestamp", "timestamptz"),
            "_1",
        ),
        "float8": "CAST(_1 AS REAL)",
    },
    columns=_COLUMNS,
    same="_1 IS _2",
    patterns="glob",
    moment="_1",
)
