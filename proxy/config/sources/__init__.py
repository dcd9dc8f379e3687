"""The kinds of data source, one module each.

A kind is a class here in ``SOURCES``, and an entry in ``connectors.registry``.
"""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from proxy.config.sources.athena import AthenaSource
from proxy.config.sources.base import Source
from proxy.config.sources.bigquery import BigquerySource
from proxy.config.sources.clickhouse import ClickhouseSource
from proxy.config.sources.databricks import DatabricksSource
from proxy.config.sources.duckdb import DuckdbSource
from proxy.config.sources.mysql import MysqlSource
from proxy.config.sources.plugin import PluginSource
from proxy.config.sources.postgres import PostgresSource
from proxy.config.sources.snowflake import SnowflakeSource
from proxy.config.sources.spark import SparkSource
from proxy.config.sources.sqlite import SqliteSource
from proxy.config.sources.sqlserver import SqlserverSource
from proxy.config.sources.trino import TrinoSource

SOURCES: tuple[type[Source], ...] = (
    DuckdbSource,
    PluginSource,
    MysqlSource,
    PostgresSource,
    SparkSource,
    SqliteSource,
    ClickhouseSource,
    AthenaSource,
    BigquerySource,
    DatabricksSource,
    SnowflakeSource,
    SqlserverSource,
    TrinoSource,
)

if TYPE_CHECKING:
    DataSource = Source
else:
    DataSource = Annotated[reduce(or_, SOURCES), Field(discriminator="type")]

__all__ = [
    "SOURCES",
    "AthenaSource",
    "BigquerySource",
    "ClickhouseSource",
    "DataSource",
    "DatabricksSource",
    "DuckdbSource",
    "MysqlSource",
    "PluginSource",
    "PostgresSource",
    "SnowflakeSource",
    "Source",
    "SparkSource",
    "SqliteSource",
    "SqlserverSource",
    "TrinoSource",
]
