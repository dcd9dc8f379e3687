"""ClickHouse.

Its integers wrap around, so they are computed in wider ones and cast back with a check. Its dates
end in 2299 and start in 1900 (in some versions they go further, which nothing here relies on): what
leaves that range is an error (``throwIf``, whose text the connector reads). Doubles lose the sign
of their zeros and of NaN where they are read, which ClickHouse would tell apart; they are not
sorted, as NaN goes with NULL there.

The connector's settings belong to this: joins and empty aggregates give NULL, names mean columns
before aliases, branches that are not taken are not evaluated, moments without a zone are in UTC.
"""

from __future__ import annotations

from semantic.compiler.expressions.features import Features
from semantic.compiler.expressions.portable.tables import Tables, each

_WIDE = {"int2": "Int16", "int4": "Int32", "int8": "Int64"}
_TYPES = {
    "bool": "Nullable(Bool)",
    **{kind: f"Nullable({name})" for kind, name in _WIDE.items()},
    "float4": "Nullable(Float32)",
    "float8": "Nullable(Float64)",
    "numeric": "Nullable(Decimal({precision}, {scale}))",
    "text": "Nullable(String)",
    "varchar": "Nullable(String)",
    "date": "Nullable(Date32)",
    "timestamp": "Nullable(DateTime64(6))",
    "timestamptz": "Nullable(DateTime64(6, 'UTC'))",
}


def _checked(expression: str, kind: str) -> str:
    """An integer of its type, or an error. What lies under a NULL may be any number."""
    return (
        f"if(isNull({expression}), NULL, "
        f"accurateCast(assumeNotNull({expression}), '{_WIDE[kind]}'))"
    )


def _unless(condition: str, complaint: str) -> str:
    """Nothing to add, or an error. What lies under a NULL may be any condition."""
    return f"throwIf(ifNull({condition}, 0), '{complaint}')"


def _integers(kind: str) -> dict[str, str]:
    # Products and quotients of int8 do not fit into Int64, nor do sums.
    wide = "toInt128" if kind == "int8" else "toInt64"
    one, two = f"{wide}(_1)", f"{wide}(_2)"
    pair = f"({kind}, {kind})"
    return {
        **{f"{sign}{pair}": _checked(f"{one} {sign} {two}", kind) for sign in "+-*"},
        f"/{pair}": _checked(f"intDiv({one}, {two})", kind),
        f"%{pair}": _checked(f"{one} % {two}", kind),
        f"-({kind})": _checked(f"-{one}", kind),
        f"abs({kind})": _checked(f"abs({one})", kind),
    }


_TOO_BIG = "22003: value out of range: overflow"
_TOO_SMALL = "22003: value out of range: underflow"

_BITS = "reinterpretAsInt64(if(isNaN({0}), nan, {0} + 0.))"
"""A double by what it is stored as, so that joins can look it up: NaN is NaN, and -0 is 0."""


def _double(sign: str) -> str:
    """A double, zero without its sign, or an error where it is too big or too small to be told."""
    made = f"(_1 {sign} _2)"
    text = f"{made} + 0. + " + _unless(
        f"isInfinite({made}) AND NOT isInfinite(_1) AND NOT isInfinite(_2)", _TOO_BIG
    )
    if sign == "*":
        text += " + " + _unless(f"{made} = 0 AND _1 <> 0 AND _2 <> 0", _TOO_SMALL)
    return text


def _quotient() -> str:
    lost = "_1 / _2 = 0 AND _1 <> 0 AND NOT isInfinite(_2)"
    return " + ".join(
        (
            "_1 / _2 + 0.",
            _unless("_2 = 0 AND NOT isNaN(_1)", "22012: division by zero"),
            _unless("isInfinite(_1 / _2) AND NOT isInfinite(_1) AND _2 <> 0", _TOO_BIG),
            _unless(lost, _TOO_SMALL),
        )
    )


