"""Which store keeps which rollup, opened from the configuration."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from connectors.base import Connector
from connectors.bucket import Bucket
from connectors.bucket_rollups import BucketRollups
from connectors.errors import WarehouseError
from connectors.parquet_rollups import ParquetRollups
from connectors.postgres_rollups import PostgresRollupOptions, PostgresRollups
from connectors.rollup_store import RollupStore, StoredTable
from proxy.config import Config
from proxy.config.sources import DuckdbSource, PostgresSource
from semantic.compiler.rollups.api import ROLLUP_STORE, RollupDefinition
from semantic.model.model import Model

logger = logging.getLogger("cubewire.rollups")

_DAMAGED = "XX001"


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """One store, with its name for people."""

    name: str
    store: RollupStore

    async def read_or_nothing(self) -> tuple[StoredTable, ...]:
        """What is stored; nothing where the state is damaged, so that it is built anew."""
        try:
            return await self.store.read()
        except WarehouseError as error:
            if error.sqlstate != _DAMAGED:
                raise
            logger.warning(
                "the state of a store of pre-aggregations is refused",
                extra={"fields": {"store": self.name, "detail": error.detail}},
            )
            return ()


@dataclass(frozen=True, slots=True, eq=False)
class RollupStores:
    """The stores of a model's rollups.

    Attributes:
        places: by the rollups' names; those that nobody builds have none.
    """

    places: Mapping[str, Place]
    definitions: Mapping[str, RollupDefinition]

    def of(self, definition: RollupDefinition) -> Place:
        """Where a rollup is kept."""
        return self.places[definition.name]

    def all(self) -> tuple[Place, ...]:
        """Every store once."""
        return tuple({id(place): place for place in self.places.values()}.values())

    async def read(self) -> list[StoredTable]:
        """What all stores hold."""
        tables: list[StoredTable] = []
        for place in self.all():
            tables += await place.read_or_nothing()
        return tables


def rollup_folder(config: Config, data_source: str) -> Path:
    """The folder of a data source's Parquet tables; of ``ROLLUP_STORE`` the one that holds all."""
    folder = (config.rollups.directory or config.state_directory / "rollups").absolute()
    return folder if data_source == ROLLUP_STORE else folder / quote(data_source, safe="")


def needs_store(config: Config, models: Iterable[Model]) -> bool:
    """Whether some rollup may be kept apart from its warehouse, where DuckDB reads it."""
    for cube in (cube for model in models for cube in model.cubes):
        source = config.data_sources.get(cube.data_source)
        has_tables = isinstance(source, PostgresSource | DuckdbSource)
        for item in cube.pre_aggregations:
            if item.type == "rollup" and (item.store == "duckdb" or not has_tables):
                return True
    return False


async def open_stores(
    config: Config,
    definitions: Mapping[str, RollupDefinition],
    connectors: Mapping[str, Connector],
    stack: AsyncExitStack,
) -> RollupStores:
    """Open the stores that rollups need. Raises WarehouseError, ValueError."""
    places: dict[str, Place] = {}
    opened: dict[tuple[str, bool], Place] = {}
    for definition in _built(definitions.values()):
        source = config.data_sources[definition.data_source]
        warehouse = isinstance(source, PostgresSource) and definition.site != ROLLUP_STORE
        key = (definition.data_source, warehouse)
        if key not in opened:
            store: RollupStore
            if warehouse and isinstance(source, PostgresSource):
                connector = connectors[definition.data_source]
                store = PostgresRollups(await _postgres(config, source, connector))
            else:
                store = parquet_store(config, definition.data_source)
            await store.start()
            stack.push_async_callback(store.close)
            kind = "warehouse" if warehouse else "parquet"
            opened[key] = Place(f"{definition.data_source} ({kind})", store)
        places[definition.name] = opened[key]
    return RollupStores(places, definitions)


def parquet_store(config: Config, data_source: str) -> RollupStore:
    """The store of a data source's Parquet tables, not started. Raises ValueError.

    Files that are fetched from a bucket have a folder apart from those of a store without one.
    """
    folder = rollup_folder(config, data_source)
    if config.rollups.url is None:
        return ParquetRollups(folder)
    url = f"{config.rollups.url.rstrip('/')}/{quote(data_source, safe='')}"
    return BucketRollups(Bucket(url, config.rollups.storage), folder / "fetched")


def _built(definitions: Iterable[RollupDefinition]) -> Iterable[RollupDefinition]:
    return (definition for definition in definitions if definition.is_built)


async def _postgres(
    config: Config, source: PostgresSource, connector: Connector
) -> PostgresRollupOptions:
    reader = ""
    if source.rollup_dsn is not None and source.rollup_dsn != source.dsn:
        stream = await connector.execute("SELECT current_user::text AS name")
        async for batch in stream:
            reader = batch.column(0)[0].as_py()
    return PostgresRollupOptions(
        source.rollup_dsn or source.dsn,
        config.rollups.postgres_schema,
        reader,
        config.rollups.parallel + 1,
        source.connect_seconds,
        source.search_path,
    )
