"""Constants in a warehouse's SQL, read as PostgreSQL's input functions read them."""

from __future__ import annotations

import re
from decimal import Decimal

from sqlglot import exp

from semantic.compiler.expressions import moments
from semantic.compiler.expressions.inference import decimal_text
from semantic.compiler.expressions.portable.build import number, sql
from semantic.compiler.expressions.portable.tables import Tables
from semantic.compiler.expressions.portable.value import Value
from semantic.compiler.expressions.types import (
    FLOATS,
    INTEGERS,
    STRINGS,
    numeric_scale,
    sql_name,
)
from semantic.errors import SemanticError, UnsupportedError
from semantic.model.types import TEXT, UNKNOWN, PostgresType

_INTEGER = re.compile(r"\s*[+-]?\d+\s*\Z")
_DECIMAL = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*\Z")
_RANGES = {"int2": 1 << 15, "int4": 1 << 31, "int8": 1 << 63}
_TRUE = ("true", "yes", "on", "1")
_FALSE = ("false", "no", "off", "0")


def written_number(node: exp.Expr) -> str | None:
    """The text of a number that the statement writes, with its sign; None for anything else."""
    while isinstance(node, exp.Paren):
        node = node.this
    if isinstance(node, exp.Neg):
        inner = written_number(node.this)
        return None if inner is None or inner.startswith("-") else f"-{inner}"
    if isinstance(node, exp.Literal) and not node.is_string:
        return decimal_text(node.this)
    return None


def digits_of(plain: str) -> tuple[int, int]:
    """Precision and scale of a number without exponent."""
    whole, _, fraction = plain.lstrip("-").partition(".")
    return max(len(whole.lstrip("0")) + len(fraction), 1), len(fraction)


def numeric_spelling(tables: Tables, precision: int, scale: int) -> str:
    """How a cast spells a numeric type.

    Raises:
        UnsupportedError: the warehouse has none with so many digits.
    """
    template = tables.types.get("numeric", "")
    if not template or precision > tables.digits:
        raise UnsupportedError(
            f"a numeric of {precision} digits is not supported on {tables.title}"
        )
    if scale > tables.decimals:
        raise UnsupportedError(f"a numeric of {scale} decimals is not supported on {tables.title}")
    if scale and "{scale}" not in template:
        raise UnsupportedError(f"a numeric with decimals is not supported on {tables.title}")
    return template.format(precision=max(precision, scale, 1), scale=scale)


def constant(tables: Tables, raw: str, target: PostgresType, *, utc: bool) -> Value:
    """A string literal as a value of a type.

    Args:
        tables: of the dialect.
        raw: the literal's text.
        target: the type.
        utc: the session's time zone is UTC.

    Raises:
        SemanticError: 22P02, 22003: it is none.
        UnsupportedError: a form or type that is not supported here.
    """
    name = target.name
    if name in STRINGS or name == "unknown":
        if name == "varchar" and 4 <= target.modifier < len(raw) + 4:
            raise UnsupportedError("a text that is cut off is not supported here")
        return Value(text_constant(tables, raw), TEXT if name == "unknown" else PostgresType(name))
    if name in INTEGERS:
        return _integer(tables, raw, target)
    if name in FLOATS:
        return _float(tables, raw, target)
    if name == "numeric":
        return _numeric(tables, raw, target)
    if name == "bool":
        return Value(truth_value(tables, _boolean(raw, target)), PostgresType("bool"))
    return Value(_moment(tables, raw, target, utc=utc), PostgresType(name))


def truth_value(tables: Tables, value: bool) -> exp.Expr:
    """TRUE or FALSE as a value."""
    template = tables.constants.get("bool") if tables.truth else None
    return exp.Boolean(this=value) if template is None else sql(template, number(str(int(value))))


def null(tables: Tables, target: PostgresType) -> Value:
    """NULL of a type."""
    if target.name == "numeric":
        size = numeric_scale(target)
        if size is None:
            raise UnsupportedError(f"NULL of any numeric type is not supported on {tables.title}")
        spelled = numeric_spelling(tables, *size)
        return Value(sql("CAST(NULL AS _t)", spelled=spelled), target, size)
    spelled = tables.types.get(target.name, "")
    node = sql("CAST(NULL AS _t)", spelled=spelled) if spelled else exp.Null()
    return Value(node, PostgresType(target.name))


def untyped_null() -> Value:
    """NULL, whose type its surroundings decide."""
    return Value(exp.Null(), UNKNOWN)


