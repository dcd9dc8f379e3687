"""The keys of a Trino data source."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from proxy.config.sources.base import Source
from proxy.config.units import Seconds


class TrinoSource(Source):
    """A Trino cluster."""

    type: Literal["trino"] = Field(description="`trino`")
    host: str = Field(description="Host of the coordinator.")
    user: str = Field(description="Whom statements run as.")
    port: int = Field(default=8080, ge=1, le=65535, description="Its port.")
    password: str = Field(
        default="", repr=False, description="For basic authentication, over https."
    )
    token: str = Field(default="", repr=False, description="A JWT instead.")
    catalog: str = Field(default="", description="Catalog of unqualified tables.")
    schema_name: str = Field(default="", description="Schema of unqualified tables.")
    https: bool = Field(default=False, description="Encrypt the connection.")
    verify: bool = Field(default=True, description="Check the server's certificate.")
    tags: tuple[Literal["user", "cube", "statement"], ...] = Field(
        default=("user", "cube", "statement"), description="What is told of each statement."
    )
    source: str = Field(default="cubewire", description="What the coordinator shows.")
    quick_threads: int = Field(
        default=8, ge=1, description="Statements running at once in their first moment."
    )
    slow_threads: int = Field(default=16, ge=1, description="Statements running at once after it.")
    queue_seconds: Seconds = Field(
        default=30.0, description="Time a statement waits for its turn (53300)."
    )
    request_seconds: Seconds = Field(
        default=30.0, gt=0, description="Time one request may take (08006)."
    )
    batch_rows: int = Field(default=8192, ge=1, description="Rows of a batch, after the first.")
