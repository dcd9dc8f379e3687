"""Literals of unknown type, read as PostgreSQL's input functions read them."""

from __future__ import annotations

import re
from decimal import Decimal

from sqlglot import exp

from semantic.compiler.expressions import moments
from semantic.compiler.expressions.duckdb.build import call, cast, number, string
from semantic.compiler.expressions.duckdb.bytea_literals import bytea_text
from semantic.compiler.expressions.duckdb.jsonb_literals import jsonb_text
from semantic.compiler.expressions.duckdb.spelling import MAX_PRECISION, duckdb_type
from semantic.compiler.expressions.duckdb.value import Value
from semantic.compiler.expressions.duckdb.zones import at_session_zone
from semantic.compiler.expressions.inference import decimal_text, number_type
from semantic.compiler.expressions.types import INTEGERS, STRINGS, numeric_scale, sql_name
from semantic.errors import SemanticError, UnsupportedError
from semantic.model.types import INT4, INT8, NUMERIC, TEXT, TIMESTAMPTZ, PostgresType

_INTEGER = re.compile(r"\s*[+-]?\d+(_\d+)*\s*\Z")
_DECIMAL = re.compile(r"\s*[+-]?(\d+(_\d+)*\.?\d*|\.\d+)([eE][+-]?\d+)?\s*\Z")
_RANGES = {"int2": 1 << 15, "int4": 1 << 31, "int8": 1 << 63}
_FLOATS = {"nan": "nan", "infinity": "inf", "inf": "inf", "-infinity": "-inf", "-inf": "-inf"}
_TRUE = ("true", "yes", "on", "1")
_FALSE = ("false", "no", "off", "0")


def number_literal(text: str) -> Value:
    """A number as written in the statement."""
    plain = decimal_text(text)
    if "." not in plain:
        value = int(plain)
        kind = number_type(text)
        if kind == INT4:
            return Value(number(value), INT4)
        if kind == INT8:
            return Value(cast(number(value), "BIGINT"), INT8)
        _check_digits(plain)
        return Value(cast(number(value), "HUGEINT"), NUMERIC, scale=0)
    return _decimal(plain)


def _decimal(plain: str) -> Value:
    _check_digits(plain)
    digits, _, fraction = plain.lstrip("-").partition(".")
    scale = len(fraction)
    precision = max(len(digits.lstrip("0")) + scale, 1)
    node = number(plain if digits else plain.replace(".", "0.", 1))
    modifier = ((max(precision, scale) << 16) | scale) + 4
    return Value(node, PostgresType("numeric", modifier))


def _check_digits(plain: str) -> None:
    if len(plain.lstrip("-0.").replace(".", "")) > MAX_PRECISION or len(plain) > MAX_PRECISION + 2:
        raise UnsupportedError(
            f"a number with more than {MAX_PRECISION} digits is not supported on DuckDB"
        )


def literal(raw: str, target: PostgresType, *, folds: bool = True) -> Value:
    """A string literal as a value of a type.

    ``folds``: the session's time zone has hours that come twice.

    Raises:
        SemanticError: 22P02, it is none.
        UnsupportedError: a form that PostgreSQL may know and we do not.
    """
    name = target.name
    if name in STRINGS or name == "unknown":
        return Value(string(raw), TEXT if name == "unknown" else PostgresType(name))
    if name == "timestamptz":
        return _timestamptz(raw, folds=folds)
    reader = _READERS.get(name)
    if reader is None:
        return Value(cast(string(raw), duckdb_type(target)), PostgresType(name))
    return reader(raw, target)


def _invalid(raw: str, target: PostgresType) -> SemanticError:
    return SemanticError("22P02", f'invalid input syntax for type {sql_name(target)}: "{raw}"')


def _integer(raw: str, target: PostgresType) -> Value:
    if not _INTEGER.match(raw):
        raise _invalid(raw, target)
    value = int(raw)
    limit = _RANGES[target.name]
    if not -limit <= value < limit:
        raise SemanticError("22003", f'value "{raw}" is out of range for type {sql_name(target)}')
    return Value(cast(number(value), duckdb_type(target)), PostgresType(target.name))