_NUMBERS = {
    **_integers("int2"),
    **_integers("int4"),
    **_integers("int8"),
    **{f"{sign}(numeric, numeric)": f"CAST(_1 AS _t) {sign} CAST(_2 AS _t)" for sign in "+-"},
    # The product has the decimals of both, in as many digits as there are.
    "*(numeric, numeric)": "CAST((_1 * toDecimal256(1, 0)) * _2 AS _t)",
    "-(numeric)": "toDecimal128(0, 0) - _1",
    # All of NaN are alike, and greater than the rest.
    **{f"{sign}(float8, float8)": _double(sign) for sign in "+-*"},
    "/(float8, float8)": _quotient(),
    "-(float8)": "0. - _1",
    "abs(float8)": "abs(_1)",
    **{
        f"{name}(float8)": f"{function}(_1) + 0."
        for name, function in (
            *(("round", "roundBankers"), ("floor", "floor")),
            *(("ceil", "ceil"), ("ceiling", "ceil")),
        )
    },
    "=(float8, float8)": f"{_BITS.format('_1')} = {_BITS.format('_2')}",
    "<>(float8, float8)": f"{_BITS.format('_1')} <> {_BITS.format('_2')}",
    "<(float8, float8)": "_1 < _2 OR (isNaN(_2) AND NOT isNaN(_1))",
    "<=(float8, float8)": "_1 <= _2 OR isNaN(_2)",
    ">(float8, float8)": "_1 > _2 OR (isNaN(_1) AND NOT isNaN(_2))",
    ">=(float8, float8)": "_1 >= _2 OR isNaN(_1)",
}
_CASTS = {
    **{
        f"cast({one}, {two})": f"CAST(_1 AS {_TYPES[two]})"
        for one, two in (("int2", "int4"), ("int2", "int8"), ("int4", "int8"), ("bool", "int4"))
    },
    **{
        f"cast({one}, {two})": _checked("_1", two)
        for one, two in (("int4", "int2"), ("int8", "int2"), ("int8", "int4"))
    },
    **each(
        "int2 int4 int8",
        {
            "cast({}, numeric)": "CAST(_1 AS _t)",
            "cast({}, float8)": "toFloat64(_1)",
            "cast({}, text)": "toString(_1)",
        },
    ),
    **{
        key: text
        for kind in _WIDE
        for key, text in {
            # To even where two are as near, and away from zero, as PostgreSQL rounds either.
            f"cast(float8, {kind})": _checked("roundBankers(_1)", kind),
            f"cast(numeric, {kind})": _checked("round(_1)", kind),
        }.items()
    },
    "cast(numeric, float8)": "toFloat64(toString(_1))",
    "cast(float4, float8)": "toFloat64(_1)",
    "cast(bool, text)": "toString(CAST(_1 AS Nullable(Bool)))",
    "cast(date, text)": "toString(toDate32(_1))",
    "cast(timestamp, text)": "trimRight(trimRight(toString(toDateTime64(_1, 6)), '0'), '.')",
    "cast(date, timestamp)": "toDateTime64(toDate32(_1), 6)",
    "cast(date, timestamptz)": "toDateTime64(toDate32(_1), 6, 'UTC')",
    "cast(timestamp, timestamptz)": "toDateTime64(_1, 6, 'UTC')",
    "cast(timestamp, date)": "toDate32(_1)",
    "cast(timestamptz, timestamp)": "toDateTime64(toDateTime64(_1, 6, 'UTC'), 6, 'Etc/Zulu')",
    "cast(timestamptz, date)": "toDate32(toDateTime64(_1, 6, 'UTC'))",
}
_CASTS |= {
    key.replace("text)", "varchar)"): text for key, text in _CASTS.items() if key.endswith("text)")
}

_REST = "toInt64(lengthUTF8(_1)) + _2"
_LEFT = f"if(_2 >= 0, toInt64(_2), if({_REST} < 0, 0, {_REST}))"
_END = "toInt64(_2) + _3 - if(_2 < 1, 1, _2)"
_NEGATIVE = _unless(
    "_1 IS NOT NULL AND _2 IS NOT NULL AND _3 < 0", "22011: negative substring length not allowed"
)
_STRINGS = {
    "||(text, text)": "concat(_1, _2)",
    # Letters beyond ASCII have no case in the collation "C", nor for these.
    "lower(text)": "lower(_1)",
    "upper(text)": "upper(_1)",
    **dict.fromkeys(("length(text)", "char_length(text)"), "toInt32(lengthUTF8(_1))"),
    "octet_length(text)": "toInt32(length(_1))",
    "replace(text, text, text)": "replaceAll(_1, _2, _3)",
    "strpos(text, text)": "toInt32(positionUTF8(_1, _2))",
    "btrim(text)": "trimBoth(_1)",
    "ltrim(text)": "trimLeft(_1)",
    "rtrim(text)": "trimRight(_1)",
    "reverse(text)": "reverseUTF8(_1)",
    **{
        key: text
        for name in ("substring", "substr")
        for key, text in {
            f"{name}(text, int4)": "substringUTF8(_1, if(_2 < 1, 1, _2))",
            f"{name}(text, int4, int4)": f"substringUTF8(_1, if(_2 < 1, 1, _2) + {_NEGATIVE}, "
            f"if({_END} < 0, 0, {_END}))",
        }.items()
    },
    "left(text, int4)": f"substringUTF8(_1, 1, {_LEFT})",
    "starts_with(text, text)": "startsWith(_1, _2)",
    "like(text, text)": "_1 LIKE _2",
    "ilike(text, text)": "lower(_1) LIKE lower(_2)",
}

