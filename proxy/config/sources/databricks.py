"""The keys of a Databricks data source."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from proxy.config.sources.base import Source
from proxy.config.units import Seconds


class DatabricksSource(Source):
    """A SQL warehouse or cluster of Databricks."""

    type: Literal["databricks"] = Field(description="`databricks`")
    host: str = Field(description="Host of the workspace.")
    http_path: str = Field(description="Of the warehouse, as its connection details say it.")
    token: str = Field(default="", repr=False, description="A personal access token.")
    client_id: str = Field(default="", description="Of a service principal, for OAuth instead.")
    client_secret: str = Field(default="", repr=False, description="Its secret.")
    catalog: str = Field(default="", description="Catalog of unqualified schemas.")
    schema_name: str = Field(default="", description="Schema of unqualified tables.")
    settings: tuple[str, ...] = Field(
        default=(), description="Of the session, each as `name=value`."
    )
    tags: tuple[Literal["user", "cube", "statement"], ...] = Field(
        default=("user", "cube", "statement"), description="What is told of each statement."
    )
    cloud_fetch: bool = Field(
        default=True, description="Read large results from the cloud's storage."
    )
    endpoint: str = Field(default="", description="Where it is not the host's own.")
    request_seconds: Seconds = Field(
        default=60.0, gt=0, description="Time one request may take (08006)."
    )
    quick_threads: int = Field(
        default=8, ge=1, description="Statements running at once in their first moment."
    )
    slow_threads: int = Field(default=16, ge=1, description="Statements running at once after it.")
    queue_seconds: Seconds = Field(
        default=30.0, description="Time a statement waits for its turn (53300)."
    )
    batch_rows: int = Field(default=65536, ge=1, description="Rows of a batch, after the first.")
