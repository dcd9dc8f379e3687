"""PostgreSQL's binary operators by the types of their operands (manual, 9.3, 9.9 and 10.2)."""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from semantic.compiler.expressions.places import position
from semantic.compiler.expressions.types import (
    FLOATS,
    INTEGERS,
    NUMBERS,
    QUOTIENT,
    category,
    is_string,
    sql_name,
)
from semantic.errors import SemanticError, UnsupportedError
from semantic.model.types import (
    DATE,
    FLOAT8,
    INT4,
    INTERVAL,
    NUMERIC,
    TEXT,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    UNKNOWN,
    PostgresType,
)


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator's operand types, after casts, and its result."""

    left: PostgresType
    right: PostgresType
    result: PostgresType


_SIGNS: dict[type[exp.Expr], str] = {
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.Div: "/",
    exp.Mod: "%",
    exp.DPipe: "||",
    exp.BitwiseAnd: "&",
    exp.BitwiseOr: "|",
    exp.BitwiseXor: "#",
    exp.BitwiseLeftShift: "<<",
    exp.BitwiseRightShift: ">>",
}
ARITHMETIC = tuple(_SIGNS)
_BITS = (exp.BitwiseAnd, exp.BitwiseOr, exp.BitwiseXor)
_SHIFTS = (exp.BitwiseLeftShift, exp.BitwiseRightShift)

# sign, left, right -> result
_TIMES: dict[tuple[str, str, str], PostgresType] = {
    ("+", "date", "int4"): DATE,
    ("+", "int4", "date"): DATE,
    ("+", "date", "interval"): TIMESTAMP,
    ("+", "interval", "date"): TIMESTAMP,
    ("+", "date", "time"): TIMESTAMP,
    ("+", "time", "date"): TIMESTAMP,
    ("-", "date", "date"): INT4,
    ("-", "date", "int4"): DATE,
    ("-", "date", "interval"): TIMESTAMP,
    ("+", "timestamp", "interval"): TIMESTAMP,
    ("+", "interval", "timestamp"): TIMESTAMP,
    ("-", "timestamp", "interval"): TIMESTAMP,
    ("+", "timestamptz", "interval"): TIMESTAMPTZ,
    ("+", "interval", "timestamptz"): TIMESTAMPTZ,
    ("-", "timestamptz", "interval"): TIMESTAMPTZ,
    ("-", "timestamp", "timestamp"): INTERVAL,
    ("-", "timestamptz", "timestamptz"): INTERVAL,
    ("+", "time", "interval"): TIME,
    ("+", "interval", "time"): TIME,
    ("-", "time", "interval"): TIME,
    ("-", "time", "time"): INTERVAL,
    ("+", "interval", "interval"): INTERVAL,
    ("-", "interval", "interval"): INTERVAL,
    ("*", "interval", "float8"): INTERVAL,
    ("*", "float8", "interval"): INTERVAL,
    ("/", "interval", "float8"): INTERVAL,
}


def binary(
    operator: type[exp.Expr], left: PostgresType, right: PostgresType, node: exp.Expr
) -> Operator:
    """The operator that PostgreSQL would take for these operands.

    Raises:
        SemanticError: 42883, there is none.
        UnsupportedError: PostgreSQL has it, we do not.
    """
    sign = _SIGNS[operator]
    if "jsonb" in (left.name, right.name) and not {left.name, right.name} & {"text", "varchar"}:
        raise UnsupportedError(
            f"the operator {sign} of jsonb is not supported over a cube", position=position(node)
        )
    if operator is exp.DPipe:
        found = _concatenation(left, right)
    elif operator in _SHIFTS:
        found = Operator(_known(left, INT4), INT4, PostgresType(_known(left, INT4).name))
    elif _numeric(left, right):
        found = _number(sign, left, right)
    else:
        found = _moment(sign, left, right)
    if found is None or (operator in _BITS and found.result.name not in INTEGERS):
        raise SemanticError(
            "42883",
            f"operator does not exist: {sql_name(left)} {sign} {sql_name(right)}",
            hint="No operator matches the given name and argument types. "
            "You might need to add explicit type casts.",
            position=position(node),
        )
    return found


