"""ClickHouse's errors as WarehouseError with PostgreSQL's codes."""

from __future__ import annotations

import re

import aiohttp
from clickhouse_connect.driver.exceptions import Error as DriverError

from connectors.errors import WarehouseError

_INTERNAL = "XX000"

# By ClickHouse's number (src/Common/ErrorCodes.cpp). What is not here is XX000.
_CODES = {
    1: "0A000",  # UNSUPPORTED_METHOD
    6: "22P02",  # CANNOT_PARSE_TEXT
    16: "42703",  # NO_SUCH_COLUMN_IN_TABLE
    26: "22P02",  # CANNOT_PARSE_QUOTED_STRING
    27: "22P02",  # CANNOT_PARSE_INPUT_ASSERTION_FAILED
    32: "22P02",  # ATTEMPT_TO_READ_AFTER_EOF, at the end of a text that is cast
    36: "22023",  # BAD_ARGUMENTS
    38: "22007",  # CANNOT_PARSE_DATE
    41: "22007",  # CANNOT_PARSE_DATETIME
    42: "42883",  # NUMBER_OF_ARGUMENTS_DOESNT_MATCH
    43: "42883",  # ILLEGAL_TYPE_OF_ARGUMENT
    44: "42883",  # ILLEGAL_COLUMN
    46: "42883",  # UNKNOWN_FUNCTION
    47: "42703",  # UNKNOWN_IDENTIFIER
    48: "0A000",  # NOT_IMPLEMENTED
    50: "42704",  # UNKNOWN_TYPE
    53: "42804",  # TYPE_MISMATCH
    60: "42P01",  # UNKNOWN_TABLE
    62: "42601",  # SYNTAX_ERROR
    63: "42883",  # UNKNOWN_AGGREGATE_FUNCTION
    69: "22003",  # ARGUMENT_OUT_OF_BOUND
    70: "42846",  # CANNOT_CONVERT_TYPE
    72: "22P02",  # CANNOT_PARSE_NUMBER
    76: "58030",  # CANNOT_OPEN_FILE
    81: "3F000",  # UNKNOWN_DATABASE
    115: "22023",  # UNKNOWN_SETTING
    117: "22P02",  # INCORRECT_DATA
    125: "21000",  # INCORRECT_RESULT_OF_SCALAR_SUBQUERY
    131: "54000",  # TOO_LARGE_STRING_SIZE
    153: "22012",  # ILLEGAL_DIVISION
    158: "54000",  # TOO_MANY_ROWS
    159: "57014",  # TIMEOUT_EXCEEDED
    160: "57014",  # TOO_SLOW
    161: "54011",  # TOO_MANY_COLUMNS
    164: "25006",  # READONLY
    167: "54001",  # TOO_DEEP_AST
    168: "54001",  # TOO_BIG_AST
    179: "42712",  # MULTIPLE_EXPRESSIONS_FOR_ALIAS
    184: "42803",  # ILLEGAL_AGGREGATION
    190: "2202E",  # SIZES_OF_ARRAYS_DONT_MATCH
    191: "54000",  # SET_SIZE_LIMIT_EXCEEDED
    192: "28000",  # UNKNOWN_USER
    193: "28P01",  # WRONG_PASSWORD
    201: "53400",  # QUOTA_EXCEEDED
    202: "53300",  # TOO_MANY_SIMULTANEOUS_QUERIES
    207: "42702",  # AMBIGUOUS_IDENTIFIER
    209: "08006",  # SOCKET_TIMEOUT
    210: "08006",  # NETWORK_ERROR
    215: "42803",  # NOT_AN_AGGREGATE
    236: "57P01",  # ABORTED
    241: "53200",  # MEMORY_LIMIT_EXCEEDED
    243: "53100",  # NOT_ENOUGH_SPACE
    258: "42804",  # UNION_ALL_RESULT_STRUCTURES_MISMATCH
    279: "08006",  # ALL_CONNECTION_TRIES_FAILED
    290: "54000",  # LIMIT_EXCEEDED
    306: "54001",  # TOO_DEEP_RECURSION
    307: "54000",  # TOO_MANY_BYTES
    321: "22003",  # VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
    352: "42702",  # AMBIGUOUS_COLUMN_NAME
    386: "42804",  # NO_COMMON_TYPE
    394: "57014",  # QUERY_WAS_CANCELLED
    396: "54000",  # TOO_MANY_ROWS_OR_BYTES
    407: "22003",  # DECIMAL_OVERFLOW
    427: "2201B",  # CANNOT_COMPILE_REGEXP
    452: "42501",  # SETTING_CONSTRAINT_VIOLATION
    456: "42P02",  # UNKNOWN_QUERY_PARAMETER
    457: "22P02",  # BAD_QUERY_PARAMETER
    497: "42501",  # ACCESS_DENIED
    516: "28P01",  # AUTHENTICATION_FAILED
    745: "53300",  # SERVER_OVERLOADED
}

