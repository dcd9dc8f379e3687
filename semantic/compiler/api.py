"""The values that enter and leave the compiler: what the server knows of it and no more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from semantic.compiler.rollups.api import UnusedRollup
from semantic.model.types import PostgresType
from semantic.security.access import OPEN, Access

MIXED_DECIMALS = PostgresType("numeric", -24)
"""The type of a numeric whose number of decimals differs from row to row."""


@dataclass(frozen=True, slots=True)
class TemporaryTable:
    """A temporary table of the session.

    Attributes:
        types: of the columns; that of a numeric without precision may be narrower than declared,
            where all its values have the same number of decimals, or ``MIXED_DECIMALS``.
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
        user: what ``current_user`` is.
        session_user: where another user acts for them, that one; else empty.
        temporary_tables: those that the statement may name.
        temporary_schema: the schema's own name, besides ``pg_temp``.
        access: what the caller may see of the model.
    """

    user: str
    database: str
    time_zone: str = "UTC"
    measure_aggregates: Literal["strict", "defined"] = "strict"
    search_path: tuple[str, ...] = ("public",)
    version: str = "PostgreSQL 16"
    temporary_tables: tuple[TemporaryTable, ...] = ()
    temporary_schema: str = ""
    session_user: str = ""
    access: Access = OPEN


@dataclass(frozen=True, slots=True)
class ResultColumn:
    """One column of a result, as it was announced to the client."""

    name: str
    type: PostgresType


@dataclass(frozen=True, slots=True)
class WholeRow:
    """A whole row of a cube or view as one column of a result.

    Attributes:
        index: which column of the result.
        columns: of the row, in the order of its composite type.
    """

    index: int
    columns: tuple[ResultColumn, ...]


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

    def of(self, values: Sequence[object]) -> object:
        """What is bound, of the client's values."""
        return values[self.index]


@dataclass(frozen=True, slots=True)
class BoundValue:
    """A placeholder of the emitted SQL for a value of a policy or of the caller's own.

    Attributes:
        type: the type it is bound as; of ``unknown`` the warehouse works out the type.
        value: in the forms that ``connectors.base.Parameter`` lists; a tuple for an array.
    """

    type: PostgresType
    value: object = field(repr=False)

    def of(self, values: Sequence[object]) -> object:
        """What is bound, whatever the client sends."""
        return list(self.value) if isinstance(self.value, tuple) else self.value


Placeholder = ParameterUse | BoundValue
"""What is bound to a placeholder of the emitted SQL."""


@dataclass(frozen=True, slots=True)
class TemporaryColumn:
    """A column of a temporary table, whose values are bound as one array of ``type``."""

    table: str
    column: str
    type: PostgresType


@dataclass(frozen=True, slots=True)
class PlanStep:
    """A node of a plan as EXPLAIN shows it.

    Attributes:
        kind: ``Select``, ``Scan``, ``Join`` and so on.
        text: its line.
        relation: the cube or view that a scan reads.
        alias: of what stands in FROM.
        joins: of a scan, as ``airlines`` or ``origin -> airports``.
        policies: that rule a scan: their names, and why there is none of a cube.
        members: of the model that it resolves, as ``flights.carrier``.
        rollup: the pre-aggregation that a scan reads.
        unused: pre-aggregations that it does not read, and why.
    """

    kind: str
    text: str
    relation: str = ""
    alias: str = ""
    joins: tuple[str, ...] = ()
    members: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()
    steps: tuple[PlanStep, ...] = ()
    rollup: str = ""
    unused: tuple[UnusedRollup, ...] = ()

    def lines(self, depth: int = 0) -> Iterator[str]:
        """One line a node, children indented by two spaces."""
        yield "  " * depth + self.text
        for item in self.unused:
            yield "  " * (depth + 1) + str(item)
        for step in self.steps:
            yield from step.lines(depth + 1)

    def walk(self) -> Iterator[PlanStep]:
        """The node and all below it, top down."""
        yield self
        for step in self.steps:
            yield from step.walk()


@dataclass(frozen=True, slots=True)
class Fetch:
    """A statement whose rows are put into a table of the stage before the rest is computed there.

    Attributes:
        table: the name of the table.
        data_source: the warehouse that it runs on.
        sql: in that warehouse's dialect; placeholders are $1, $2, ...
        parameters: what to bind, in order.
        columns: of the table. A numeric without precision is kept as its text.
        stored: DuckDB's types of them.
        kind: ``groups`` where the warehouse aggregates, ``rows`` or ``query``.
        reason: why the warehouse does not do more.
    """

    table: str
    data_source: str
    sql: str
    parameters: tuple[Placeholder, ...]
    columns: tuple[ResultColumn, ...]
    stored: tuple[str, ...]
    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class CompiledStatement:
    """One statement in the warehouse's dialect, ready to be run.

    With fetches it is one in DuckDB's dialect over the tables that they fill.

    Attributes:
        sql: the text; placeholders are $1, $2, ...
        parameters: what to bind, in order.
        data_source: the model's name of the warehouse.
        columns: result columns; the SQL returns them in this order, cast to these types.
        rows: whole rows among the client's columns; the SQL returns the others first, then the
            columns of each row.
        steps: the plan, for people.
        relations: names of the cubes and views read.
        temporary: the columns of temporary tables that it reads: parameters behind the client's.
        rollups: names of the pre-aggregations it reads.
        rollups_built_at: Unix seconds at which the oldest data of those was read.
        volatile: it calls a function of the configuration that may answer otherwise each time.
        cubes: names of the cubes whose tables the SQL reads, those behind joins and views too.
        fetches: what has to be run first; empty where one warehouse computes it all.
    """

    sql: str
    parameters: tuple[Placeholder, ...]
    data_source: str
    columns: tuple[ResultColumn, ...]
    steps: PlanStep
    relations: tuple[str, ...]
    temporary: tuple[TemporaryColumn, ...] = ()
    rows: tuple[WholeRow, ...] = ()
    governed: bool = False
    rollups: tuple[str, ...] = ()
    rollups_built_at: float | None = None
    cubes: tuple[str, ...] = ()
    volatile: bool = False
    fetches: tuple[Fetch, ...] = ()

    @property
    def data_sources(self) -> tuple[str, ...]:
        """The warehouses that are read, each once."""
        if not self.fetches:
            return (self.data_source,)
        return tuple(dict.fromkeys(fetch.data_source for fetch in self.fetches))
