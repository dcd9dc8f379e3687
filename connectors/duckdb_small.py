"""Statements whose results were small the last time, read the cheaper way.

DuckDB's relation API streams Arrow batches, and costs three times what the statement's own API does
for a handful of rows. The latter hands out rows as Python objects: slower for many, and right only
for types whose every value has a Python object of its own. So a statement is read that way once it
is known to be quick and small, and read again the other way should it no longer be.
"""

from __future__ import annotations

import datetime
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa

MOST_ROWS = 64
MOST_SECONDS = 0.05
"""A statement that took longer is not worth the risk of running it twice."""

_REMEMBERED = 1024
_EXACT = ("bool", "int8", "int16", "int32", "int64", "float", "double", "string")
_MOMENTS: dict[str, type[datetime.date]] = {
    "date32[day]": datetime.date,
    "timestamp[us]": datetime.datetime,
}


@dataclass(slots=True, eq=False)
class SmallStatement:
    """A single SELECT, checked and parsed, with the types of its result.

    Attributes:
        runs: how often it was run since.
        prepared: whether connections keep it planned (see duckdb_prepared).
    """

    statement: duckdb.Statement
    schema: pa.Schema
    types: tuple[str, ...]
    runs: int = 0
    prepared: bool = False

    def ran(self) -> bool:
        """Count a run. Whether it is time to see if it can be kept planned: ever more rarely."""
        self.runs += 1
        return not self.prepared and self.runs > 1 and not self.runs & (self.runs - 1)


class SmallStatements:
    """The statements that were small, by their text. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[str, SmallStatement] = OrderedDict()

    def find(self, sql: str) -> SmallStatement | None:
        """What is known of a statement; None: nothing, or that it is not small."""
        with self._lock:
            found = self._known.get(sql)
            if found is not None:
                self._known.move_to_end(sql)
            return found

    def add(
        self, sql: str, statement: duckdb.Statement, schema: pa.Schema, types: Sequence[object]
    ) -> None:
        """Remember a statement, if its types can be read exactly."""
        if not all(_is_exact(field.type) for field in schema):
            return
        with self._lock:
            self._known[sql] = SmallStatement(statement, schema, tuple(map(str, types)))
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)

    def forget(self, sql: str) -> None:
        """A statement is small no longer."""
        with self._lock:
            self._known.pop(sql, None)


def small_batch(
    found: SmallStatement, rows: Sequence[tuple[object, ...]], types: Sequence[object]
) -> pa.RecordBatch | None:
    """Rows as the Arrow batch that the relation API would make; None where that is not sure."""
    if tuple(map(str, types)) != found.types:
        return None
    if not rows:
        return pa.RecordBatch.from_pylist([], schema=found.schema)
    arrays = []
    for values, field in zip(zip(*rows, strict=True), found.schema, strict=True):
        moment = _MOMENTS.get(str(field.type))
        if moment is not None and not all(_is_plain(value, moment) for value in values):
            return None
        try:
            arrays.append(pa.array(values, type=field.type))
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            # HUGEINT is announced with a digit less than it may have.
            return None
    return pa.RecordBatch.from_arrays(arrays, schema=found.schema)


def _is_exact(kind: pa.DataType) -> bool:
    name = str(kind)
    return name in _EXACT or name in _MOMENTS or pa.types.is_decimal128(kind)


def _is_plain(value: object, kind: type[datetime.date]) -> bool:
    """Whether a moment is itself: infinity comes as the first or last one, BC as text."""
    if value is None:
        return True
    return type(value) is kind and value.year not in (1, 9999)
