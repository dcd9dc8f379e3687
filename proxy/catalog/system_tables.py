"""The tables of the server itself, in a schema of their own: for callers who may see them.

Each is a view over rows that a statement brings along as a setting of its transaction's backend:
all of a statement sees the same rows, and the catalog asks nobody. To callers who may not see them
the schema does not exist, for they have another catalog.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from proxy.catalog.protocol import identifier, literal

SCHEMA = "cubewire"
ROWS_SETTING = "cubewire.rows_of_"
"""What the name of a setting that holds a table's rows begins with."""


@dataclass(frozen=True, slots=True)
class SystemColumn:
    """A column: its name, PostgreSQL type and comment."""

    name: str
    type: str
    comment: str


@dataclass(frozen=True, slots=True)
class SystemTable:
    """A table of the server."""

    name: str
    comment: str
    columns: tuple[SystemColumn, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Rows as they are at one moment.

    Attributes:
        settings: for the catalog, by name.
        warnings: what is missing.
    """

    settings: Mapping[str, str]
    warnings: tuple[str, ...] = ()


def _table(name: str, comment: str, *columns: tuple[str, str, str]) -> SystemTable:
    return SystemTable(name, comment, tuple(SystemColumn(*column) for column in columns))


_PROCESS = (
    ("host", "text", "name of the server"),
    ("worker", "integer", "number of the process there, from 0"),
)
_SEEN = ("seen_at", "timestamp with time zone", "when it was so: of other hosts a second ago")
_SPEAKER = (
    ("process_id", "integer", "of the session, as pg_backend_pid() tells it"),
    ("login", "text", "who logged in"),
    ("acts_for", "text", "on whose behalf, if another's"),
    ("database", "text", "that the client named"),
    ("application", "text", "application_name"),
)

SYSTEM_TABLES = (
    _table(
        "sessions",
        "sessions that are open now",
        *_PROCESS,
        *_SPEAKER,
        ("tenant", "text", "of whom the session acts for"),
        ("address", "text", "of the client"),
        ("encrypted", "boolean", "whether inside TLS"),
        (
            "state",
            "text",
            "active, idle, idle in transaction, idle in transaction (aborted)",
        ),
        ("connected_at", "timestamp with time zone", "when the client connected"),
        ("active_at", "timestamp with time zone", "when its last message came"),
        ("statement_id", "text", "of the statement that runs"),
        _SEEN,
    ),
    _table(
        "statements",
        "statements that run now, and the last ones that have ended",
        *_PROCESS,
        ("statement_id", "text", "what `cubewire kill` takes"),
        *_SPEAKER,
        ("kind", "text", "cube, catalog or utility"),
        ("state", "text", "preparing, waiting, running, sending; done or failed"),
        ("started_at", "timestamp with time zone", "when it began"),
        ("milliseconds", "double precision", "that it has taken so far"),
        ("rows", "bigint", "sent"),
        ("bytes", "bigint", "sent, before encryption"),
        ("sqlstate", "text", "of the end"),
        ("cache", "text", "where its rows came from"),
        ("data_source", "text", "that answers it"),
        ("relations", "text[]", "cubes and views that it reads"),
        ("rollups", "text[]", "pre-aggregations that it reads"),
        ("stages", "jsonb", "milliseconds by stage"),
        ("sql", "text", "its text, or the beginning of it"),
        _SEEN,
    ),
    _table(
        "sources",
        "data sources, and what this server asks of them",
        *_PROCESS,
        ("name", "text", "in the configuration"),
        ("dialect", "text", "of its SQL"),
        ("up", "boolean", "whether it answers"),
        ("slots", "integer", "statements that it takes at once; 0 is any number"),
        ("running", "integer", "statements there now"),
        ("waiting", "integer", "statements that wait for their turn"),
        ("statements", "bigint", "that have ended since the start"),
        ("errors", "bigint", "of these, those that failed"),
        ("last_error", "text", "SQLSTATE of the last of those"),
        ("last_error_at", "timestamp with time zone", "when that was"),
        _SEEN,
    ),
    _table(
        "rollups",
        "pre-aggregations of the model, a row for each stored part",
        ("name", "text", "as cube.name"),
        ("cube", "text", "whose it is"),
        ("kind", "text", "as the model has it"),
        ("range_start", "timestamp with time zone", "of a partition, inclusive"),
        ("range_end", "timestamp with time zone", "of a partition, exclusive"),
        ("rows", "bigint", "stored; null where nothing is"),
        ("bytes", "bigint", "stored"),
        ("built_at", "timestamp with time zone", "when its rows were read"),
        ("checked_at", "timestamp with time zone", "when it was last seen up to date"),
        ("build_seconds", "double precision", "what building it took"),
    ),
)
"""All of them."""


def deployment(markers: str) -> str:
    """Statements that make the schema in a catalog that does not have it.

    Args:
        markers: schema of functions that clients do not look at.
    """
    function = f"{identifier(markers)}.cubewire_rows"
    body = (
        "DECLARE found text := current_setting(name, true); BEGIN "
        "IF coalesce(found, '') = '' THEN RAISE EXCEPTION USING ERRCODE = '0A000', "
        "MESSAGE = 'the tables of schema cubewire cannot be read here', "
        "HINT = 'Name them in the SELECT itself that is to read them.'; END IF; "
        "RETURN found::json; END"
    )
    statements = [
        f"CREATE SCHEMA {SCHEMA}",
        f"COMMENT ON SCHEMA {SCHEMA} IS 'sessions, statements and stores of this server'",
        f"GRANT USAGE ON SCHEMA {SCHEMA} TO PUBLIC",
        f"CREATE OR REPLACE FUNCTION {function}(name text) RETURNS json LANGUAGE plpgsql "
        f"STABLE AS {literal(body)}",
    ]
    for table in SYSTEM_TABLES:
        statements += _made(table, function)
    return ";\n".join(statements)


def _made(table: SystemTable, function: str) -> list[str]:
    name = f"{SCHEMA}.{identifier(table.name)}"
    names = ", ".join(identifier(column.name) for column in table.columns)
    columns = ", ".join(f"{identifier(item.name)} {item.type}" for item in table.columns)
    return [
        f"CREATE VIEW {name} AS SELECT {names} FROM pg_catalog.json_to_recordset("
        f"{function}({literal(ROWS_SETTING + table.name)})) AS {identifier(table.name)}({columns})",
        f"GRANT SELECT ON {name} TO PUBLIC",
        f"COMMENT ON VIEW {name} IS {literal(table.comment)}",
        *(
            f"COMMENT ON COLUMN {name}.{identifier(item.name)} IS {literal(item.comment)}"
            for item in table.columns
        ),
    ]
