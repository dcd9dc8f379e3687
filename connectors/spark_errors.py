"""Spark's errors as WarehouseError with PostgreSQL's codes.

Spark has error conditions by name and the codes of the SQL standard, of which PostgreSQL has other
ones for some. Its messages quote the statement and recommend settings of Spark's, so only those of
conditions that are about the statement's text are shown, without what stands around them.
"""

from __future__ import annotations

import re

from connectors.errors import WarehouseError

_CODES = {
    "ARITHMETIC_OVERFLOW": ("22003", "value out of range"),
    "BINARY_ARITHMETIC_OVERFLOW": ("22003", "value out of range"),
    "CAST_OVERFLOW": ("22003", "value out of range"),
    "NUMERIC_VALUE_OUT_OF_RANGE": ("22003", "numeric field overflow"),
    "DECIMAL_PRECISION_EXCEEDS_MAX_PRECISION": ("22003", "numeric field overflow"),
    "DATETIME_OVERFLOW": ("22008", "timestamp out of range"),
    "INVALID_TIMEZONE": ("22023", "invalid time zone"),
    "DIVIDE_BY_ZERO": ("22012", "division by zero"),
    "REMAINDER_BY_ZERO": ("22012", "division by zero"),
    "INTERVAL_DIVIDED_BY_ZERO": ("22012", "division by zero"),
    "CAST_INVALID_INPUT": ("22P02", "invalid input syntax"),
    "INVALID_PARAMETER_VALUE": ("22023", "invalid parameter value"),
    "SCALAR_SUBQUERY_TOO_MANY_ROWS": (
        "21000",
        "more than one row returned by a subquery used as an expression",
    ),
    "OPERATION_CANCELED": ("57014", "canceling statement due to user request"),
    "PARSE_SYNTAX_ERROR": ("42601", None),
    "UNRESOLVED_COLUMN": ("42703", None),
    "UNRESOLVED_ROUTINE": ("42883", None),
    "WRONG_NUM_ARGS": ("42883", None),
    "TABLE_OR_VIEW_NOT_FOUND": ("42P01", None),
    "SCHEMA_NOT_FOUND": ("3F000", None),
    "AMBIGUOUS_REFERENCE": ("42702", None),
    "MISSING_AGGREGATION": ("42803", None),
    "MISSING_GROUP_BY": ("42803", None),
    "UNSUPPORTED_DATATYPE": ("42704", None),
    "DATATYPE_MISMATCH": ("42804", None),
    "UNBOUND_SQL_PARAMETER": ("42P02", None),
}
_CONDITION = re.compile(
    r"\[([A-Z][A-Z_0-9]*)(?:\.[A-Z_0-9.]+)?\]\s*(.*?)\s*(?:SQLSTATE: (\w{5})|\Z)", re.DOTALL
)
# What a statement complains of by itself: raise_error('22008: date out of range').
_OWN = re.compile(r"([0-9][0-9A-Z]{4}): (.+)")
_UNREACHED = re.compile(r"UNAVAILABLE|failed to connect|Connection refused|DNS resolution", re.I)
_DENIED = re.compile(r"UNAUTHENTICATED|PERMISSION_DENIED")


def warehouse_error(error: BaseException, *, reached: bool = True) -> WarehouseError:
    """The WarehouseError for whatever Spark's client raised."""
    if isinstance(error, WarehouseError):
        return error
    text = str(error)
    found = _CONDITION.search(text)
    if found is not None:
        code, message = _CODES.get(found[1], (_standard(found[3]), None))
        first = found[2].split("\n", 1)[0].strip()
        own = _OWN.match(first) if found[1] == "USER_RAISED_EXCEPTION" else None
        if own is not None:
            return WarehouseError(own[1], own[2], reached=reached)
        return WarehouseError(code, message or first or found[1], reached=reached)
    if _DENIED.search(text):
        return WarehouseError("28000", "Spark refuses the credentials", reached=False)
    if _UNREACHED.search(text):
        return WarehouseError("08006", "the connection to Spark is lost", reached=reached)
    return WarehouseError("XX000", f"Spark failed: {type(error).__name__}", reached=reached)


def _standard(sqlstate: str | None) -> str:
    """A code of Spark's own conditions; those that are no code of PostgreSQL's are internal."""
    if sqlstate is None or sqlstate[:2] not in ("22", "42"):
        return "XX000"
    # Of the standard's classes; the rest of a code is often Spark's own.
    return "22P02" if sqlstate == "22018" else sqlstate[:2] + "000"