_FIRST_DAY, _LAST_DAY = -25567, 120529
"""1900-01-01 and 2299-12-31 in days since 1970."""
_MOST_DAYS = _LAST_DAY - _FIRST_DAY
_MOST_MONTHS = 400 * 12
_RANGE = (
    "BETWEEN toDateTime64('1900-01-01 00:00:00', 6, 'UTC')"
    " AND toDateTime64('2299-12-31 23:59:59.999999', 6, 'UTC')"
)
_MICROSECONDS = {"hour": 3_600_000_000, "minute": 60_000_000, "second": 1_000_000}
_STARTS = {
    "year": "toStartOfYear({})",
    "quarter": "toStartOfQuarter({})",
    "month": "toStartOfMonth({})",
    "week": "toStartOfWeek({}, 1)",
    "day": "toDate32({})",
}
_DAY_FIELDS = {
    "year": "toYear({})",
    "quarter": "toQuarter({})",
    "month": "toMonth({})",
    "week": "toISOWeek({})",
    "isoyear": "toISOYear({})",
    "day": "toDayOfMonth({})",
    "dow": "(toDayOfWeek({}) % 7)",
    "isodow": "toDayOfWeek({})",
    "doy": "toDayOfYear({})",
}
_CLOCK_FIELDS = {"hour": "toHour({})", "minute": "toMinute({})"}


def _moment(text: str, kind: str) -> str:
    """A date or moment as a moment of a kind."""
    return f"toDateTime64({text}, 6)" if kind == "timestamp" else f"toDateTime64({text}, 6, 'UTC')"


def _shifted(moved: str, most: int, kind: str) -> str:
    """A moment moved by ``_2``, or an error where it is in no year that ClickHouse knows."""
    far = f"abs(_2) > {most} OR NOT ({moved} {_RANGE})"
    return f"{moved} + {_unless(far, f'22008: {kind} out of range')}"


def _of_moments(kind: str) -> dict[str, str]:
    value = _moment("_1", kind)
    count = f"toUnixTimestamp64Micro({value})"
    zone = "" if kind == "timestamp" else ", 'UTC'"
    most = _MOST_DAYS * 86_400_000_000
    return {
        **{
            f"date_trunc('{field}', {kind})": _moment(text.format(f"toDate32({value})"), kind)
            for field, text in _STARTS.items()
        },
        # The functions for these round moments before 1970 up.
        **{
            f"date_trunc('{field}', {kind})": "fromUnixTimestamp64Micro("
            f"{count} - ({count} % {size} + {size}) % {size}{zone})"
            for field, size in _MICROSECONDS.items()
        },
        f"+({kind}, months)": _shifted(f"addMonths({value}, _2)", _MOST_MONTHS, kind),
        f"+({kind}, days)": _shifted(f"addDays({value}, _2)", _MOST_DAYS, kind),
        f"+({kind}, microseconds)": _shifted(f"addMicroseconds({value}, _2)", most, kind),
    }


def _fields(kind: str) -> dict[str, str]:
    value = "toDate32(_1)" if kind == "date" else _moment("_1", kind)
    fields = _DAY_FIELDS if kind == "date" else {**_DAY_FIELDS, **_CLOCK_FIELDS}
    return {
        **{
            f"extract('{field}', {kind})": f"CAST({text.format(value)} AS Nullable(Decimal(10, 0)))"
            for field, text in fields.items()
        },
        **{
            f"date_part('{field}', {kind})": f"toFloat64({text.format(value)})"
            for field, text in fields.items()
        },
    }


def _date_moved(sign: str) -> str:
    days = f"toInt64(toInt32(toDate32(_1))) {sign} toInt64(_2)"
    far = _unless(f"NOT ({days} BETWEEN {_FIRST_DAY} AND {_LAST_DAY})", "22008: date out of range")
    return f"addDays(toDate32(_1), {sign}toInt64(_2) + {far})"


_DATES = {
    **_of_moments("timestamp"),
    **_of_moments("timestamptz"),
    **_fields("date"),
    **_fields("timestamp"),
    **_fields("timestamptz"),
    "+(date, int4)": _date_moved("+"),
    "-(date, int4)": _date_moved("-"),
    "-(date, date)": "toInt32(toDate32(_1)) - toInt32(toDate32(_2))",
}

