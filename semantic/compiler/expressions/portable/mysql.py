"""MariaDB and MySQL.

Text compares by bytes, with spaces at the end: columns are told a collation that does, and the
connector sets it for literals. It also sets UTC, and reads what results are announced as, since
conditions are integers here, and sums of integers are decimals. A FILTER is a CASE, as everywhere.

An expression cannot raise an error of its own, and many functions make NULL of what they cannot do.
``_fail`` adds to the greatest integer, which ends the statement; the connector finds the code and
the message in the server's complaint. It is NULL where an operand is.
"""

from __future__ import annotations

from dataclasses import replace

from semantic.compiler.expressions.features import Features
from semantic.compiler.expressions.portable.tables import Tables, each

_LARGEST = 9223372036854775807


def _fail(code: str, message: str, *operands: str) -> str:
    cited = ", ".join((f"'cubewire {code}: {message}'", *operands))
    return f"({_LARGEST} + OCTET_LENGTH(CONCAT({cited})))"


def _within(expression: str, last: int) -> str:
    """An integer that ends the statement beyond the ends of a smaller type.

    ``last`` is the greatest of that type; what is between them and the ends of a bigint is the same
    on either side.
    """
    room = _LARGEST - last
    return f"({expression}) + {room} - {room} - {room} + {room}"


_LASTS = {"int2": 2**15 - 1, "int4": 2**31 - 1}
_TITLES = {"int2": "smallint", "int4": "integer", "int8": "bigint"}


def _checked(expression: str, kind: str) -> str:
    return _within(expression, _LASTS[kind]) if kind in _LASTS else expression


# Of unsigned integers MySQL makes unsigned ones.
_ONE, _TWO = "CAST(_1 AS SIGNED)", "CAST(_2 AS SIGNED)"
_BY_ZERO = _fail("22012", "division by zero", "_1", "_2")
_UNDERFLOW = _fail("22003", "value out of range: underflow", "_1", "_2")

_DIVISOR = f"COALESCE(NULLIF({_TWO}, 0), {_BY_ZERO})"

_INTEGERS = {
    key: text
    for kind in ("int2", "int4", "int8")
    for key, text in {
        **{f"{sign}({kind}, {kind})": _checked(f"{_ONE} {sign} {_TWO}", kind) for sign in "+-*"},
        f"/({kind}, {kind})": _checked(f"{_ONE} DIV {_DIVISOR}", kind),
        f"%({kind}, {kind})": f"{_ONE} % {_DIVISOR}",
        f"-({kind})": _checked(f"-{_ONE}", kind),
        f"abs({kind})": _checked(f"ABS({_ONE})", kind),
    }.items()
}
_FLOATS = {
    **{
        f"{name}(float8)": f"{function}(_1)"
        for name, function in {
            "floor": "FLOOR",
            "ceil": "CEILING",
            "ceiling": "CEILING",
            "round": "ROUND",
        }.items()
    },
    "trunc(float8)": "TRUNCATE(_1, 0)",
    "+(float8, float8)": "_1 + _2",
    "-(float8, float8)": "_1 - _2",
    "*(float8, float8)": f"CASE WHEN _1 * _2 = 0 AND _1 <> 0 AND _2 <> 0 THEN {_UNDERFLOW} "
    "ELSE _1 * _2 END",
    "/(float8, float8)": f"CASE WHEN _2 = 0 THEN {_BY_ZERO} "
    f"WHEN _1 <> 0 AND _1 / _2 = 0 THEN {_UNDERFLOW} ELSE _1 / _2 END",
    "-(float8)": "-_1",
    "abs(float8)": "ABS(_1)",
    "sign(float8)": "SIGN(_1) + 0e0",
}
_NUMERICS = {
    "+(numeric, numeric)": "CAST(_1 AS _t) + CAST(_2 AS _t)",
    "-(numeric, numeric)": "CAST(_1 AS _t) - CAST(_2 AS _t)",
    # One of them may be an unsigned bigint, and two of these would make another.
    "*(numeric, numeric)": "(_1 + CAST(0 AS DECIMAL(1,0))) * _2",
    "-(numeric)": "-(_1 + CAST(0 AS DECIMAL(1,0)))",
    "abs(numeric)": "ABS(_1)",
    "sign(numeric)": "SIGN(_1)",
}


