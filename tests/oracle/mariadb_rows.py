"""The rows and models of the oracle's cubes, for a MariaDB."""

from __future__ import annotations

import re

from tests.support.mariadb import shared_mariadb

_TYPES = (
    (r"\bboolean\b", "tinyint(1)"),
    (r"\bdouble precision\b", "double"),
    # Text that compares without case in everything that does not ask for bytes.
    (r"\btext\b", "varchar(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci"),
    (r"\btimestamptz\b", "timestamp(6) NULL"),
    (r"\btimestamp\b(?!\()", "datetime(6)"),
    (r"\bnumeric\(", "decimal("),
)
_VALUES = (
    (r"\bTIMESTAMPTZ '([^']*)\+00'", r"'\1'"),
    (r"\bTIMESTAMP '", "'"),
)
# A quotient of decimals has four more of them than its dividend there.
_MODEL = (
    # The model's own SQL compares texts by the collations of their columns.
    (r"MAX\(\{CUBE\}\.name\)", "MAX({CUBE}.name COLLATE utf8mb4_nopad_bin)"),
    (r"CAST\(1\.0 \*", "CAST(1e0 *"),
    (r"CAST\(\{(\w+)\} /", r"CAST(1e0 * {\1} /"),
    (r"\bAS double precision\)", "AS double)"),
    (r"\bAS bigint\)", "AS signed)"),
)

EARLY, LATER = "1969-12-31 23:59:59+00", "1970-01-01 00:00:01+00"
"""A moment before MySQL's TIMESTAMP begins, and one that can be in its place."""

WIDER = ("qty * 2 AS twice", "(qty * 2)::bigint AS twice")
"""What a dimension of the model's own SQL is there: a product of integers is a bigint."""


def statements(script: str) -> list[str]:
    """PostgreSQL's CREATE TABLE and INSERT as MariaDB's."""
    found = ["SET time_zone = '+00:00'"]
    for statement in script.split(";\n"):
        rules = _TYPES if "CREATE TABLE" in statement else _VALUES
        text = statement.strip()
        for pattern, replacement in rules:
            text = re.sub(pattern, replacement, text)
        if text:
            found.append(text)
    return found


def model(text: str) -> str:
    """A model file with casts as MariaDB spells them."""
    for pattern, replacement in _MODEL:
        text = re.sub(pattern, replacement, text)
    return text


def source(script: str, database: str) -> dict[str, object]:
    """A database with the rows, as a data source."""
    server = shared_mariadb()
    server.run(
        [
            f"CREATE OR REPLACE DATABASE {database}",
            f"GRANT SELECT ON {database}.* TO reader",
            f"USE {database}",
            *statements(script),
        ],
        None,
    )
    return {"type": "mariadb", **server.options, "database": database}
