"""The values that enter and leave the compiler: what the server knows of it and no more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from semantic.model.types import PostgresType


@dataclass(frozen=True, slots=True)
class TemporaryTable:
    """A temporary table of the session.

    Attributes:
        types: of the columns; that of a numeric without precision may be narrower than declared,
            where all its values have the same number of decimals.
        keys: sets of columns, by index, in whose values no two rows agree (unless one is NULL).
    """

    name: str
    columns: tuple[str, ...]
    types: tuple[PostgresType, ...]
    keys: tuple[frozenset[int], ...] = ()


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """The session's settings, and its temporary tables: what may change a statement's meaning.

    Attributes:
        temporary_tables: those that the statement may name.
        temporary_schema: the schema's own name, besides ``pg_temp``.
    """

    user: str
    database: str
    time_zone: str = "UTC"
    measure_aggregates: Literal["strict", "defined"] = "strict"
    search_path: tuple[str, ...] = ("public",)
    version: str = "PostgreSQL 16"
    temporary_tables: tuple[TemporaryTable, ...] = ()
    temporary_schema: str = ""


@dataclass(frozen=True, slots=True)
class ResultColumn:
    """One column of a result, as it was announced to the client."""

    name: str
    type: PostgresType


@dataclass(frozen=True, slots=True)
class Analysis:
    """What the catalog PostgreSQL says of a statement: parameter types ($1 first) and columns."""

    parameters: tuple[PostgresType, ...]
    columns: tuple[ResultColumn, ...]


@dataclass(frozen=True, slots=True)
class ParameterUse:
    """A placeholder of the emitted SQL, in order of its own numbering ($1 first).

    Attributes:
        index: which parameter of the client (0-based) is bound here.
        type: the type the client's value has been decoded as.
    """

    index: int
    type: PostgresType


@dataclass(frozen=True, slots=True)
class TemporaryColumn:
    """A column of a temporary table, whose values are bound as one array of ``type``."""

    table: str
    column: str
    type: PostgresType


@dataclass(frozen=True, slots=True)
class CompiledStatement:
    """One statement in the warehouse's dialect, ready to be run.

    Attributes:
        sql: the text; placeholders are $1, $2, ...
        parameters: what to bind, in order.
        data_source: the model's name of the warehouse.
        columns: result columns; the SQL returns them in this order, cast to these types.
        plan: the plan as text, one line per node.
        relations: names of the cubes and views read.
        temporary: the columns of temporary tables that it reads: parameters behind the client's.
    """

    sql: str
    parameters: tuple[ParameterUse, ...]
    data_source: str
    columns: tuple[ResultColumn, ...]
    plan: str
    relations: tuple[str, ...]
    temporary: tuple[TemporaryColumn, ...] = ()
