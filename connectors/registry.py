"""The kinds of data source: from a kind and its options to a Connector that is not started yet."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from connectors.base import Connector
from connectors.options import ConnectorOptionsError, nearest, read_options


@dataclass(frozen=True, slots=True)
class _Kind:
    """Where a connector lives. Its module imports a driver, so it is imported on use."""

    module: str
    connector: str
    options: str
    extra: str


_KINDS = {
    "athena": _Kind("connectors.athena_connector", "AthenaConnector", "AthenaOptions", "athena"),
    "bigquery": _Kind(
        "connectors.bigquery_connector", "BigQueryConnector", "BigQueryOptions", "bigquery"
    ),
    "clickhouse": _Kind(
        "connectors.clickhouse_connector", "ClickHouseConnector", "ClickHouseOptions", "clickhouse"
    ),
    "databricks": _Kind(
        "connectors.databricks_connector", "DatabricksConnector", "DatabricksOptions", "databricks"
    ),
    "duckdb": _Kind("connectors.duckdb_connector", "DuckDBConnector", "DuckDBOptions", "duckdb"),
    "postgres": _Kind(
        "connectors.postgres_connector", "PostgresConnector", "PostgresOptions", "postgres"
    ),
    "snowflake": _Kind(
        "connectors.snowflake_connector", "SnowflakeConnector", "SnowflakeOptions", "snowflake"
    ),
    "spark": _Kind("connectors.spark_connector", "SparkConnector", "SparkOptions", "spark"),
    "sqlserver": _Kind(
        "connectors.sqlserver_connector", "SqlServerConnector", "SqlServerOptions", "sqlserver"
    ),
    "sqlite": _Kind("connectors.sqlite_connector", "SQLiteConnector", "SQLiteOptions", "sqlite"),
    "trino": _Kind("connectors.trino_connector", "TrinoConnector", "TrinoOptions", "trino"),
    **{
        kind: _Kind("connectors.mysql_connector", f"{name}Connector", "MySqlOptions", "mysql")
        for kind, name in {
            "mysql": "MySql",
            "mariadb": "MariaDb",
            "starrocks": "StarRocks",
            "doris": "Doris",
        }.items()
    },
}

KINDS: tuple[str, ...] = tuple(_KINDS)


def open_connector(kind: str, options: Mapping[str, object]) -> Connector:
    """The connector of a data source; ``start`` opens it.

    Raises ConnectorOptionsError for an unknown kind, an unknown or wrong option, a missing driver.
    """
    known = _known(kind)
    module = _module(kind, known)
    checked = read_options(kind, options, getattr(module, known.options))
    connector: Connector = getattr(module, known.connector)(checked)
    return connector


def options_of(kind: str) -> Any:
    """The dataclass of a connector's options. Raises ConnectorOptionsError."""
    known = _known(kind)
    return getattr(_module(kind, known), known.options)


def _known(kind: str) -> _Kind:
    known = _KINDS.get(kind)
    if known is None:
        raise ConnectorOptionsError(f"unknown kind of data source {kind!r}; {nearest(kind, KINDS)}")
    return known


def _module(kind: str, known: _Kind) -> ModuleType:
    try:
        return importlib.import_module(known.module)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.split(".")[0] == "connectors":
            raise
        raise ConnectorOptionsError(
            f"a {kind} data source needs the Python package {error.name!r}: "
            f"pip install 'cubewire[{known.extra}]'"
        ) from error
