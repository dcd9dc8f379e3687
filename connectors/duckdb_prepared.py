"""Small statements that a connection keeps planned.

Most of what DuckDB does for a statement over some thousand rows is planning it, and most of that
is its optimizer, which may also look at the rows as they are now: so a plan that it has touched is
made anew at each EXECUTE. One that it has not is executed as it is, in half the time or less. What
the optimizer is there for does not matter where a plan is a line (no operator has two inputs) that
begins at one small table: no order of joins, little to leave out early.
"""

from __future__ import annotations

import datetime
import json
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import duckdb

OPTIMIZER = "enable_optimizer"
"""The setting that says whether plans are optimized: of a session, or without the word of all."""

MOST_SCANNED = 100_000
"""Rows of a table that is read whole in a millisecond."""
_KEPT = 32
"""Plans that a connection keeps, at some 10 kB each."""
_BIGINT = range(-(1 << 63), 1 << 63)


class PreparedStatements:
    """Those of one connection. One thread at a time."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        # Each with its EXECUTE, already parsed, where that has no arguments.
        self._kept: OrderedDict[tuple[str, str], tuple[str, duckdb.Statement | None]]
        self._kept = OrderedDict()
        self._made = 0

    def execution(self, sql: str, arguments: str, time_zone: str) -> duckdb.Statement | str | None:
        """What executes a statement that is kept; None where it is not.

        Args:
            arguments: of EXECUTE, see ``arguments_of``.
        """
        kept = self._kept.get((sql, time_zone))
        if kept is None:
            return None
        self._kept.move_to_end((sql, time_zone))
        name, execution = kept
        return execution or f"EXECUTE {name}{arguments}"

    def add(self, sql: str, arguments: str, time_zone: str) -> bool:
        """Keep a statement that is a single SELECT, if its plan allows it.

        Raises duckdb.Error where the statement cannot be planned. No transaction may be open.
        """
        name = f"cubewire_{self._made}"
        self._made += 1
        execution = f"EXECUTE {name}{arguments}"
        self._connection.execute(f"SET SESSION {OPTIMIZER} = false")
        try:
            self._connection.execute(f"PREPARE {name} AS {sql}")
            table = _only_table(self._plan(execution))
        finally:
            self._connection.execute(f"SET SESSION {OPTIMIZER} = true")
        if table is None or self._rows(table) > MOST_SCANNED:
            self._connection.execute(f"DEALLOCATE {name}")
            return False
        parsed = None if arguments else self._connection.extract_statements(execution)[0]
        self._kept[sql, time_zone] = name, parsed
        if len(self._kept) > _KEPT:
            self.drop(*next(iter(self._kept)))
        return True

    def drop(self, sql: str, time_zone: str) -> None:
        """Keep a statement no longer."""
        kept = self._kept.pop((sql, time_zone), None)
        if kept is not None:
            self._connection.execute(f"DEALLOCATE {kept[0]}")

    def _rows(self, table: str) -> int:
        """About how many rows a table has, by DuckDB's own statistics."""
        (scan,) = self._plan(f"FROM {table}")
        return int(scan["extra_info"]["Estimated Cardinality"])

    def _plan(self, statement: str) -> list[dict[str, Any]]:
        rows = self._connection.execute(f"EXPLAIN (FORMAT JSON) {statement}").fetchall()
        plan: list[dict[str, Any]] = json.loads(rows[0][1])
        return plan


def _only_table(operators: list[dict[str, Any]]) -> str | None:
    """The table that a plan begins at, as SQL writes it; None where it is not such a line."""
    operator: dict[str, Any] = {}
    while operators:
        if len(operators) > 1:
            return None
        operator = operators[0]
        operators = operator["children"]
    table: str | None = operator.get("extra_info", {}).get("Table")
    return table


def arguments_of(values: Sequence[object]) -> str | None:
    """Values as the arguments of EXECUTE, which takes no parameters.

    None where one has no literal that is sure to be the value that would be bound.
    """
    if not values:
        return ""
    literals = [_literal(value) for value in values]
    return None if None in literals else f"({', '.join(map(str, literals))})"


def _literal(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if value in _BIGINT else None
    if isinstance(value, str):
        return None if "\0" in value else "'" + value.replace("'", "''") + "'"
    if type(value) is datetime.date:
        return f"DATE '{value.isoformat()}'"
    return None
