"""The same rows in ClickHouse, and the models with ClickHouse's SQL in their measures."""

from __future__ import annotations

from pathlib import Path

from tests.oracle import join_tables
from tests.oracle.copied_rows import Connection, columns, connected, tables
from tests.oracle.tables import MODEL
from tests.support.clickhouse import ClickHouseServer

_TYPES = {
    "bool": "Bool", "int2": "Int16", "int4": "Int32", "int8": "Int64", "float8": "Float64",
    "text": "String", "date": "Date32", "timestamp": "DateTime64(6)",
    "timestamptz": "DateTime64(6, 'UTC')",
}  # fmt: skip

# SQL of the models is the warehouse's own: a cast there makes a type that has no NULL, and a
# product is wider than its factors.
_SPELLED = {
    '"CAST(1.0 * {total_rank} / NULLIF({cities}, 0) AS double precision)"': '"{total_rank} / NULLIF'
    '({cities}, 0)"',
    '"CAST(1.0 * {flag_count} / NULLIF({count}, 0) AS double precision)"': '"{flag_count} / NULLIF'
    '({count}, 0)"',
    '"CAST({total_price} / NULLIF({total_qty}, 0) AS double precision)"': '"toFloat64({total_price}'
    ') / NULLIF({total_qty}, 0)"',
    '"CAST({order_count} / NULLIF({revenue}, 0) AS double precision)"': '"{order_count} / toFloat64'
    '(NULLIF({revenue}, 0))"',
    '"CAST({total_qty} - {count} AS bigint)"': '"toInt64({total_qty} - {count})"',
    '"CAST({count} - {buyers} AS bigint)"': '"toInt64({count} - {buyers})"',
    '"{qty} * 2"': '"toInt32({qty} * 2)"',
}


def write_models(folder: Path) -> None:
    """The models of the oracle, in a folder."""
    found = set()
    for model in (MODEL, join_tables.MODEL):
        text = model.read_text()
        for theirs, ours in _SPELLED.items():
            if theirs in text:
                found.add(theirs)
                text = text.replace(theirs, ours)
        (folder / model.name).write_text(text)
    assert found == set(_SPELLED), set(_SPELLED) - found


def load(dsn: str, server: ClickHouseServer) -> None:
    """Copy the tables of PostgreSQL's schema ``public`` that cubes read."""
    with connected(dsn) as connection:
        for name in tables(connection):
            _copy(connection, name, server)


def _copy(connection: Connection, name: str, server: ClickHouseServer) -> None:
    listed = ", ".join(
        f'"{column}" Nullable({_type(kind, size)})'
        for column, (kind, size) in columns(connection, name).items()
    )
    server.query(f'CREATE TABLE "{name}" ({listed}) ENGINE = MergeTree ORDER BY tuple()')
    with connection.cursor().copy(f"COPY {name} TO STDOUT".encode()) as copy:
        rows = b"".join(copy).decode()
    # PostgreSQL's text format is ClickHouse's, but for a zone that is always UTC here.
    server.query(f'INSERT INTO "{name}" FORMAT TabSeparated\n{rows.replace("+00", "")}')


def _type(kind: str, size: int) -> str:
    if kind == "numeric":
        return f"Decimal({(size - 4) >> 16}, {(size - 4) & 0x7FF})"
    return _TYPES[kind]