# Where ClickHouse's text shows values or a whole statement, PostgreSQL's takes its place.
_MESSAGES = {
    "21000": "more than one row returned by a subquery used as an expression",
    "22012": "division by zero",
    "57014": "canceling statement due to user request",
}

# An integer that does not fit, as PostgreSQL has it.
_INTEGER = re.compile(r"cannot be safely converted into type (Int16|Int32|Int64)")
_NO_INTEGER = re.compile(r"inf or nan to integer conversion|^Convert overflow")
_INTEGERS = {"Int16": "smallint", "Int32": "integer", "Int64": "bigint"}

_EXCEPTION = re.compile(r"Code: (?P<code>\d+)\. DB::Exception: (?P<text>.*)", re.DOTALL)
# What follows the complaint: the place in the statement, the server's version, the error's name.
_TRAILER = re.compile(
    r"(: |\. |\s)(In scope |while executing |While executing |While processing |While )"
    r"|\s\(version |\s\([A-Z][A-Z0-9_]+\)|\s\(for url |\n"
)
# What a statement complains of by itself: throwIf(..., '22003: bigint out of range').
_OWN = re.compile(r"(?P<code>[0-9][0-9A-Z]{4}): (?P<message>.+)", re.DOTALL)
_THROW_IF = 395
_NO_JOIN_KEYS = 403  # INVALID_JOIN_ON_EXPRESSION
_JOIN_HINT = "Join on columns that are equal on both sides, or join subqueries that do."


def server_error(text: str, code: int | None = None) -> WarehouseError:
    """The WarehouseError of what a server wrote, such as ``Code: 60. DB::Exception: ...``."""
    match = _EXCEPTION.search(text)
    body = match["text"] if match is not None else text
    number = int(match["code"]) if match is not None else code
    end = _TRAILER.search(body)
    message = (body[: end.start()] if end is not None else body).strip().rstrip(".:")
    detail = body[len(message) :].strip(" .:\n") or None
    own = _OWN.fullmatch(message) if number == _THROW_IF else None
    if own is not None:
        return WarehouseError(own["code"], own["message"])
    integer = _INTEGER.search(message)
    if integer is not None:
        return WarehouseError("22003", f"{_INTEGERS[integer[1]]} out of range")
    if _NO_INTEGER.search(message) is not None:
        return WarehouseError("22003", "integer out of range")
    if number == _NO_JOIN_KEYS:
        return WarehouseError("0A000", message, hint=_JOIN_HINT, detail=detail)
    sqlstate = _CODES.get(number, _INTERNAL) if number is not None else _INTERNAL
    message = _MESSAGES.get(sqlstate, message) or "the data source reported an error"
    return WarehouseError(sqlstate, message.replace("\n", " "), detail=detail)


def connection_error(message: str, *, reached: bool) -> WarehouseError:
    """08006: the server cannot be reached, or has gone in the middle of an answer."""
    return WarehouseError("08006", message, reached=reached)


def warehouse_error(error: BaseException) -> WarehouseError:
    """The WarehouseError for whatever the driver or its transport raised."""
    if isinstance(error, WarehouseError):
        return error
    cause = error.__cause__ if isinstance(error, DriverError) else error
    if isinstance(error, DriverError) and error.code is not None:
        return server_error(str(error), error.code)
    if isinstance(cause, aiohttp.ClientConnectorError):
        return connection_error("could not connect to the ClickHouse server", reached=False)
    if isinstance(cause, TimeoutError):
        return connection_error("the ClickHouse server did not answer in time", reached=True)
    if isinstance(cause, aiohttp.ClientError | OSError):
        return connection_error("the connection to the ClickHouse server was lost", reached=True)
    return WarehouseError(_INTERNAL, f"the ClickHouse driver failed: {type(error).__name__}")
