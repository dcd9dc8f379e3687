"""The keys of a ClickHouse data source."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from proxy.config.sources.base import Source
from proxy.config.units import Seconds


class ClickhouseSource(Source):
    """A ClickHouse server or cluster, over its HTTP interface."""

    type: Literal["clickhouse"] = Field(description="`clickhouse`")
    url: str = Field(
        repr=False,
        description="`https://host:8443/database`, of a user that can read the tables.",
    )
    username: str = Field(default="default", description="The user; one in the URL goes before it.")
    password: str = Field(
        default="", repr=False, description="Its password; one in the URL goes before it."
    )
    pool_size: int = Field(default=10, ge=1, description="Statements running at once.")
    queue_seconds: Seconds = Field(
        default=30.0, gt=0, description="Time a statement waits for its turn (53300)."
    )
    connect_seconds: Seconds = Field(
        default=10.0, gt=0, description="Time one try to connect may take (08006)."
    )
    retry_seconds: Seconds = Field(
        default=3.0, description="Time for which connecting is tried again at start."
    )
    read_seconds: Seconds = Field(
        default=300.0, gt=0, description="Time the server may be silent while waited for (08006)."
    )
    verify: bool = Field(default=True, description="Check the server's certificate.")
    ca_certificate: str = Field(
        default="", description="File of the authority that signed it; empty is the system's."
    )
    client_certificate: str = Field(default="", description="File of a certificate to log in with.")
    client_key: str = Field(default="", description="File of its key.")
    application_name: str = Field(
        default="cubewire", description="What `system.query_log` shows in its user agent."
    )
    settings: tuple[str, ...] = Field(
        default=(),
        description="More settings of every statement, such as `max_memory_usage=10000000000`.",
    )
