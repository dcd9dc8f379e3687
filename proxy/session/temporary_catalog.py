"""What is asked of PostgreSQL about temporary tables: names, types, keys, digits, sizes, values.

Every name is qualified: a temporary table named ``pg_class`` comes before the catalog's own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from proxy.catalog.protocol import identifier
from proxy.queries import type_of
from semantic.compiler.api import MIXED_DECIMALS, TemporaryColumn, TemporaryTable
from semantic.model.types import PostgresType

Row = tuple[str | None, ...]

TABLES = """
SELECT c.relname,
  (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(a.attname, a.atttypid::pg_catalog.int8,
      a.atttypmod, a.attnum) ORDER BY a.attnum)
   FROM pg_catalog.pg_attribute a
   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
  (SELECT pg_catalog.json_agg(i.indkey::pg_catalog.text) FROM pg_catalog.pg_index i
   WHERE i.indrelid = c.oid AND i.indisunique AND i.indimmediate AND i.indisvalid
     AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indnatts = i.indnkeyatts)
FROM pg_catalog.pg_class c
WHERE c.relnamespace = pg_catalog.pg_my_temp_schema() AND c.relkind IN ('r', 'p')
ORDER BY c.oid
"""
SIZE = """
SELECT pg_catalog.sum(pg_catalog.pg_total_relation_size(c.oid)) FROM pg_catalog.pg_class c
WHERE c.relnamespace = pg_catalog.pg_my_temp_schema() AND c.relkind IN ('r', 'm')
"""

_SHORT, _LONG = 18, 38
"""Digits of the two sizes of decimals that warehouses have."""


def tables_of(rows: Sequence[Row]) -> tuple[TemporaryTable, ...]:
    """The rows of ``TABLES`` as values."""
    return tuple(_table(name or "", columns, keys) for name, columns, keys in rows)


def _table(name: str, columns: str | None, keys: str | None) -> TemporaryTable:
    listed = json.loads(columns) if columns else []
    places = {number: index for index, (_, _, _, number) in enumerate(listed)}
    found = []
    for key in json.loads(keys) if keys else []:
        numbers = [int(number) for number in key.split()]
        if all(number in places for number in numbers):
            found.append(frozenset(places[number] for number in numbers))
    return TemporaryTable(
        name,
        tuple(column for column, _, _, _ in listed),
        tuple(type_of(oid, modifier) for _, oid, modifier, _ in listed),
        tuple(found),
    )


def _qualified(name: str) -> str:
    return f"pg_temp.{identifier(name)}"


def count_query(tables: Sequence[TemporaryTable]) -> str:
    """How many rows all of them have."""
    counts = [f"(SELECT pg_catalog.count(*) FROM {_qualified(item.name)})" for item in tables]
    return "SELECT " + (" + ".join(counts) or "0")


def arrays_query(table: str, columns: Sequence[TemporaryColumn], *, text: bool) -> str:
    """Each column's values as an array, all in one order of rows."""
    values = []
    for item in columns:
        value = identifier(item.column)
        if item.type.name == "_text":
            value = f"{value}::pg_catalog.text"
        array = f"coalesce(pg_catalog.array_agg({value}), '{{}}')"
        values.append(f"{array}::pg_catalog.text" if text else array)
    return f"SELECT {', '.join(values)} FROM {_qualified(table)}"


def unscaled(table: TemporaryTable) -> list[int]:
    """Columns of type numeric whose numbers of digits are not declared."""
    return [
        index
        for index, kind in enumerate(table.types)
        if kind.name == "numeric" and kind.modifier < 0
    ]


def digits_query(table: TemporaryTable, indexes: Sequence[int]) -> str:
    """For each of the columns: its scales, least and greatest, its digits before the point."""
    parts = []
    for index in indexes:
        value = identifier(table.columns[index])
        # The scale of NaN and of the infinities is NULL.
        scale = f"coalesce(pg_catalog.scale({value}), -1)"
        condition = f"FILTER (WHERE {value} IS NOT NULL)"
        parts += [
            f"pg_catalog.min({scale}) {condition}",
            f"pg_catalog.max({scale}) {condition}",
            f"pg_catalog.max(pg_catalog.length(pg_catalog.trunc(pg_catalog.abs({value}))::text))",
        ]
    return f"SELECT {', '.join(parts)} FROM {_qualified(table.name)}"


def narrowed(table: TemporaryTable, indexes: Sequence[int], row: Row) -> TemporaryTable:
    """The table with the digits that its numbers have, where all have as many decimals."""
    types = list(table.types)
    for place, index in enumerate(indexes):
        least, most, whole = (int(value or 0) for value in row[3 * place : 3 * place + 3])
        needed = max(least, 0) + whole
        if least == most >= 0 and needed <= _LONG:
            precision = _SHORT if needed <= _SHORT else _LONG
            types[index] = PostgresType("numeric", (precision << 16 | least) + 4)
        elif least >= 0:
            types[index] = MIXED_DECIMALS
    return replace(table, types=tuple(types))
