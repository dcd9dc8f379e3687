"""Pre-aggregations: stored aggregates that a query may be answered from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from semantic.model.template import Reference, SqlTemplate
from semantic.model.values import EMPTY, NOWHERE, FrozenMap, Location, RefreshKey


@dataclass(frozen=True, slots=True)
class Index:
    """An index of a stored rollup."""

    name: str
    columns: tuple[str, ...]
    type: Literal["regular", "aggregate"] = "regular"


@dataclass(frozen=True, slots=True)
class RollupTime:
    """A time dimension of a rollup and the granularity it is stored at."""

    dimension: Reference
    granularity: str | None = None


@dataclass(frozen=True, slots=True)
class PreAggregation:
    """A stored aggregate of a cube.

    Attributes:
        time_dimensions: ``time_dimension`` and ``granularity``, or ``time_dimensions``, as a list.
        partition_granularity: the unit that is built and refreshed at a time.
        rollups: the parts of a rollup_join or rollup_lambda.
        store: where it is kept: in the warehouse, or in DuckDB over Parquet.
        table: an aggregate table that exists already and is only read.
        options: settings of another system's store, kept as written; they change no result.
        sketches: (member, sketch) for distinct counts and percentiles that can be merged.
    """

    name: str
    type: Literal["rollup", "original_sql", "rollup_join", "rollup_lambda"] = "rollup"
    measures: tuple[Reference, ...] = ()
    dimensions: tuple[Reference, ...] = ()
    segments: tuple[Reference, ...] = ()
    time_dimensions: tuple[RollupTime, ...] = ()
    partition_granularity: str | None = None
    refresh_key: RefreshKey | None = None
    build_range_start: SqlTemplate | None = None
    build_range_end: SqlTemplate | None = None
    indexes: tuple[Index, ...] = ()
    scheduled_refresh: bool = True
    external: bool = True
    rollups: tuple[Reference, ...] = ()
    union_with_source_data: bool = False
    store: Literal["warehouse", "duckdb"] | None = None
    table: str | None = None
    sketches: tuple[tuple[str, Literal["hll", "ddsketch"]], ...] = ()
    options: FrozenMap = EMPTY
    location: Location = field(default=NOWHERE, compare=False, repr=False)