def _rounded(kind: str, last: int) -> str:
    """A number as an integer: of halves decimals go away from zero, doubles to what is even."""
    beyond = _fail("22003", f"{_TITLES[kind]} out of range", "_1")
    return (
        f"CASE WHEN ROUND(_1) BETWEEN {-last - 1} AND {last} THEN CAST(ROUND(_1) AS SIGNED) "
        f"ELSE {beyond} END"
    )


# Columns of old tables may hold 0000-00-00, of which functions make 0 or NULL.
_NO_DATE = _fail("22008", "date/time field value out of range", "_1")


def _of_date(result: str) -> str:
    """A number or text made of a date."""
    return f"CASE WHEN DAYOFMONTH(_1) = 0 THEN {_NO_DATE} ELSE {result} END"


def _to_date(result: str, kind: str) -> str:
    """A date made of another, which is NULL where that is none."""
    return f"COALESCE({result}, CAST({_NO_DATE} AS {kind}))"


_MICROSECONDS = "CAST(CAST(_1 AS DATETIME(6)) AS CHAR)"
_DAY = "CAST(DATE_FORMAT(_1, '%Y-%m-%d') AS {})"
_CASTS = {
    **dict.fromkeys(
        ("cast(int2, int4)", "cast(int2, int8)", "cast(int4, int8)", "cast(bool, int4)"), "_1"
    ),
    **{
        f"cast({source}, {kind})": _checked(_ONE, kind)
        for source, kind in (("int8", "int4"), ("int8", "int2"), ("int4", "int2"))
    },
    "cast(bool, text)": "CASE _1 WHEN 1 THEN 'true' WHEN 0 THEN 'false' END",
    **each(
        "int2 int4 int8",
        {
            "cast({}, numeric)": "CAST(_1 AS _t)",
            "cast({}, float8)": "_1 + 0e0",
            "cast({}, text)": "CAST(_1 AS CHAR)",
        },
    ),
    **{
        f"cast({source}, {kind})": _rounded(kind, last)
        for kind, last in {**_LASTS, "int8": _LARGEST}.items()
        for source in ("numeric", "float8")
        if (source, kind) != ("float8", "int8")  # whose ends are no doubles
    },
    "cast(numeric, numeric)": "CAST(_1 AS _t)",
    "cast(numeric, float8)": "_1 + 0e0",
    "cast(numeric, text)": "CAST(_1 AS CHAR)",
    "cast(date, text)": _of_date("CAST(_1 AS CHAR)"),
    "cast(timestamp, text)": _of_date(
        f"TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM {_MICROSECONDS}))"
    ),
    **dict.fromkeys(
        ("cast(date, timestamp)", "cast(date, timestamptz)"),
        _to_date("CAST(_1 AS DATETIME(6))", "DATETIME(6)"),
    ),
    "cast(timestamp, timestamptz)": "_1",
    "cast(timestamptz, timestamp)": "_1",
    # A cast to DATE may round.
    **each("timestamp timestamptz", {"cast({}, date)": _to_date(_DAY.format("DATE"), "DATE")}),
}

_COLLATION = "utf8mb4_nopad_bin"


def _cased(function: str, operand: str) -> str:
    """Letters in another case, ASCII's alone: the others are bytes of a script that has none."""
    bare = f"CONVERT(CAST({operand} AS BINARY) USING tis620)"
    return f"(CONVERT(CAST({function}({bare}) AS BINARY) USING utf8mb4) COLLATE {_COLLATION})"