def text_constant(tables: Tables, raw: str) -> exp.Expr:
    """A text."""
    if not tables.byte_texts:
        return exp.Literal.string(raw)
    return sql(tables.constants["text"], exp.Var(this=f"0x{raw.encode().hex()}"))


def _template(tables: Tables, kind: PostgresType) -> str:
    found = tables.constants.get(kind.name)
    if found is None:
        raise UnsupportedError(
            f"constants of type {sql_name(kind)} are not supported on {tables.title}"
        )
    return found


def _made(tables: Tables, kind: PostgresType, node: exp.Expr) -> exp.Expr:
    return sql(_template(tables, kind), node)


def _invalid(raw: str, target: PostgresType) -> SemanticError:
    return SemanticError("22P02", f'invalid input syntax for type {sql_name(target)}: "{raw}"')


def _out_of_range(raw: str, target: PostgresType) -> SemanticError:
    return SemanticError("22003", f'value "{raw}" is out of range for type {sql_name(target)}')


def _integer(tables: Tables, raw: str, target: PostgresType) -> Value:
    if not _INTEGER.match(raw):
        raise _invalid(raw, target)
    value, limit = int(raw), _RANGES[target.name]
    if not -limit <= value < limit:
        raise _out_of_range(raw, target)
    kind = PostgresType(target.name)
    return Value(_made(tables, kind, number(str(value))), kind)


def _float(tables: Tables, raw: str, target: PostgresType) -> Value:
    text = raw.strip()
    if not _DECIMAL.match(text):
        if text.lower().lstrip("+-") in ("nan", "inf", "infinity"):
            raise UnsupportedError(f"{text} as a constant is not supported on {tables.title}")
        raise _invalid(raw, target)
    value = float(text)
    if value in (float("inf"), float("-inf")) or (value == 0 and Decimal(text) != 0):
        raise SemanticError("22003", f'"{raw}" is out of range for type {sql_name(target)}')
    if target.name == "float4":
        raise UnsupportedError("a constant of type real is not supported here")
    kind = PostgresType(target.name)
    # An exponent makes a number a double in every dialect.
    shown = repr(value) if "e" in repr(value) else repr(value) + "e0"
    return Value(_made(tables, kind, number(shown)), kind)


def _numeric(tables: Tables, raw: str, target: PostgresType) -> Value:
    text = raw.strip().lstrip("+")
    if not _DECIMAL.match(text):
        if text.lower().lstrip("-") in ("nan", "inf", "infinity"):
            raise UnsupportedError(f"numeric {text} is not supported on {tables.title}")
        raise _invalid(raw, target)
    plain = decimal_text(text)
    precision, scale = digits_of(plain)
    size = numeric_scale(target)
    if size is not None:
        if scale > size[1]:
            raise UnsupportedError("a number that is rounded is not supported here")
        if precision - scale > size[0] - size[1]:
            raise SemanticError("22003", "numeric field overflow")
        precision, scale = size
    spelled = numeric_spelling(tables, precision, scale)
    whole = plain.replace(".", "0.", 1) if plain.lstrip("-").startswith(".") else plain
    written = exp.Literal.string(whole) if tables.number_texts else number(whole)
    node = sql(_template(tables, target), written, spelled=spelled)
    return Value(node, target, (precision, scale))


def _boolean(raw: str, target: PostgresType) -> bool:
    text = raw.strip().lower()
    yes = bool(text) and any(word.startswith(text) for word in _TRUE)
    no = bool(text) and any(word.startswith(text) for word in _FALSE)
    if yes == no:
        raise _invalid(raw, target)
    return yes


def _moment(tables: Tables, raw: str, target: PostgresType, *, utc: bool) -> exp.Expr:
    name = target.name
    if name not in ("date", "timestamp", "timestamptz"):
        raise UnsupportedError(
            f"constants of type {sql_name(target)} are not supported on {tables.title}"
        )
    if target.modifier != -1:
        raise UnsupportedError("a moment that is rounded is not supported here")
    if moments.infinite(raw) is not None:
        raise UnsupportedError(f"infinity as a date or time is not supported on {tables.title}")
    found = moments.parse_moment(raw, "date" if name == "date" else "timestamp")
    text = found.text()
    if name == "date":
        text = found.date.isoformat()
    elif name == "timestamptz":
        if found.offset is None and not utc:
            raise UnsupportedError(
                "a moment without an offset is read by the session's time zone, which is "
                f"supported for UTC only on {tables.title}"
            )
        text = found.utc_text()
    return _made(tables, target, exp.Literal.string(text))
