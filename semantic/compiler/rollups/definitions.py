"""What others see of a pre-aggregation: names, types, how it is kept, and its version."""

from __future__ import annotations

from semantic.compiler.plan import Scan, Select, explain
from semantic.compiler.rollups.api import ROLLUP_STORE, RollupDefinition, StoredColumn
from semantic.compiler.rollups.blueprint import Key
from semantic.model.model import content_hash
from semantic.model.preaggregation import PreAggregation
from semantic.model.relations import Cube
from semantic.model.template import Reference


def definition_of(
    cube: Cube,
    item: PreAggregation,
    columns: tuple[StoredColumn, ...] = (),
    unstored: tuple[tuple[str, str], ...] = (),
    rows: str = "",
    time: str | None = None,
    problem: str = "",
    dialect: str = "",
) -> RollupDefinition:
    """The definition of a pre-aggregation of a cube.

    Args:
        cube: whose it is.
        item: as the model declares it.
        columns: that are stored.
        unstored: members that cannot be, and why.
        rows: all that decides which rows it has.
        time: name of the column that partitions are cut by.
        problem: why it can neither be built nor read.
        dialect: of the cube's warehouse, for what stores groups.
    """
    content = (item.type, cube.sql, cube.sql_table, cube.data_source, columns, rows)
    return RollupDefinition(
        name=f"{cube.name}.{item.name}",
        cube=cube.name,
        data_source=cube.data_source,
        kind=item.type,
        columns=columns,
        version=content_hash((content, item.partition_granularity, item.table)),
        unstored=unstored,
        time=time,
        partition=item.partition_granularity if time is not None else None,
        refresh_key=item.refresh_key,
        indexes=item.indexes,
        scheduled_refresh=item.scheduled_refresh,
        store=item.store or "warehouse",
        table=item.table,
        parts=tuple(_full_name(cube, reference) for reference in item.rollups),
        union_with_source=item.union_with_source_data,
        problem=problem,
        kept_in=_kept_in(item, dialect),
        has_range=item.build_range_start is not None or item.build_range_end is not None,
    )


WAREHOUSES = frozenset({"duckdb", "postgres"})
"""Dialects of warehouses in which tables can be kept."""


def _kept_in(item: PreAggregation, dialect: str) -> str:
    if not dialect or item.type != "rollup" or item.table is not None:
        return ""
    return ROLLUP_STORE if item.store == "duckdb" or dialect not in WAREHOUSES else ""


def content_of(scan: Scan, query: Select) -> str:
    """All that decides which rows a query over a scan has."""
    joins = [(repr(join.table), repr(join.condition), join.kind) for join in scan.joins]
    filters = [repr(item) for item in scan.filters]
    return repr((repr(scan.table), joins, filters, explain(query)))


def _full_name(cube: Cube, reference: Reference) -> str:
    *owner, name = reference.path
    first = owner[0] if owner and owner[0] != "CUBE" else cube.name
    return f"{first}.{name}"


def time_reference(item: PreAggregation, keys: tuple[Key, ...]) -> str | None:
    """The name of the column of a rollup's first time dimension."""
    if not item.time_dimensions:
        return None
    wanted = item.time_dimensions[0]
    for key in keys:
        column = key.column
        found = (column.role, column.member, column.granularity)
        if found == ("time", wanted.dimension.path[-1], wanted.granularity):
            return column.name
    return None
