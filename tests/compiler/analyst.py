"""The catalog's part in tests: a real PostgreSQL with the published relations as empty tables."""

from __future__ import annotations

import psycopg

from proxy.wire.oids import BY_OID
from semantic.compiler.api import Analysis, ResultColumn
from semantic.errors import SemanticError
from semantic.model.published import PublishedModel, PublishedRelation
from semantic.model.types import PostgresType

MARKERS = """
CREATE FUNCTION marker(state anyelement, value anyelement) RETURNS anyelement
  LANGUAGE sql AS 'SELECT $1';
CREATE AGGREGATE measure(anyelement) (SFUNC = marker, STYPE = anyelement);
CREATE AGGREGATE agg(anyelement) (SFUNC = marker, STYPE = anyelement);
CREATE AGGREGATE aggregate(anyelement) (SFUNC = marker, STYPE = anyelement);
"""


class Analyst:
    """Types and errors of statements over a published model."""

    def __init__(self, dsn: str, model: PublishedModel) -> None:
        self._connection = psycopg.connect(dsn, autocommit=True)
        self._connection.execute(MARKERS)
        self._connection.execute(relation_tables(model).encode())

    def close(self) -> None:
        self._connection.close()

    def analyse(self, sql: str) -> Analysis:
        """Parameter and column types; the error as a SemanticError with a position in ``sql``."""
        return analyse(self._connection, sql)


def relation_tables(model: PublishedModel) -> str:
    """Statements that make an empty table for each published relation."""
    return "".join(
        f'CREATE TABLE "{relation.name}" ({_columns(relation)});' for relation in model.relations
    )


def _columns(relation: PublishedRelation) -> str:
    return ", ".join(f'"{item.name}" {_spelled(item.type)}' for item in relation.columns)


def analyse(client: psycopg.Connection[tuple[object, ...]], sql: str) -> Analysis:
    """See ``Analyst.analyse``."""
    connection = client.pgconn
    result = connection.prepare(b"", sql.encode())
    if result.status != psycopg.pq.ExecStatus.COMMAND_OK:
        field = psycopg.pq.DiagnosticField
        position = result.error_field(field.STATEMENT_POSITION)
        raise SemanticError(
            (result.error_field(field.SQLSTATE) or b"").decode(),
            (result.error_field(field.MESSAGE_PRIMARY) or b"").decode(),
            position=int(position) if position else None,
        )
    described = connection.describe_prepared(b"")
    parameters = tuple(_type(described.param_type(i), -1) for i in range(described.nparams))
    columns = tuple(
        ResultColumn(
            (described.fname(i) or b"").decode(), _type(described.ftype(i), described.fmod(i))
        )
        for i in range(described.nfields)
    )
    return Analysis(parameters, columns)


def probe_postgres(
    connection: psycopg.Connection[tuple[object, ...]], sql: str
) -> list[tuple[str, str, int]]:
    """Column names and types of a SELECT over the base tables."""
    result = connection.pgconn.prepare(b"", sql.encode())
    assert result.status == psycopg.pq.ExecStatus.COMMAND_OK, result.error_message
    described = connection.pgconn.describe_prepared(b"")
    found = []
    for i in range(described.nfields):
        kind = _type(described.ftype(i), described.fmod(i))
        found.append(((described.fname(i) or b"").decode(), kind.name, kind.modifier))
    return found


def _type(oid: int, modifier: int) -> PostgresType:
    return PostgresType(BY_OID[oid].name, modifier)


def _spelled(kind: PostgresType) -> str:
    if kind.name == "numeric" and kind.modifier >= 4:
        return f"numeric({(kind.modifier - 4) >> 16},{(kind.modifier - 4) & 0x7FF})"
    return kind.name
