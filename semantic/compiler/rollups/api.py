"""The values that the stored side of pre-aggregations and the compiler exchange."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from semantic.model.preaggregation import Index
from semantic.model.types import PostgresType
from semantic.model.values import RefreshKey

ROLLUP_STORE = "cubewire_rollups"
"""The data source of the tables that are kept apart from their cubes' warehouses; it is DuckDB."""

ColumnRole = Literal["dimension", "time", "segment", "measure"]
ColumnPart = Literal["", "sum", "count", "min", "max", "distinct", "hll", "ddsketch"]


@dataclass(frozen=True, slots=True)
class StoredColumn:
    """A column of a rollup's table.

    Attributes:
        name: ``carrier``, ``airlines__name``, ``scheduled_hour__day``, ``average_delay__sum``.
        type: as clients would see it; the table's own type is what the build's SELECT yields.
        relation: the cube whose member it holds.
        member: the member's name there.
        path: the joins from the rollup's cube to that cube.
        role: what the member is.
        granularity: of a time column; None where the moments are stored as they are.
        part: which part of a measure.
    """

    name: str
    type: PostgresType
    relation: str
    member: str
    path: tuple[str, ...]
    role: ColumnRole
    granularity: str | None = None
    part: ColumnPart = ""


@dataclass(frozen=True, slots=True)
class RollupDefinition:
    """What a pre-aggregation stores, worked out from the model.

    Attributes:
        name: ``cube.pre_aggregation``.
        cube: whose rows are aggregated.
        data_source: where those rows are.
        kind: a rollup has groups, ``original_sql`` the rows of the cube's own SQL. Those of type
            ``rollup_join`` and ``rollup_lambda`` are made of others (``parts``) and store nothing.
        columns: in the order of the table: dimensions, times, segments, parts of measures.
        version: hash of all that decides its rows; another version is another table.
        unstored: (member, why) for measures that no part could be stored for.
        time: name of the stored column that partitions are cut by.
        partition: the unit of a partition; None: one table. Partitions are half open, in UTC.
        table: an aggregate table that exists already and is only read.
        parts: names of the rollups that a join or lambda is made of.
        union_with_source: rows that are not built yet are read from the source.
        has_range: whether the model says where the data starts and ends.
        problem: why it can neither be built nor read; empty for none.
        kept_in: the data source that its tables are in, where that is not the cube's.
    """

    name: str
    cube: str
    data_source: str
    kind: Literal["rollup", "original_sql", "rollup_join", "rollup_lambda"]
    columns: tuple[StoredColumn, ...]
    version: str
    unstored: tuple[tuple[str, str], ...] = ()
    time: str | None = None
    partition: str | None = None
    refresh_key: RefreshKey | None = None
    indexes: tuple[Index, ...] = ()
    scheduled_refresh: bool = True
    store: Literal["warehouse", "duckdb"] = "warehouse"
    table: str | None = None
    parts: tuple[str, ...] = ()
    union_with_source: bool = False
    has_range: bool = False
    problem: str = ""
    kept_in: str = ""

    @property
    def site(self) -> str:
        """The data source that its tables are read from."""
        return self.kept_in or self.data_source

    @property
    def is_built(self) -> bool:
        """Whether it has tables that we make and refresh."""
        is_made = self.kind in {"rollup", "original_sql"}
        return is_made and self.table is None and not self.problem


@dataclass(frozen=True, slots=True)
class StoredPart:
    """One built table: a whole rollup, or one partition.

    Attributes:
        table: its quoted, qualified SQL name in the data source that holds it.
        start: of the half-open range of moments it covers, aware; None: from the beginning.
        end: of that range; None: no end.
        rows: how many there are.
        built_at: Unix seconds at which the data was read.
    """

    table: str
    start: datetime | None
    end: datetime | None
    rows: int
    built_at: float


@dataclass(frozen=True, slots=True)
class StoredRollup:
    """What is built of one version of a rollup. Parts do not overlap.

    Attributes:
        definition: name of the ``RollupDefinition``.
        version: the definition's version that it was built from.
        data_source: the model's name of the data source that holds the tables.
        complete: no row was outside of the parts when they were built (in time, or without one),
            so that a statement need not say which time it asks for.
        serves: other cubes whose own freshness it keeps; None: any, since the statement itself says
            how old its data may be.
    """

    definition: str
    version: str
    data_source: str
    parts: tuple[StoredPart, ...]
    complete: bool = False
    serves: frozenset[str] | None = frozenset()


@dataclass(frozen=True, slots=True)
class RollupCandidates:
    """What a statement may be answered from, as a value.

    Attributes:
        stored: what is built; other versions than the model's are passed over.
        built_since: Unix seconds; parts built before are too old for the statement.
        others: whether tables of others may be read, of which nobody knows how old they are.
    """

    stored: tuple[StoredRollup, ...] = ()
    built_since: float | None = None
    others: bool = True


NONE = RollupCandidates()


@dataclass(frozen=True, slots=True)
class UnusedRollup:
    """A candidate that a scan was not answered from.

    Attributes:
        name: of the rollup.
        reason: one line: what it lacks.
        change: the smallest change of the model or the statement that would make it match.
    """

    name: str
    reason: str
    change: str = ""

    def __str__(self) -> str:
        change = f" ({self.change})" if self.change else ""
        return f"rollup {self.name} not used: {self.reason}{change}"