_START = "GREATEST(_2, 1)"
_STRINGS = {
    "||(text, text)": "CONCAT(_1, _2)",
    "lower(text)": _cased("LOWER", "_1"),
    "upper(text)": _cased("UPPER", "_1"),
    "length(text)": "CHAR_LENGTH(_1)",
    "char_length(text)": "CHAR_LENGTH(_1)",
    "octet_length(text)": "OCTET_LENGTH(CONVERT(_1 USING utf8mb4))",
    "replace(text, text, text)": "CASE WHEN _3 IS NOT NULL THEN REPLACE(_1, _2, _3) END",
    "strpos(text, text)": "LOCATE(_2, _1)",
    "btrim(text)": "TRIM(_1)",
    "ltrim(text)": "LTRIM(_1)",
    "rtrim(text)": "RTRIM(_1)",
    "substring(text, int4)": f"SUBSTRING(_1, {_START})",
    "substring(text, int4, int4)": "CASE WHEN _3 < 0 THEN "
    + _fail("22011", "negative substring length not allowed", "_1", "_2", "_3")
    + f" ELSE SUBSTRING(_1, {_START}, GREATEST(_2 + _3 - {_START}, 0)) END",
    "left(text, int4)": "LEFT(_1, CASE WHEN _2 >= 0 "
    "THEN LEAST(_2, CHAR_LENGTH(_1)) ELSE GREATEST(CHAR_LENGTH(_1) + _2, 0) END)",
    "reverse(text)": "REVERSE(_1)",
    "ascii(text)": "ORD(CONVERT(_1 USING utf32))",
    # PostgreSQL cannot negate the least integer, and leaves the text as it is.
    "right(text, int4)": "RIGHT(_1, CASE WHEN _2 = -2147483648 THEN CHAR_LENGTH(_1) "
    "WHEN _2 >= 0 THEN LEAST(_2, CHAR_LENGTH(_1)) ELSE GREATEST(CHAR_LENGTH(_1) + _2, 0) END)",
    "starts_with(text, text)": "LEFT(_1, CHAR_LENGTH(_2)) = _2",
    "like(text, text)": "_1 LIKE _2 ESCAPE '!'",
    "ilike(text, text)": f"{_cased('LOWER', '_1')} LIKE {_cased('LOWER', '_2')} ESCAPE '!'",
}
_TRUNCATED = {
    "year": "CAST(DATE_FORMAT(_1, '%Y-01-01') AS DATETIME(6))",
    "quarter": "CAST(CONCAT(DATE_FORMAT(_1, '%Y-'), "
    "ELT(QUARTER(_1), '01', '04', '07', '10'), '-01') AS DATETIME(6))",
    "month": "CAST(DATE_FORMAT(_1, '%Y-%m-01') AS DATETIME(6))",
    "week": f"DATE_SUB({_DAY.format('DATETIME(6)')}, INTERVAL WEEKDAY(_1) DAY)",
    "day": _DAY.format("DATETIME(6)"),
    "hour": "CAST(DATE_FORMAT(_1, '%Y-%m-%d %H:00:00') AS DATETIME(6))",
    "minute": "CAST(DATE_FORMAT(_1, '%Y-%m-%d %H:%i:00') AS DATETIME(6))",
    "second": "CAST(DATE_FORMAT(_1, '%Y-%m-%d %H:%i:%s') AS DATETIME(6))",
}
_DAY_FIELDS = {
    "year": "YEAR(_1)",
    "quarter": "QUARTER(_1)",
    "month": "MONTH(_1)",
    "week": "WEEK(_1, 3)",
    "isoyear": "YEARWEEK(_1, 3) DIV 100",
    "day": "DAYOFMONTH(_1)",
    "dow": "DAYOFWEEK(_1) - 1",
    "isodow": "WEEKDAY(_1) + 1",
    "doy": "DAYOFYEAR(_1)",
}
_FIELDS = {
    (kind, field): text
    for kind in ("date", "timestamp", "timestamptz")
    for field, text in {
        **_DAY_FIELDS,
        **({} if kind == "date" else {"hour": "HOUR(_1)", "minute": "MINUTE(_1)"}),
    }.items()
}


def _moved(function: str, unit: str, kind: str) -> str:
    """A moment some time later. Beyond the year 9999 MySQL makes NULL of it."""
    beyond = _fail("22008", "date out of range", "_1", "_2")
    return f"COALESCE({function}(_1, INTERVAL _2 {unit}), CAST({beyond} AS {kind}))"


_DATES = {
    **{
        f"date_trunc('{field}', {kind})": _to_date(text, "DATETIME(6)")
        for kind in ("timestamp", "timestamptz")
        for field, text in _TRUNCATED.items()
    },
    **{f"extract('{field}', {kind})": _of_date(text) for (kind, field), text in _FIELDS.items()},
    **{
        f"date_part('{field}', {kind})": _of_date(f"{text} + 0e0")
        for (kind, field), text in _FIELDS.items()
    },
    "+(date, int4)": _moved("DATE_ADD", "DAY", "DATE"),
    "-(date, int4)": _moved("DATE_SUB", "DAY", "DATE"),
    "-(date, date)": "COALESCE(DATEDIFF(_1, _2), "
    + _fail("22008", "date out of range", "_1", "_2")
    + ")",
    **each(
        "timestamp timestamptz",
        {
            "+({}, months)": _moved("DATE_ADD", "MONTH", "DATETIME(6)"),
            "+({}, days)": _moved("DATE_ADD", "DAY", "DATETIME(6)"),
            "+({}, microseconds)": _moved("DATE_ADD", "MICROSECOND", "DATETIME(6)"),
        },
    ),
}

