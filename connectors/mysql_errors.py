"""Error numbers of MySQL and MariaDB as PostgreSQL's codes.

The servers send an SQLSTATE of their own, which is HY000 or 42000 for most of what matters.
"""

from __future__ import annotations

import re

from connectors.errors import WarehouseError

_CODES = {
    1040: "53300",  # too many connections
    1044: "42501",  # access to the database denied
    1045: "28P01",  # access denied for the user
    1046: "3D000",  # no database selected
    1049: "3D000",  # unknown database
    1052: "42702",  # ambiguous column
    1054: "42703",  # unknown column
    1055: "42803",  # not in GROUP BY
    1056: "42803",
    1064: "42601",  # syntax
    1065: "42601",  # empty query
    1066: "42712",  # not unique alias
    1109: "42P01",  # unknown table in a reference
    1111: "42803",  # invalid use of a group function
    1114: "53100",  # table is full: a temporary one
    1115: "22023",  # unknown character set
    1140: "42803",  # aggregates beside columns
    1141: "42501",
    1142: "42501",  # command denied on a table
    1143: "42501",  # on a column
    1146: "42P01",  # no such table
    1149: "42601",
    1153: "54000",  # packet bigger than max_allowed_packet
    1162: "54000",
    1203: "53300",  # max_user_connections
    1205: "55P03",  # lock wait timeout
    1213: "40P01",  # deadlock
    1221: "42601",  # incorrect usage of
    1222: "42601",  # SELECTs with different numbers of columns
    1226: "53400",  # max_questions and the like
    1227: "42501",
    1232: "42804",
    1235: "0A000",  # not yet supported
    1241: "42601",  # operand should contain one column
    1242: "21000",  # subquery returns more than one row
    1247: "42703",
    1248: "42601",  # every derived table needs an alias
    1253: "42P21",  # collation is not valid for the character set
    1267: "42P22",  # illegal mix of collations
    1270: "42P22",
    1271: "42P22",
    1273: "42704",  # unknown collation
    1286: "42704",
    1290: "25006",  # --read-only
    1292: "22007",  # truncated incorrect value
    1298: "22023",  # unknown time zone
    1305: "42883",  # function does not exist
    1317: "57014",  # query execution was interrupted
    1365: "22012",  # division by zero
    1366: "22P02",  # incorrect value
    1367: "22P02",
    1370: "42501",
    1406: "22001",
    1411: "22007",
    1412: "40001",  # a table was changed since the snapshot was taken
    1426: "22023",
    1427: "22023",
    1441: "22008",  # datetime function: overflow
    1451: "23503",
    1525: "22007",
    1582: "42883",  # wrong number of parameters of a native function
    1583: "42883",
    1584: "42883",
    1630: "42883",  # function does not exist
    1690: "22003",  # value is out of range
    1698: "28000",  # access denied, no password used
    1792: "25006",  # read-only transaction
    1836: "25006",  # running in read-only mode
    1847: "22003",
    1927: "57P01",  # connection was killed
    1969: "57014",  # max_statement_time exceeded
    2003: "08006",
    2013: "08006",
    3024: "57014",  # maximum statement execution time exceeded
    3118: "28000",  # account is locked
    3140: "22032",  # invalid JSON text
    3141: "22032",
    3143: "2201B",
    3159: "28000",  # insecure transport
    3169: "57P01",  # session was killed
    1053: "57P01",  # server shutdown in progress
    1077: "57P01",
    1079: "57P01",
    1139: "2201B",  # regexp
    3685: "2201B",
    3692: "2201B",
    4031: "57P05",  # disconnected for inactivity
    4151: "28000",
}
_CLASSES_KEPT = ("08", "21", "22", "23", "25", "28", "40", "42", "3D")
_TIMEOUTS = {1969, 3024}

# An expression cannot raise an error of its own. One that is to fail adds the length of a text of
# this form to the greatest number, and the server cites it in its complaint.
_OUT_OF_RANGE = 1690
_TOLD = re.compile(r"cubewire ([0-9A-Z]{5}): ([^']*)'")


def code_of(number: int, sqlstate: str) -> str:
    """PostgreSQL's code of a server's error."""
    known = _CODES.get(number)
    if known is not None:
        return known
    if sqlstate[:2] in _CLASSES_KEPT and not sqlstate.endswith("S02"):
        return sqlstate
    return "XX000"


def server_error(
    number: int, sqlstate: str, message: str, *, reached: bool = True
) -> WarehouseError:
    """The WarehouseError of an ERR packet."""
    if number in _TIMEOUTS:
        message = "canceling statement due to statement timeout"
    told = _TOLD.search(message)
    if number == _OUT_OF_RANGE and told is not None:
        return WarehouseError(told[1], told[2], reached=reached)
    first, _, rest = message.strip().partition("\n")
    return WarehouseError(
        code_of(number, sqlstate),
        first or "the data source reported an error",
        detail=rest or None,
        reached=reached,
    )
