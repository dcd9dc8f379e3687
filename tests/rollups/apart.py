"""PostgreSQL as the warehouse, its rollups apart from it: Parquet files that DuckDB reads.

Built and read by the connectors themselves; where a statement reads both, in the stage.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import psycopg

from connectors.base import BatchStream, Connector, Parameter
from connectors.parquet_rollups import ParquetRollups
from connectors.registry import open_connector
from connectors.rollup_store import BuildColumn, PartKey, TableBuild
from connectors.stage import Stage, StageOptions, StageTable, apart
from connectors.stage_tables import StageColumn
from semantic.compiler.api import CompiledStatement, Fetch
from semantic.compiler.rollups.api import (
    ROLLUP_STORE,
    RollupDefinition,
    StoredPart,
)
from semantic.model.model import Model
from tests.rollups.warehouses import SETTINGS, Bounds, Row, Warehouse

T = TypeVar("T")


@dataclass
class ApartWarehouse(Warehouse):
    """A warehouse whose rollups are kept elsewhere."""

    folder: Path = field(kw_only=True)
    _runner: asyncio.Runner = field(init=False)
    _stage: Stage = field(init=False)
    _store: ParquetRollups = field(init=False)
    _connectors: dict[str, Connector] = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        assert isinstance(self.database, psycopg.Connection)
        info = self.database.info
        dsn = f"postgresql://{info.user}@{info.host}:{info.port}/{info.dbname}"
        self._runner = asyncio.Runner()
        self._stage = Stage(StageOptions())
        self._store = ParquetRollups(self.folder)
        self._connectors = {
            "default": open_connector("postgres", {"dsn": dsn}),
            ROLLUP_STORE: open_connector("duckdb", {"allowed_directories": [str(self.folder)]}),
        }
        self._wait(self._store.start())
        for connector in self._connectors.values():
            self._wait(connector.start())

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def close(self) -> None:
        for connector in self._connectors.values():
            self._wait(connector.close())
        self._wait(self._stage.close())
        self._runner.close()
        super().close()

    def use(self, model: Model) -> None:
        """The same model, its rollups kept apart."""
        cubes = [
            replace(
                cube,
                pre_aggregations=tuple(
                    replace(item, store="duckdb") for item in cube.pre_aggregations
                ),
            )
            for cube in model.cubes
        ]
        super().use(replace(model, cubes=tuple(cubes)))

    def _part(self, definition: RollupDefinition, bounds: Bounds, built_at: float) -> StoredPart:
        if definition.site != ROLLUP_STORE:
            return super()._part(definition, bounds, built_at)
        start, end = bounds
        compiled = self.compiler.build_rollup(definition.name, start, end, SETTINGS)
        self._tables += 1
        build = TableBuild(
            PartKey(f"{definition.name}_{self._tables}", definition.version, start, end),
            compiled.sql,
            tuple(
                Parameter(use.type.name, _bound(bounds[use.of((0, 1))], use.type.name))  # type: ignore[call-overload]
                for use in compiled.parameters
            ),
            tuple(
                BuildColumn(item.name, item.type.name, item.type.modifier)
                for item in compiled.columns
            ),
        )
        seen = next((t for t in self._wait(self._store.read()) if t.key == build.key), None)
        table = self._wait(self._store.build(build, self._connectors["default"], seen))
        return StoredPart(table.table, start, end, table.rows, built_at)

    def _texts(
        self, statement: CompiledStatement, values: Sequence[object], zone: str
    ) -> list[str]:
        rows = self._wait(self._rows(statement, values, zone))
        return sorted(repr(tuple(map(_shown, row))) for row in rows)

    async def _rows(
        self, statement: CompiledStatement, values: Sequence[object], zone: str
    ) -> list[Row]:
        parameters = [Parameter(u.type.name, u.of(values)) for u in statement.parameters]
        stream: BatchStream
        if statement.fetches:
            tables = [self._table(fetch, values, zone) for fetch in statement.fetches]
            stream = await self._stage.execute(
                apart(tables), statement.sql, parameters, time_zone=zone
            )
        else:
            connector = self._connectors[statement.data_source]
            stream = await connector.execute(statement.sql, parameters, time_zone=zone)
        rows: list[Row] = []
        async for batch in stream:
            rows += zip(*(column.to_pylist() for column in batch.columns), strict=True)
        await stream.close()
        return rows

    def _table(self, fetch: Fetch, values: Sequence[object], zone: str) -> StageTable:
        parameters = [Parameter(u.type.name, u.of(values)) for u in fetch.parameters]
        columns = tuple(
            StageColumn(column.name, column.type.name, stored)
            for column, stored in zip(fetch.columns, fetch.stored, strict=True)
        )
        start = partial(
            self._connectors[fetch.data_source].execute, fetch.sql, parameters, time_zone=zone
        )
        return StageTable(fetch.table, columns, start, fetch.kind, fetch.reason)


def _bound(moment: datetime | None, kind: str) -> object:
    if moment is None or kind == "timestamptz":
        return moment
    local = moment.astimezone(UTC).replace(tzinfo=None)
    return local.date() if kind == "date" else local


def _shown(value: object) -> object:
    """A value as it is compared, whichever engine it comes from."""
    if isinstance(value, float):
        return float(f"{value:.10g}") + 0.0
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat() if value.tzinfo else value.isoformat()
    return str(value) if value is not None and not isinstance(value, date | bool) else value
