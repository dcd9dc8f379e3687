"""DuckDB's errors as WarehouseError with PostgreSQL's codes.

An error raised while a result is read arrives through Arrow as OSError and keeps only its text, so
the kind is read from the text's prefix ("Conversion Error: ...") in both cases, not from the class.
"""

from __future__ import annotations

import re

from connectors.errors import WarehouseError

_PREFIX = re.compile(r"^(?P<kind>[A-Za-z][A-Za-z ]*?) ?Error: ?", re.ASCII)

# What a numeric without declared scale, or with many digits, runs into.
_TOO_MANY_DIGITS = re.compile(
    r"too many decimals|\b(INT128|HUGEINT|BIGNUM|bignum)\b|DECIMAL\((3[0-9]), ?\d+\)"
    r"|DECIMAL\(38\)|Needed scale \d+"
)
# Rules of ours complain by a cast that cannot be.
_OVERFLOW = re.compile(r"value out of range: overflow|out of range for the destination type FLOAT")
_DIGITS_MESSAGE = "a numeric value has more digits than DuckDB can compute with exactly"
_DIGITS_HINT = (
    "Declare precision and scale of the column in the warehouse, round the value, or cast it to "
    "double precision if an approximate result will do."
)

# By kind: patterns on the message in order, then the code where none matches ("").
_RULES: dict[str, tuple[tuple[str, str], ...]] = {
    "conversion": (
        (r"(date|timestamp|time) field value out of range", "22008"),
        (r"^(Date|Epoch seconds|Timestamp) out of range", "22008"),
        (r"invalid (date|timestamp|time) field format", "22007"),
        (r"(date part|extract) specifier", "22023"),
        (r"[Uu]nimplemented type for cast", "42846"),
        (r"UTF-?8", "22021"),
        (r"out of range|[Oo]verflow|[Cc]ould not cast value .* to DECIMAL", "22003"),
        (r"", "22P02"),
    ),
    "out of range": (
        (r"division by zero", "22012"),
        (r"logarithm", "2201E"),
        (r"square root of a negative", "2201F"),
        (r"(date|timestamp|interval)", "22008"),
        (r"size", "54000"),
        (r"", "22003"),
    ),
    "invalid input": (
        (r"[Dd]ivision by zero", "22012"),
        (r"More than one row returned by a subquery", "21000"),
        (r"Values were not provided|argument/count mismatch|argument count mismatch", "42P02"),
        (r"configuration has been locked", "42501"),
        (r"read-only mode", "25006"),
        (r"regular expression|missing [\])]|bad repetition|no argument for repetition", "2201B"),
        (r"logarithm", "2201E"),
        (r"square root of a negative", "2201F"),
        (r"UTF-?8", "22021"),
        (r"[Cc]ould not parse string", "22007"),
        (r"No magic bytes|too small to be a Parquet file|Failed to read file", "XX001"),
        (r"", "22023"),
    ),
    "binder": (
        (r"Referenced column|does not have a column named|column .* not found", "42703"),
        (r"Referenced table", "42P01"),
        (r"Ambiguous reference", "42702"),
        (r"must appear in the GROUP BY", "42803"),
        (r"No function matches", "42883"),
        (r"count mismatch for prepared statement", "42P02"),
        (r"Set operations can only apply", "42601"),
        (r"ORDER (BY )?term out of range", "42P10"),
        (r"aggregate|window", "42803"),
        (r"[Cc]annot (compare|combine|mix)|type mismatch", "42804"),
        (r"LIMIT|OFFSET", "2201W"),
        (r"", "42000"),
    ),
    "catalog": (
        (r"schema .* does not exist", "3F000"),
        (r"(Table|View)\b.* does not exist", "42P01"),
        (r"Function\b.* does not exist", "42883"),
        (r"already exists", "42710"),
        (r"", "42704"),
    ),
    "parser": (
        (r"expression depth|nesting|stack", "54001"),
        (r"", "42601"),
    ),
    "syntax": ((r"[Ee]scape string", "22019"), (r"", "42601")),
    "permission": ((r"", "42501"),),
    "interrupt": ((r"", "57014"),),
    "out of memory": (
        (r"max_temp_directory_size|disk space|No space left", "53100"),
        (r"", "53200"),
    ),
    "io": ((r"No space left", "53100"), (r"", "58030")),
    "http": ((r"", "58030"),),
    "transactioncontext": ((r"read-only", "25006"), (r"", "25000")),
    "transaction": ((r"", "25000"),),
    "constraint": ((r"", "23000"),),
    "connection": ((r"", "08003"),),
    "resource in use": ((r"", "55006"),),
    "not implemented": ((r"Unknown TimeZone", "22023"), (r"", "0A000")),
    "invalid type": ((r"", "42804"),),
    "mismatch type": ((r"", "42804"),),
    "type mismatch": ((r"", "42804"),),
    "dependency": ((r"", "2BP01"),),
    "sequence": ((r"", "55000"),),
    "fatal": ((r"", "58000"),),
    "": ((r"^don't know what type|TProtocolException", "XX001"),),
}