def _known(kind: PostgresType, other: PostgresType) -> PostgresType:
    return other if kind.name == "unknown" else kind


def _numeric(left: PostgresType, right: PostgresType) -> bool:
    return (left.name in NUMBERS or left.name == "unknown") and (
        right.name in NUMBERS or right.name == "unknown"
    )


def _number(sign: str, left: PostgresType, right: PostgresType) -> Operator | None:
    left, right = _known(left, right), _known(right, left)
    if left.name == "unknown":
        return None
    kind = wider(left, right)
    if sign == "%" and kind.name in FLOATS:
        return None
    if kind == NUMERIC and (sign == "/" or QUOTIENT in (left, right)):
        return Operator(kind, kind, QUOTIENT)
    return Operator(kind, kind, kind)


def wider(left: PostgresType, right: PostgresType) -> PostgresType:
    """The number type in which two numbers meet."""
    names = (left.name, right.name)
    if "float4" in names or "float8" in names:
        return PostgresType("float4") if names == ("float4", "float4") else FLOAT8
    if "numeric" in names:
        return NUMERIC
    return PostgresType(max(names, key=INTEGERS.index))


def _moment(sign: str, left: PostgresType, right: PostgresType) -> Operator | None:
    # A literal of unknown type is taken to have the other operand's type where that makes sense.
    for one, two in (
        (_known(left, right), _known(right, left)),
        (_known(left, INTERVAL), _known(right, INTERVAL)),
    ):
        for first in _reachable(one):
            for second in _reachable(two):
                result = _TIMES.get((sign, first, second))
                if result is not None:
                    return Operator(_as(one, first), _as(two, second), result)
    return None


def _as(kind: PostgresType, name: str) -> PostgresType:
    return kind if kind.name == name else PostgresType(name)


_WIDENINGS = {
    "int2": ("int4", "float8"),
    "int4": ("int4", "float8"),
    "int8": ("float8",),
    "numeric": ("float8",),
    "float4": ("float8",),
    "date": ("date", "timestamp", "timestamptz"),
    "timestamp": ("timestamp", "timestamptz"),
    "time": ("time", "interval"),
}


def _reachable(kind: PostgresType) -> tuple[str, ...]:
    return _WIDENINGS.get(kind.name, (kind.name,))


def _concatenation(left: PostgresType, right: PostgresType) -> Operator | None:
    if left.is_array or right.is_array:
        array = left if left.is_array else right
        one = array if left.name == "unknown" else left
        two = array if right.name == "unknown" else right
        return Operator(one, two, PostgresType(array.name))
    if is_string(left) or is_string(right):
        return Operator(_known(left, TEXT), _known(right, TEXT), TEXT)
    return None


def compared(left: PostgresType, right: PostgresType, node: exp.Expr) -> PostgresType:
    """The type in which two values are compared.

    Raises:
        SemanticError: 42883, they cannot be.
    """
    left, right = _known(left, right), _known(right, left)
    if left == right:
        return TEXT if left == UNKNOWN else left
    if left.name == right.name:
        return PostgresType(left.name)
    if left.name in NUMBERS and right.name in NUMBERS:
        return wider(left, right)
    if category(left) == category(right):
        if category(left) == "S":
            return TEXT
        for name in ("timestamptz", "timestamp", "timetz", "time"):
            if name in (left.name, right.name):
                return PostgresType(name)
    if {left.name, right.name} == {"time", "interval"}:
        return INTERVAL
    raise SemanticError(
        "42883",
        f"operator does not exist: {sql_name(left)} = {sql_name(right)}",
        hint="No operator matches the given name and argument types. "
        "You might need to add explicit type casts.",
        position=position(node),
    )
