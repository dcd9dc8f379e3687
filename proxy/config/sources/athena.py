"""The keys of an Athena data source."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from proxy.config.sources.base import Source
from proxy.config.units import Seconds


class AthenaSource(Source):
    """Amazon Athena in a region."""

    type: Literal["athena"] = Field(description="`athena`")
    region: str = Field(description="Region of the service.")
    work_group: str = Field(default="", description="Work group of engine version 3.")
    output: str = Field(default="", description="Where results are stored, as `s3://bucket/`.")
    catalog: str = Field(default="", description="Catalog of unqualified databases.")
    database: str = Field(default="", description="Database of unqualified tables.")
    tags: tuple[Literal["user", "cube", "statement"], ...] = Field(
        default=("user", "cube", "statement"), description="What is told of each statement."
    )
    access_key: str = Field(default="", description="Empty for the environment's credentials.")
    secret_key: str = Field(default="", repr=False, description="Belongs to the key.")
    session_token: str = Field(default="", repr=False, description="Of a key for a while.")
    endpoint: str = Field(default="", description="Where it is not Amazon's own.")
    request_seconds: Seconds = Field(
        default=30.0, gt=0, description="Time one request may take (08006)."
    )
    quick_threads: int = Field(
        default=8, ge=1, description="Statements running at once in their first moment."
    )
    slow_threads: int = Field(default=16, ge=1, description="Statements running at once after it.")
    queue_seconds: Seconds = Field(
        default=30.0, description="Time a statement waits for its turn (53300)."
    )
    batch_rows: int = Field(default=1000, ge=1, description="Rows of a batch, after the first.")
