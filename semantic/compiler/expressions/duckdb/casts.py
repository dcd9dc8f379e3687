"""PostgreSQL's casts, with its text forms, its rounding and its errors."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from semantic.compiler.expressions.duckdb import literals, numeric
from semantic.compiler.expressions.duckdb.array_literals import array_literal
from semantic.compiler.expressions.duckdb.build import call, cast, number, sql
from semantic.compiler.expressions.duckdb.spelling import duckdb_type
from semantic.compiler.expressions.duckdb.value import Value
from semantic.compiler.expressions.duckdb.zones import at_session_zone
from semantic.compiler.expressions.types import (
    FLOATS,
    INTEGERS,
    NUMBERS,
    STRINGS,
    numeric_scale,
    sql_name,
)
from semantic.errors import UnsupportedError
from semantic.model.types import INTERVAL, NUMERIC, TEXT, TIMESTAMPTZ, PostgresType

# Shortest digits that give the number back, as PostgreSQL prints them: an exponent from _2 digits
# before the point on (15 for double precision, 6 for real), no ".0" behind whole numbers.
_REAL_DIGITS = """list_transform([CAST(_1 AS DOUBLE)], lambda d: CASE
  WHEN CAST(printf('%.6g', d) AS FLOAT) = CAST(d AS FLOAT) THEN printf('%.6g', d)
  WHEN CAST(printf('%.7g', d) AS FLOAT) = CAST(d AS FLOAT) THEN printf('%.7g', d)
  WHEN CAST(printf('%.8g', d) AS FLOAT) = CAST(d AS FLOAT) THEN printf('%.8g', d)
  ELSE printf('%.9g', d) END)[1]"""
_FLOAT_TEXT = """
list_transform([_1], lambda t: CASE
  WHEN t = 'nan' OR t = '-nan' THEN 'NaN'
  WHEN t = 'inf' THEN 'Infinity'
  WHEN t = '-inf' THEN '-Infinity'
  WHEN contains(t, 'e') THEN regexp_replace(t, '\\.0*e', 'e')
  WHEN length(split_part(ltrim(t, '-'), '.', 1)) > _2 THEN
    concat(
      CASE WHEN starts_with(t, '-') THEN '-' ELSE '' END,
      rtrim(rtrim(concat(left(ltrim(t, '-'), 1), '.', substring(
        regexp_replace(regexp_replace(ltrim(t, '-'), '\\.0$', ''), '\\.', ''), 2)), '0'), '.'),
      'e+', lpad(CAST(length(split_part(ltrim(t, '-'), '.', 1)) - 1 AS VARCHAR), 2, '0'))
  ELSE regexp_replace(t, '\\.0$', '') END)[1]