# A sum of doubles that overflows is 0.
_FLOAT_TOTAL = (
    "CASE WHEN SUM(ABS(_1) / 1e16) >= 1e292 THEN "
    + _fail("22003", "value out of range: overflow", "COUNT(_1)")
    + " ELSE SUM(_1) END"
)
_COMPARABLE = "bool int2 int4 int8 numeric float8 text varchar date timestamp timestamptz"
_TOTALS = {
    "count(*)": "COUNT(*)",
    "count(any)": "COUNT(_1)",
    **each("int8 numeric", {"sum({})": "SUM(_1)"}),
    **each(_COMPARABLE, {"min({})": "MIN(_1)", "max({})": "MAX(_1)"}),
    "bool_and(bool)": "MIN(_1)",
    "bool_or(bool)": "MAX(_1)",
}
_AGGREGATES = {
    **_TOTALS,
    **each("int2 int4", {"sum({})": "CAST(SUM(_1) AS SIGNED)"}),
    "sum(float8)": _FLOAT_TOTAL,
    **each(_COMPARABLE, {"count(distinct {})": "COUNT(DISTINCT _1)"}),
    **{f"{key} over": text for key, text in _TOTALS.items()},
    **each("int2 int4", {"sum({}) over": "SUM(_1)"}),
    **each(_COMPARABLE, {"lag({}) over": "LAG(_1)", "lead({}) over": "LEAD(_1)"}),
    **{f"{name}() over": f"{name}()" for name in ("row_number", "rank", "dense_rank")},
}
_TEXT = f"(CONVERT(_1 USING utf8mb4) COLLATE {_COLLATION})"

MARIADB = Tables(
    dialect="mariadb",
    parser="mysql",
    title="MariaDB",
    features=Features(
        full_join=False,
        lateral=False,
        grouping_sets=False,
        distinct_on=False,
        with_ties=False,
        recursive=False,
        materialized=False,
        values=False,
        nulls_order=False,
        computed_limits=False,
        booleans=False,
        filters=False,
        fence="limit",
        typed_results=True,
    ),
    types={
        "int2": "SIGNED",
        "int4": "SIGNED",
        "int8": "SIGNED",
        "float8": "DOUBLE",
        "numeric": "DECIMAL({precision},{scale})",
        "text": "CHAR",
        "varchar": "CHAR",
        "date": "DATE",
        "timestamp": "DATETIME(6)",
        "timestamptz": "DATETIME(6)",
    },
    digits=65,
    decimals=30,
    comparable=frozenset(_COMPARABLE.split()),
    templates={
        **_INTEGERS,
        **_FLOATS,
        **_NUMERICS,
        **_CASTS,
        **_STRINGS,
        **_DATES,
        **_AGGREGATES,
    },
    constants={
        **dict.fromkeys(("int2", "int4", "int8", "float8"), "_1"),
        "numeric": "CAST(_1 AS _t)",
        "date": "CAST(_1 AS DATE)",
        **dict.fromkeys(("timestamp", "timestamptz"), "CAST(_1 AS DATETIME(6))"),
    },
    parameters={
        "bool": "_1",
        **dict.fromkeys(("int2", "int4", "int8"), "CAST(_1 AS SIGNED)"),
        "float8": "_1 + 0e0",
        **dict.fromkeys(("text", "varchar"), "CAST(_1 AS CHAR)"),
        "date": "CAST(_1 AS DATE)",
        **dict.fromkeys(("timestamp", "timestamptz"), "CAST(_1 AS DATETIME(6))"),
    },
    columns={
        "bool": "_1 <> 0",
        # YEAR is one, too, and compares 24 as 2024.
        "int2": "CAST(_1 AS SIGNED)",
        **dict.fromkeys(("text", "varchar"), _TEXT),
    },
    same="_1 <=> _2",
    moment="_1",
)


def _in_mysql(template: str) -> str:
    return template.replace(_COLLATION, "utf8mb4_0900_bin")


MYSQL = replace(
    MARIADB,
    dialect="mysql",
    title="MySQL",
    features=replace(MARIADB.features, set_operations=frozenset(("union", "union all"))),
    templates={key: _in_mysql(text) for key, text in MARIADB.templates.items()},
    columns={key: _in_mysql(text) for key, text in MARIADB.columns.items()},
)
