"""Servers that speak the MySQL protocol: what is set on every connection, and what is required."""

from __future__ import annotations

import re
from dataclasses import dataclass

from connectors.errors import WarehouseError

# A statement whose rows are not read makes the server wait. Its own limit of a minute would end it.
_WRITE_SECONDS = 7 * 24 * 3600
# What would otherwise be cut off without a word.
_GROUP_CONCAT_BYTES = 1 << 30
# Texts that are alike in their first so many bytes are sorted as equal; the server's own limit is
# 1024. The buffer has to hold some of them.
_SORT_BYTES = 1 << 16
_SORT_BUFFER_BYTES = 8 << 20

_MODES = (
    "STRICT_TRANS_TABLES,STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,"
    "ERROR_FOR_DIVISION_BY_ZERO,NO_UNSIGNED_SUBTRACTION"
)


@dataclass(frozen=True, slots=True)
class Flavour:
    """One of the servers.

    Attributes:
        kind: the type of its data sources, and the dialect of its SQL.
        name: what it is called.
        least: the first version that does; None where the server does not tell its own.
        settings: statements run on every connection: what an answer depends on is fixed, whatever
            the server's configuration.
    """

    kind: str
    name: str
    least: tuple[int, int] | None
    settings: tuple[str, ...]

    def check(self, version: str) -> None:
        """Raises WarehouseError (08006) for another kind of server, or one that is too old."""
        if self.least is None:
            return  # these call themselves MySQLs of any age
        mariadb = _MARIADB.search(version)
        if (mariadb is not None) is not (self.kind == _KIND_OF_MARIADB):
            other = "mysql" if mariadb is None else _KIND_OF_MARIADB
            raise _unfit(
                f"the data source is of type {self.kind}, but its server says it is {version}",
                f"Set the type of the data source to {other}.",
            )
        number = re.match(r"(\d+)\.(\d+)", version if mariadb is None else mariadb[1])
        if number is None or (int(number[1]), int(number[2])) < self.least:
            least = ".".join(map(str, self.least))
            raise _unfit(f"the data source must be {self.name} {least} or newer, and is {version}")


def _unfit(message: str, hint: str | None = None) -> WarehouseError:
    return WarehouseError("08006", message, hint=hint, reached=False)


_KIND_OF_MARIADB = "mariadb"
# Servers before 11 put 5.5.5- in front of their version.
_MARIADB = re.compile(r"(\d+\.\d+\.\d+)-MariaDB", re.IGNORECASE)


def _common(collation: str) -> tuple[str, ...]:
    return (
        f"SET NAMES utf8mb4 COLLATE {collation}",
        f"SET time_zone = '+00:00', sql_mode = '{_MODES}', sql_auto_is_null = 0,"
        f" div_precision_increment = 4, lc_time_names = 'en_US', default_week_format = 0,"
        f" net_write_timeout = {_WRITE_SECONDS}, sql_select_limit = DEFAULT,"
        f" max_sort_length = {_SORT_BYTES}, sort_buffer_size = {_SORT_BUFFER_BYTES},"
        f" group_concat_max_len = {_GROUP_CONCAT_BYTES}",
        # The level is what a snapshot of several statements needs; single ones are the same by it.
        "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
    )


# Collations that compare text by its bytes, spaces at the end among them.
MARIADB = Flavour(
    _KIND_OF_MARIADB,
    "MariaDB",
    (10, 6),
    (
        *_common("utf8mb4_nopad_bin"),
        # Its keys are columns of the row around, compared by their own collations.
        "SET optimizer_switch = 'subquery_cache=off'",
    ),
)
MYSQL = Flavour("mysql", "MySQL", (8, 0), _common("utf8mb4_0900_bin"))

_IN_UTC = ("SET time_zone = '+00:00'",)
STARROCKS = Flavour("starrocks", "StarRocks", None, _IN_UTC)
DORIS = Flavour("doris", "Doris", None, _IN_UTC)
