"""The keys of a PostgreSQL data source."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from proxy.config.sources.base import Source
from proxy.config.units import Seconds


class PostgresSource(Source):
    """A PostgreSQL database."""

    server_keys: ClassVar[frozenset[str]] = frozenset(("type", "rollup_dsn"))

    type: Literal["postgres"] = Field(description="`postgres`")
    dsn: str = Field(
        repr=False, description="`postgresql://` URL of a role that can read the tables."
    )
    pool_size: int = Field(default=10, ge=1, description="Statements running at once.")
    queue_seconds: Seconds = Field(
        default=30.0, gt=0, description="Time a statement waits for a connection (53300)."
    )
    connect_seconds: Seconds = Field(
        default=10.0, gt=0, description="Time one try to connect may take (08006)."
    )
    retry_seconds: Seconds = Field(
        default=3.0, description="Time for which connecting is tried again."
    )
    application_name: str = Field(default="cubewire", description="What `pg_stat_activity` shows.")
    comment: tuple[Literal["user", "cube", "statement"], ...] = Field(
        default=(), description="What a comment behind each statement tells of it."
    )
    search_path: str = Field(
        default="", description="Schemas of unqualified tables; empty is the role's own."
    )
    replicas: tuple[str, ...] = Field(
        default=(),
        repr=False,
        description="URLs of replicas, which statements read; they also take the primary's place.",
    )
    max_replica_lag: Seconds = Field(
        default=10.0, description="A replica that lags by more is not read from."
    )
    rollup_dsn: str | None = Field(
        default=None,
        repr=False,
        description="URL of a role that may write pre-aggregations; absent, the one of `dsn`.",
    )