_COMPARABLE = "bool int2 int4 int8 numeric text varchar date timestamp timestamptz"
_SUM_OVERFLOW = _unless("isInfinite(sum(_1)) AND NOT isInfinite(max(abs(_1)))", _TOO_BIG)
_GREATEST_DOUBLE = "if(countIf(isNaN(_1)) > 0, nan, max(_1))"
_LEAST_DOUBLE = (
    "if(count(_1) > 0 AND countIf(NOT isNaN(_1)) = 0, nan, minIf(_1, ifNull(NOT isNaN(_1), 0)))"
)
_TOTALS = {
    "count(*)": "toInt64(count())",
    "count(any)": "toInt64(count(_1))",
    **each("int2 int4", {"sum({})": _checked("sum(toInt128(_1))", "int8")}),
    # There is no cast from an integer as wide as that to a number with decimals.
    "sum(int8)": "toDecimal128(toString(sum(toInt128(_1))), 0)",
    "sum(float8)": f"sum(_1) + {_SUM_OVERFLOW}",
    "sum(numeric)": "CAST(sum(_1 * toDecimal256(1, 0)) AS _t)",
    **each(_COMPARABLE, {"min({})": "min(_1)", "max({})": "max(_1)"}),
    "bool_and(bool)": "min(_1)",
    "bool_or(bool)": "max(_1)",
}
_WINDOWS = {
    **{f"{name}() over": f"{name}()" for name in ("row_number", "rank", "dense_rank")},
    "count(*) over": "count()",
    **each(_COMPARABLE, {"min({}) over": "min(_1)", "max({}) over": "max(_1)"}),
}
_AGGREGATES = {
    **_TOTALS,
    **_WINDOWS,
    "max(float8)": _GREATEST_DOUBLE,
    "min(float8)": _LEAST_DOUBLE,
    **each(f"{_COMPARABLE} float8", {"count(distinct {})": "toInt64(uniqExact(_1))"}),
}


def _known_moment(made: str) -> str:
    """A constant, or an error where ClickHouse takes it for another one."""
    return (
        f"{made} + throwIf(NOT startsWith(toString({made}), _1), "
        "'22008: dates of such years are not supported on ClickHouse')"
    )


CLICKHOUSE = Tables(
    dialect="clickhouse",
    title="ClickHouse",
    features=Features(
        nested_joins=False,
        lateral=False,
        # Of two sets that are the same, one is dropped.
        grouping_sets=False,
        distinct_on=False,
        with_ties=False,
        set_operations=frozenset(("union", "union all", "intersect", "except")),
        recursive=False,
        materialized=False,
        values=False,
        named_windows=False,
        computed_limits=False,
        correlated_subqueries=False,
        booleans=False,
        fence="limit",
    ),
    types=_TYPES,
    # Of Decimal128: its own numbers of 76 digits are known to few others.
    digits=38,
    comparable=frozenset((*_COMPARABLE.split(), "float8")),
    unsorted=frozenset(("float8",)),
    templates={**_NUMBERS, **_CASTS, **_STRINGS, **_DATES, **_AGGREGATES},
    constants={
        **{kind: f"to{name}(_1)" for kind, name in _WIDE.items()},
        "float8": "_1",
        "numeric": "CAST(_1 AS _t)",
        "date": _known_moment("toDate32(_1)"),
        "timestamp": _known_moment("toDateTime64(_1, 6)"),
        "timestamptz": _known_moment("toDateTime64(_1, 6, 'UTC')"),
    },
    number_texts=True,
    parameters=dict.fromkeys(
        (
            *("bool", "int2", "int4", "int8", "float8", "text", "varchar"),
            *("date", "timestamp", "timestamptz"),
        ),
        "_1",
    ),
    # What the connector reads as varchar are texts of another kind: their own order and length.
    # Conditions of the model are numbers.
    columns={
        "varchar": "toString(_1)",
        "bool": "CAST(_1 AS Nullable(Bool))",
        "float8": "multiIf(_1 = 0, 0., isNaN(_1), nan, _1)",
    },
    results={
        **{kind: f"CAST(_1 AS {_TYPES[kind]})" for kind in ("bool", "int2", "int4", "int8")},
        "timestamp": "toDateTime64(_1, 6)",
        "timestamptz": "toDateTime64(_1, 6, 'UTC')",
    },
    null_in_lists=False,
    like_escape="\\",
    moment="toDateTime64(_1, 6, 'UTC')",
)
