"""SQLite's errors as WarehouseError with PostgreSQL's codes: they differ by their texts alone."""

from __future__ import annotations

import re
import sqlite3

from connectors.errors import WarehouseError

_RULES = (
    (r"no such column", "42703"),
    (r"no such (table|view)", "42P01"),
    (r"no such function|wrong number of arguments", "42883"),
    (r"no such collation", "42704"),
    (r"ambiguous column name", "42702"),
    (r"misuse of (aggregate|window)|aggregate functions are not allowed", "42803"),
    (r"syntax error|incomplete input|unrecognized token|one statement at a time", "42601"),
    (r"do not have the same number of result columns", "42601"),
    (r"ORDER BY term", "42P10"),
    (r"integer overflow", "22003"),
    (r"not authorized|access to .* is prohibited", "42501"),
    (r"readonly database", "25006"),
    (r"interrupted", "57014"),
    (r"database (table )?is locked|database schema is locked", "55P03"),
    (r"unable to open database", "08001"),
    (r"not a database|malformed|database disk image", "XX001"),
    (r"too (many|big|large)|parser stack overflow", "54000"),
    (r"maximum depth|tree is too", "54001"),
    (r"disk I/O|disk is full", "58030"),
    (r"out of memory", "53200"),
    (r"decode to UTF-8", "22021"),
    (r"binding|Binding", "42P02"),
)
_MESSAGES = {"57014": "canceling statement due to user request", "22003": "integer out of range"}


def warehouse_error(error: Exception) -> WarehouseError:
    """The WarehouseError for whatever SQLite raised."""
    if isinstance(error, WarehouseError):
        return error
    if isinstance(error, MemoryError):
        return WarehouseError("53200", "out of memory")
    text = str(error)
    if not isinstance(error, sqlite3.Error | sqlite3.Warning | UnicodeError | OSError):
        return WarehouseError("XX000", text or type(error).__name__)
    code = next((code for pattern, code in _RULES if re.search(pattern, text)), "XX000")
    return WarehouseError(code, _MESSAGES.get(code, text.partition("\n")[0] or "unknown error"))