"""
_BOOL_TEXT = "CASE WHEN _1 THEN 'true' WHEN NOT _1 THEN 'false' END"
_BOOL_OUTPUT = "CASE WHEN _1 THEN 't' WHEN NOT _1 THEN 'f' END"
_DATE_TEXT = "regexp_replace(CAST(_1 AS VARCHAR), ' \\(BC\\)(.*)$', '\\1 BC')"
# Of an offset of local mean time DuckDB leaves the seconds out.
_ZONED_TEXT = f"""CASE WHEN datepart('timezone', _1) % 60 <> 0 THEN
  regexp_replace({_DATE_TEXT}, '[-+][0-9:]+( BC)?$', concat(
    CASE WHEN datepart('timezone', _1) < 0 THEN '-' ELSE '+' END,
    lpad(CAST(abs(datepart('timezone', _1)) // 3600 AS VARCHAR), 2, '0'), ':',
    lpad(CAST(abs(datepart('timezone', _1)) // 60 % 60 AS VARCHAR), 2, '0'), ':',
    lpad(CAST(abs(datepart('timezone', _1)) % 60 AS VARCHAR), 2, '0'), '\\1'))
  ELSE {_DATE_TEXT} END"""
_INTERVAL_TEXT = """
list_transform([_1], lambda i:
  list_transform([{
    'y': datepart('year', i), 'm': datepart('month', i), 'd': datepart('day', i),
    'u': datepart('hour', i) * 3600000000 + datepart('minute', i) * 60000000
         + datepart('microsecond', i)
  }], lambda p: CASE WHEN i IS NULL THEN NULL
    WHEN p.y = 0 AND p.m = 0 AND p.d = 0 AND p.u = 0 THEN '00:00:00'
    ELSE ltrim(concat(
      CASE WHEN p.y = 0 THEN '' ELSE
        concat(' ', p.y, CASE WHEN p.y = 1 THEN ' year' ELSE ' years' END) END,
      CASE WHEN p.m = 0 THEN '' ELSE concat(' ', CASE WHEN p.y < 0 AND p.m > 0 THEN '+' ELSE '' END,
        p.m, CASE WHEN p.m = 1 THEN ' mon' ELSE ' mons' END) END,
      CASE WHEN p.d = 0 THEN '' ELSE concat(' ',
        CASE WHEN (p.y < 0 AND p.m = 0 OR p.m < 0) AND p.d > 0 THEN '+' ELSE '' END, p.d,
        CASE WHEN p.d = 1 THEN ' day' ELSE ' days' END) END,
      CASE WHEN p.u = 0 THEN '' ELSE concat(' ', CASE WHEN p.u < 0 THEN '-'
          WHEN p.d < 0 OR p.d = 0 AND (p.m < 0 OR p.m = 0 AND p.y < 0) THEN '+' ELSE '' END,
        lpad(CAST(abs(p.u) // 3600000000 AS VARCHAR),
          CAST(greatest(2, length(CAST(abs(p.u) // 3600000000 AS VARCHAR))) AS INTEGER), '0'), ':',
        lpad(CAST(abs(p.u) // 60000000 % 60 AS VARCHAR), 2, '0'), ':',
        lpad(CAST(abs(p.u) // 1000000 % 60 AS VARCHAR), 2, '0'),
        CASE WHEN abs(p.u) % 1000000 = 0 THEN '' ELSE concat('.',
          rtrim(lpad(CAST(abs(p.u) % 1000000 AS VARCHAR), 6, '0'), '0')) END) END
    ), ' ') END)[1]
)[1]
"""

MICROSECONDS = """(datepart('hour', {0}) * 3600000000 + datepart('minute', {0}) * 60000000
  + datepart('microsecond', {0}))"""

# A text that is no value of its type is cast together with the complaint, so that the cast fails.
_TEXT_INTEGER = """
CASE WHEN regexp_full_match(_1, '\\s*[-+]?[0-9]+\\s*') THEN CAST(trim(_1, ' +') AS {type})
WHEN _1 IS NOT NULL THEN
  CAST(concat('invalid input syntax for type {name}: "', _1, '"') AS {type}) END
"""
# Without the sign of a zero, zeros before the first digit, and a point behind the last.
_PLAIN_NUMBER = r"""regexp_replace(replace(regexp_replace(regexp_replace(regexp_replace({},
  '^-([0.]*)$', '\1'), '^(-?)0*([0-9]*)(\.[0-9]*)?$', '\1#\2\3'), '#(\.|$)', '0\1'), '#', ''),
  '\.$', '')"""
# All digits of a number with an exponent, and how many of them are behind the point.
_EXPONENT = r"""list_transform(list_transform(list_transform(
  [lower(regexp_replace(_1, '[\s+]', '', 'g'))], lambda t: {
    's': CASE WHEN t LIKE '-%' THEN '-' ELSE '' END,
    'd': replace(ltrim(split_part(t, 'e', 1), '-'), '.', ''),
    'n': length(split_part(split_part(t, 'e', 1), '.', 2))
      - TRY_CAST(split_part(t, 'e', 2) AS INTEGER)}),
  lambda x: {'s': x.s, 'n': CAST(greatest(x.n, 0) AS INTEGER),
    'd': CASE WHEN x.n <= 0 THEN concat(x.d, repeat('0', CAST(-x.n AS INTEGER)))
      ELSE lpad(x.d, CAST(greatest(length(x.d), x.n) AS INTEGER), '0') END}),
  lambda x: concat(x.s, left(x.d, CAST(length(x.d) - x.n AS INTEGER)), '.', right(x.d, x.n)))[1]"""
_NUMBER_TEXT = _PLAIN_NUMBER.format(r"regexp_replace(_1, '[\s+]', '', 'g')")
_TEXT_NUMERIC = (
    r"CASE WHEN regexp_full_match(_1, '\s*[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)\s*') "
    f"THEN {_NUMBER_TEXT} WHEN regexp_full_match(_1, "
    r"'\s*[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]{1,3}\s*') "
    f"THEN {_PLAIN_NUMBER.format(_EXPONENT)} WHEN _1 IS NOT NULL THEN CAST(CAST("
    """concat('invalid input syntax for type numeric: "', _1, '"') AS INTEGER) AS VARCHAR) END"""
)
_TEXT_FLOAT = """
CASE WHEN isinf(CAST(_1 AS {type})) AND NOT regexp_matches(_1, '(?i)inf')
  THEN CAST(fails(concat('22003: "', _1, '" is out of range for type {name}')) AS {type})
ELSE CAST(trim(_1) AS {type}) END
"""
_TEXT_BOOLEAN = """
CASE WHEN _1 IS NULL THEN NULL
WHEN lower(trim(_1)) IN ('t', 'tr', 'tru', 'true', 'y', 'ye', 'yes', 'on', '1') THEN TRUE
WHEN lower(trim(_1)) IN ('f', 'fa', 'fal', 'fals', 'false', 'n', 'no', 'of', 'off', '0') THEN FALSE
ELSE CAST(concat('invalid input syntax for type boolean: "', _1, '"') AS BOOLEAN) END
"""
_COMPACT = """CASE WHEN regexp_full_match(_1, '\\s*[0-9]{8}\\s*')
THEN CAST(concat(left(trim(_1), 4), '-', substring(trim(_1), 5, 2), '-', substring(trim(_1), 7, 2))
  AS {type})"""
_TEXT_DATE = f"""{_COMPACT}
ELSE CAST(regexp_replace(trim(_1),
  '^([0-9]{{4}}-[0-9]{{1,2}}-[0-9]{{1,2}})[ T][0-9:.]+ ?([-+][0-9:]+|Z)?$', '\\1') AS {{type}}) END
"""
# The offset behind a time is read and not heeded.
_TEXT_TIMESTAMP = f"""{_COMPACT}
ELSE CAST(regexp_replace(trim(_1),
  '(:[0-9]+(\\.[0-9]+)?)( ?[-+][0-9]{{1,2}}(:?[0-9]{{2}})?|Z)$', '\\1') AS {{type}}) END
"""
_FLOAT_NUMERIC = """
list_transform([printf('{format}', _1)], lambda t:
  CASE WHEN t = '-0' THEN '0'
  WHEN regexp_matches(t, '[a-df-z]')
  THEN CAST(fails('0A000: NaN and infinity cannot be converted to numeric here') AS VARCHAR)
  WHEN contains(t, 'e+') THEN concat(replace(split_part(t, 'e', 1), '.', ''), repeat('0', CAST(
    CAST(split_part(t, 'e+', 2) AS INTEGER) - length(split_part(split_part(t, 'e', 1), '.', 2))
    AS INTEGER)))
  WHEN contains(t, 'e') THEN concat(CASE WHEN t LIKE '-%' THEN '-' ELSE '' END, '0.',
    repeat('0', CAST(CAST(split_part(t, 'e-', 2) AS INTEGER) - 1 AS INTEGER)),
    ltrim(replace(split_part(t, 'e', 1), '.', ''), '-'))
  ELSE t END)[1]
"""


def convert(
    value: Value, target: PostgresType, *, explicit: bool = True, folds: bool = True
) -> Value:
    """A value in another type.

    Args:
        value: what to cast.
        target: to which type.
        explicit: whether lengths and scales apply.
        folds: whether the session's time zone has hours that come twice.

    Raises:
        UnsupportedError: the cast cannot be made exactly.
        SemanticError: a literal is no value of the type.
    """
    if value.raw is not None:
        if target.is_array:
            return array_literal(value.raw, target, folds=folds)
        value = literals.literal(value.raw, target, folds=folds)
    source = value.type
    if source.name == target.name:
        return _modified(value, target) if explicit else value
    if source.is_array or target.is_array:
        if (
            source.is_array
            and target.is_array
            and target.element.name in _SAFE_ELEMENTS.get(source.element.name, ())
        ):
            return Value(cast(value.node, duckdb_type(target)), target)
        if source.is_array and target.is_array and explicit:
            return _elements(value, target, folds=folds)
        if not source.is_array or target.name not in STRINGS:
            raise _refused(value, target)
    if target.name in STRINGS:
        return _modified(Value(text(value), PostgresType(target.name)), target)
    if target.name == "timestamptz" and source.name in ("date", "timestamp"):
        return _modified(Value(at_session_zone(value.node, folds=folds), TIMESTAMPTZ), target)
    maker = _MAKERS.get((_family(source), _family(target)))
    if maker is None:
        raise _refused(value, target)
    made = maker(value, target)
    return _modified(made, target) if explicit else made


_SAFE_ELEMENTS = {
    "int2": ("int4", "int8"),
    "int4": ("int8",),
    "varchar": ("text",),
    "text": ("varchar",),
    "date": ("timestamp",),
}


def _elements(value: Value, target: PostgresType, *, folds: bool) -> Value:
    """An array cast element by element."""
    if "numeric" in (value.type.element.name, target.element.name):
        raise _refused(value, target)
    item = Value(exp.Column(this=exp.Identifier(this="cw_v", quoted=False)), value.type.element)
    made = convert(item, target.element, folds=folds)
    return Value(sql("list_transform(_1, lambda v: _2)", value.node, made.node), target)


# An element that could be taken for something else stands in quotes.
_ARRAY_TEXT = """CASE WHEN _1 IS NOT NULL THEN
  concat('{', array_to_string(list_transform(_1, lambda v: CASE
    WHEN v IS NULL THEN 'NULL'
    WHEN v = '' OR lower(v) = 'null' OR regexp_matches(v, '[{},"\\\\ \\t\\n\\r\\f\\x0b]')
    THEN concat('"', replace(replace(v, chr(92), chr(92) || chr(92)), '"', chr(92) || '"'), '"')
    ELSE v END), ','), '}') END"""


def element_texts(value: Value) -> exp.Expr:
    """An array's elements as they are sent to a client, a list of texts."""
    name = value.type.element.name
    if name in ("text", "varchar"):
        return value.node
    if value.text is not None:
        return value.text
    if name in (*INTEGERS, "uuid", "numeric"):
        return cast(value.node, "VARCHAR[]")
    item = exp.Column(this=exp.Identifier(this="cw_v", quoted=False))
    made = text(Value(item, PostgresType(name)), output=True)
    return sql("list_transform(_1, lambda v: _2)", value.node, made)


def _refused(value: Value, target: PostgresType) -> UnsupportedError:
    return UnsupportedError(
        f"casting {sql_name(value.type)} to {sql_name(target)} is not supported on DuckDB",
        hint="Cast it to another type, or compute it in the cube's SQL.",
    )


def _family(kind: PostgresType) -> str:
    if kind.name in INTEGERS:
        return "integer"
    if kind.name in FLOATS:
        return "float"
    if kind.name in STRINGS:
        return "text"
    return "json" if kind.name == "jsonb" else kind.name


def _modified(value: Value, target: PostgresType) -> Value:
    """Apply a length, precision or scale."""
    if target.modifier == -1 or target.modifier == value.type.modifier:
        return value
    name = target.name
    if name == "numeric":
        return numeric.with_place(Value(cast(_rounding(value), duckdb_type(target)), target))
    if name == "varchar":
        return Value(call("left", value.node, number(target.modifier - 4)), target)
    if name == "bpchar":
        length = number(target.modifier - 4)
        return Value(sql("rpad(_1, CAST(_2 AS INTEGER), ' ')", value.node, length), target)
    if name in ("timestamp", "timestamptz", "time") and target.modifier == 6:
        return Value(value.node, target)
    if name in _OF_MICROSECONDS and 0 <= target.modifier < 6:
        since, made = _OF_MICROSECONDS[name]
        size = 10 ** (6 - target.modifier)
        rounded = made.format(_ROUNDED.format(since=since, half=size // 2, size=size))
        if name == "time":
            return Value(sql(rounded, value.node), target)
        text = f"CASE WHEN isfinite(_1) THEN {rounded} ELSE _1 END"
        return Value(sql(text, value.node), target)
    raise UnsupportedError(
        f"{sql_name(target)} with a precision of {target.modifier} is not supported on DuckDB"
    )


# To a precision, half away from the first day of 2000, from which PostgreSQL counts.
_ROUNDED = """list_transform([epoch_us(_1) - {since}], lambda u: CASE
  WHEN u >= 0 THEN (u + {half}) // {size} * {size}
  ELSE -((-u + {half}) // {size} * {size}) END)[1] + {since}"""
_OF_MICROSECONDS = {
    "timestamp": (946_684_800_000_000, "make_timestamp(CAST({} AS BIGINT))"),
    "timestamptz": (946_684_800_000_000, "make_timestamptz(CAST({} AS BIGINT))"),
    # It may be rounded to 24:00.
    "time": (
        0,
        "list_transform([{}], lambda u: make_time("
        "u // 3600000000, u // 60000000 % 60, (u % 60000000) / 1000000))[1]",
    ),
}


def _rounding(value: Value) -> exp.Expr:
    # From the text of a quotient the digits are rounded once only.
    return value.text.copy() if value.text is not None else value.node


def text(value: Value, *, output: bool = False) -> exp.Expr:
    """A value's text as a cast makes it; with ``output``, as it would be sent to a client."""
    kind, node = value.type, value.node
    name = kind.name
    if value.raw is not None or name in ("text", "varchar", "name"):
        return node
    if name == "bpchar":
        return node if output else call("rtrim", node, exp.Literal.string(" "))
    if name in INTEGERS or name == "uuid":
        return cast(node, "VARCHAR")
    if name == "numeric":
        return numeric.text_of(value)
    if name == "float8":
        return sql(_FLOAT_TEXT, cast(node, "VARCHAR"), number(15))
    if name == "float4":
        return sql(_FLOAT_TEXT, sql(_REAL_DIGITS, node), number(6))
    if name == "bool":
        return sql(_BOOL_OUTPUT if output else _BOOL_TEXT, node)
    if name in ("date", "timestamp"):
        return sql(_DATE_TEXT, node)
    if name == "timestamptz":
        return sql(_ZONED_TEXT, node)
    if name == "json" or (name == "jsonb" and not isinstance(node, exp.Column)):
        return document_text(node)
    if name == "time":
        return cast(node, "VARCHAR")
    if name == "interval":
        return sql(_INTERVAL_TEXT, node)
    if kind.is_array:
        return sql(_ARRAY_TEXT, element_texts(value))
    raise _refused(value, TEXT)


def document_text(node: exp.Expr) -> exp.Expr:
    """The text of a JSON document. A column may be a struct or a map, which have other texts."""
    return cast(cast(node, "JSON") if isinstance(node, exp.Column) else node, "VARCHAR")


def _to_integer(value: Value, target: PostgresType) -> Value:
    return Value(cast(value.node, duckdb_type(target)), PostgresType(target.name))


def _numeric_to_integer(value: Value, target: PostgresType) -> Value:
    node = value.node
    if value.text is not None:
        # From the text the digits are rounded once, and none is too long.
        node = cast(value.text.copy(), "DECIMAL(38, 0)")
    return Value(cast(node, duckdb_type(target)), PostgresType(target.name))


_DIGITS = {"int2": 5, "int4": 10, "int8": 19}


def _integer_to_numeric(value: Value, _target: PostgresType) -> Value:
    # It stays the integer that it is; its digits tell how long a product may get.
    modifier = (_DIGITS[value.type.name] << 16) + 4
    return Value(value.node, PostgresType("numeric", modifier), scale=0)


def _integer_to_float(value: Value, target: PostgresType) -> Value:
    return Value(cast(value.node, duckdb_type(target)), PostgresType(target.name))


def _numeric_to_float(value: Value, target: PostgresType) -> Value:
    node = numeric.as_float(value)
    if target.name == "float4":
        node = cast(node.this, "FLOAT")
    return Value(node, PostgresType(target.name))


def _float_to_numeric(value: Value, _target: PostgresType) -> Value:
    # PostgreSQL goes by way of the text with the digits that are sure to be right.
    digits = "%.15g" if value.type.name == "float8" else "%.6g"
    node = value.node if value.type.name == "float8" else cast(value.node, "DOUBLE")
    return numeric.from_text(sql(_FLOAT_NUMERIC.replace("{format}", digits), node))


def _text_to(template: str) -> Callable[[Value, PostgresType], Value]:
    def make(value: Value, target: PostgresType) -> Value:
        filled = template.replace("{type}", duckdb_type(PostgresType(target.name)))
        node = sql(filled.replace("{name}", sql_name(target)), _trimmed(value))
        return Value(node, PostgresType(target.name))

    return make


def _trimmed(value: Value) -> exp.Expr:
    return text(value)


def _text_to_numeric(value: Value, target: PostgresType) -> Value:
    made = numeric.from_text(sql(_TEXT_NUMERIC, _trimmed(value)))
    if numeric_scale(target) is not None:
        return Value(made.node, NUMERIC, text=made.text)
    return made


def _moment_to_time(value: Value, target: PostgresType) -> Value:
    """The clock time of a moment; NULL, as in PostgreSQL, where that is infinite."""
    local = cast(value.node, "TIMESTAMP") if value.type.name == "timestamptz" else value.node
    node = sql("CAST(CASE WHEN isfinite(_1) THEN _1 END AS TIME)", local)
    return Value(node, PostgresType(target.name))


def _plain(value: Value, target: PostgresType) -> Value:
    return Value(cast(value.node, duckdb_type(target)), PostgresType(target.name))


def _time_to_interval(value: Value, _target: PostgresType) -> Value:
    return Value(sql("to_microseconds(epoch_us(_1))", value.node), INTERVAL)


_DAY = 86_400_000_000


def _interval_to_time(value: Value, target: PostgresType) -> Value:
    """What is left of its hours when days are taken away."""
    past = f"(({MICROSECONDS.format('_1')} % {_DAY}) + {_DAY}) % {_DAY}"
    text = f"CAST(make_timestamp(CAST({past} AS BIGINT)) AS TIME)"
    return Value(sql(text, value.node), PostgresType(target.name))


_MAKERS: dict[tuple[str, str], Callable[[Value, PostgresType], Value]] = {
    ("integer", "integer"): _to_integer,
    ("integer", "numeric"): _integer_to_numeric,
    ("integer", "float"): _integer_to_float,
    ("integer", "bool"): _plain,
    ("numeric", "integer"): _numeric_to_integer,
    ("numeric", "float"): _numeric_to_float,
    ("float", "integer"): _to_integer,
    ("float", "float"): _plain,
    ("float", "numeric"): _float_to_numeric,
    ("bool", "integer"): _plain,
    ("text", "integer"): _text_to(_TEXT_INTEGER),
    ("text", "numeric"): _text_to_numeric,
    ("text", "float"): _text_to(_TEXT_FLOAT),
    ("text", "bool"): _text_to(_TEXT_BOOLEAN),
    ("text", "date"): _text_to(_TEXT_DATE),
    ("text", "timestamp"): _text_to(_TEXT_TIMESTAMP),
    ("text", "timestamptz"): _plain,
    ("text", "time"): _plain,
    ("text", "uuid"): _plain,
    ("date", "timestamp"): _plain,
    ("timestamp", "date"): _plain,
    ("timestamp", "time"): _moment_to_time,
    ("timestamptz", "date"): _plain,
    ("timestamptz", "timestamp"): _plain,
    ("timestamptz", "time"): _moment_to_time,
    ("time", "interval"): _time_to_interval,
    ("interval", "time"): _interval_to_time,
}

__all__ = ["NUMBERS", "convert", "text"]
