"""The keys of a Spark data source."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from proxy.config.sources.base import Source
from proxy.config.units import Seconds


class SparkSource(Source):
    """Spark by way of Spark Connect."""

    type: Literal["spark"] = Field(description="`spark`")
    url: str = Field(
        repr=False, description="Of Spark Connect, as `sc://host:15002/;token=...;use_ssl=true`."
    )
    catalog: str = Field(default="", description="Of unqualified schemas; empty is the server's.")
    database: str = Field(default="", description="Of unqualified tables; empty is the server's.")
    settings: tuple[str, ...] = Field(
        default=(), description="Of the session on the server, each as `name=value`."
    )
    quick_threads: int = Field(
        default=8, ge=1, description="Statements running at once in their first moment."
    )
    slow_threads: int = Field(default=16, ge=1, description="Statements running at once after it.")
    queue_seconds: Seconds = Field(
        default=30.0, description="Time a statement waits for its turn (53300)."
    )
    batch_rows: int = Field(default=65536, ge=1, description="Rows of a batch, after the first.")