def _numeric(raw: str, target: PostgresType) -> Value:
    if not _DECIMAL.match(raw):
        if raw.strip().lower() in _FLOATS:
            raise UnsupportedError("numeric NaN and infinity are not supported on DuckDB")
        raise _invalid(raw, target)
    plain = decimal_text(raw.strip().lstrip("+"))
    if "." in plain:
        return _decimal(plain)
    _check_digits(plain)
    return Value(cast(number(int(plain)), "HUGEINT"), NUMERIC, scale=0)


def _float(raw: str, target: PostgresType) -> Value:
    text = raw.strip()
    special = _FLOATS.get(text.lower().lstrip("+"))
    if special is None:
        if not _DECIMAL.match(text):
            raise _invalid(raw, target)
        if Decimal(text) != 0 and float(text) in (0.0, float("inf"), float("-inf")):
            raise SemanticError("22003", f'"{raw}" is out of range for type {sql_name(target)}')
    return Value(cast(string(special or text), duckdb_type(target)), PostgresType(target.name))


def _boolean(raw: str, target: PostgresType) -> Value:
    text = raw.strip().lower()
    yes = text and any(word.startswith(text) for word in _TRUE)
    no = text and any(word.startswith(text) for word in _FALSE)
    if bool(yes) == bool(no):
        raise _invalid(raw, target)
    return Value(exp.Boolean(this=bool(yes)), target)


def _date(raw: str, target: PostgresType) -> Value:
    text = moments.infinite(raw) or moments.parse_moment(raw, "date").date.isoformat()
    return Value(cast(string(text), "DATE"), target)


def _jsonb(raw: str, target: PostgresType) -> Value:
    return Value(cast(string(jsonb_text(raw)), "JSON"), PostgresType(target.name))


def _bytea(raw: str, target: PostgresType) -> Value:
    return Value(cast(string(bytea_text(raw)), "BLOB"), target)


def _timestamp(raw: str, target: PostgresType) -> Value:
    text = moments.infinite(raw) or moments.parse_moment(raw, "timestamp").text()
    return Value(cast(string(text), "TIMESTAMP"), PostgresType(target.name))


def _timestamptz(raw: str, *, folds: bool) -> Value:
    text = moments.infinite(raw)
    if text is None:
        moment = moments.parse_moment(raw, "timestamp")
        if moment.offset is None:
            local = cast(string(moment.text()), "TIMESTAMP")
            return Value(at_session_zone(local, folds=folds), TIMESTAMPTZ)
        text = moment.utc_text() + "+00"
    return Value(cast(string(text), "TIMESTAMPTZ"), TIMESTAMPTZ)


def _time(raw: str, target: PostgresType) -> Value:
    text = moments.clock_text(moments.parse_time(raw))
    return Value(cast(string(text), "TIME"), PostgresType(target.name))


def interval_pieces(parts: moments.IntervalParts) -> list[exp.Expr]:
    """An interval constant's parts as intervals of their own: months, days, microseconds."""
    return [
        call(name, number(amount))
        for name, amount in (
            ("to_months", parts.months),
            ("to_days", parts.days),
            ("to_microseconds", parts.microseconds),
        )
        if amount
    ]


def interval(parts: moments.IntervalParts) -> exp.Expr:
    """An interval constant."""
    pieces = interval_pieces(parts)
    if not pieces:
        return call("to_days", number(0))
    result = pieces[0]
    for piece in pieces[1:]:
        result = exp.Add(this=result, expression=piece)
    return exp.Paren(this=result) if len(pieces) > 1 else result


def _interval(raw: str, target: PostgresType) -> Value:
    return Value(interval(moments.parse_interval(raw)), target)


_READERS = {
    **dict.fromkeys(INTEGERS, _integer),
    "numeric": _numeric,
    "float4": _float,
    "float8": _float,
    "bool": _boolean,
    "jsonb": _jsonb,
    "bytea": _bytea,
    "date": _date,
    "timestamp": _timestamp,
    "time": _time,
    "interval": _interval,
}


def null(target: PostgresType) -> Value:
    """NULL of a type."""
    if target.name == "numeric" and numeric_scale(target) is None:
        # Any type would decide the scale of what it meets.
        return Value(exp.Null(), target, scale=0)
    return Value(cast(exp.Null(), duckdb_type(target)), target)
