"""The keys of a BigQuery data source."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from proxy.config.sources.base import Source
from proxy.config.units import Seconds


class BigquerySource(Source):
    """A BigQuery project."""

    type: Literal["bigquery"] = Field(description="`bigquery`")
    project: str = Field(description="Project that pays for the statements.")
    dataset: str = Field(default="", description="Dataset of unqualified tables.")
    location: str = Field(default="", description="Of the jobs; empty for the data's own.")
    credentials: str = Field(
        default="",
        repr=False,
        description="JSON key of a service account; empty for the environment's own.",
    )
    endpoint: str = Field(default="", description="Where it is not Google's, without credentials.")
    tags: tuple[Literal["user", "cube", "statement"], ...] = Field(
        default=("user", "cube", "statement"), description="What is told of each statement."
    )
    maximum_bytes: int = Field(
        default=0, ge=0, description="What a statement may read at most (53400); 0 is any."
    )
    quick_threads: int = Field(
        default=8, ge=1, description="Statements running at once in their first moment."
    )
    slow_threads: int = Field(default=16, ge=1, description="Statements running at once after it.")
    queue_seconds: Seconds = Field(
        default=30.0, description="Time a statement waits for its turn (53300)."
    )
    batch_rows: int = Field(default=8192, ge=1, description="Rows of a batch, after the first.")