# Where DuckDB's text speaks of its own settings or functions, PostgreSQL's takes its place.
_MESSAGES = {
    "21000": "more than one row returned by a subquery used as an expression",
    "22012": "division by zero",
    "57014": "canceling statement due to user request",
}

_INTEGERS = {"16": "smallint", "32": "integer", "64": "bigint"}
_INTEGER_RANGE = re.compile(r"(?:Overflow in \w+ of|for the destination type) INT(16|32|64)\b")

_INTERNAL = "XX000"

# What a statement complains of by itself, by a cast of '22012: division by zero', which fails.
_OWN = re.compile(
    r"Could not convert string '(?P<code>[0-9][0-9A-Z]{4}): (?P<message>.+)' to INT32\Z", re.DOTALL
)
_CAST_COMPLAINT = re.compile(r"'(invalid input syntax for type [a-z ]+: \".*\")'", re.DOTALL)
_CODED_COMPLAINT = re.compile(
    r"'(?P<code>0A000|22003|22008): (?P<message>[^']+): [^']*' to (INT|DOUBLE|FLOAT)"
)


def split_message(text: str) -> tuple[str, str, str | None]:
    """Kind in lower case, first line without the kind, and the other lines or None."""
    match = _PREFIX.match(text)
    kind = match["kind"].strip().lower() if match else ""
    body = text[match.end() :] if match else text
    first, _, rest = body.strip().partition("\n")
    return kind, first.strip(), rest.strip() or None


def warehouse_error(error: BaseException, *, reached: bool = True) -> WarehouseError:
    """The WarehouseError for whatever DuckDB or Arrow raised."""
    if isinstance(error, WarehouseError):
        return error
    if isinstance(error, MemoryError):
        return WarehouseError("53200", "out of memory", reached=reached)
    kind, message, detail = split_message(str(error))
    own = _OWN.match(message)
    if own is not None:
        return WarehouseError(own["code"], own["message"], reached=reached)
    coded = _CODED_COMPLAINT.search(message)
    if coded is not None:
        return WarehouseError(coded["code"], coded["message"], reached=reached)
    complaint = _CAST_COMPLAINT.search(message)
    if complaint is not None:
        return WarehouseError("22P02", complaint[1], reached=reached)
    if kind == "conversion" and _OVERFLOW.search(message):
        return WarehouseError("22003", "value out of range: overflow", reached=reached)
    if kind in ("conversion", "out of range") and _TOO_MANY_DIGITS.search(message):
        return WarehouseError("22003", _DIGITS_MESSAGE, hint=_DIGITS_HINT, reached=reached)
    code = _INTERNAL
    for pattern, candidate in _RULES.get(kind, ()):
        if re.search(pattern, message):
            code = candidate
            break
    integer = _INTEGER_RANGE.search(message) if code == "22003" else None
    if integer is not None:
        # As PostgreSQL has it: without the values, which are somebody's rows.
        return WarehouseError(code, f"{_INTEGERS[integer[1]]} out of range", reached=reached)
    message = _MESSAGES.get(code, message)
    return WarehouseError(code, message or type(error).__name__, detail=detail, reached=reached)
