"""The keys of a Snowflake data source."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from proxy.config.sources.base import Source
from proxy.config.units import Seconds


class SnowflakeSource(Source):
    """A Snowflake account."""

    type: Literal["snowflake"] = Field(description="`snowflake`")
    account: str = Field(description="The account's identifier.")
    user: str = Field(description="The login.")
    password: str = Field(default="", repr=False, description="Its password.")
    private_key_file: str = Field(default="", description="PEM file for key-pair authentication.")
    private_key_password: str = Field(default="", repr=False, description="Of that file.")
    token: str = Field(default="", repr=False, description="For OAuth, or an access token.")
    authenticator: str = Field(default="", description="As the driver names it.")
    role: str = Field(default="", description="Role that statements run as.")
    warehouse: str = Field(default="", description="Warehouse that computes.")
    database: str = Field(default="", description="Database of unqualified tables.")
    schema_name: str = Field(default="", description="Schema of unqualified tables.")
    host: str = Field(default="", description="Where it is not the account's own.")
    port: int = Field(default=443, ge=1, le=65535, description="Of that host.")
    protocol: str = Field(default="https", description="Of that host.")
    tags: tuple[Literal["user", "cube", "statement"], ...] = Field(
        default=("user", "cube", "statement"), description="What is told of each statement."
    )
    query_tag: str = Field(default="cubewire", description="What the query history shows.")
    login_seconds: Seconds = Field(
        default=30.0, gt=0, description="Time logging in may take (08001)."
    )
    quick_threads: int = Field(
        default=8, ge=1, description="Statements running at once in their first moment."
    )
    slow_threads: int = Field(default=16, ge=1, description="Statements running at once after it.")
    queue_seconds: Seconds = Field(
        default=30.0, description="Time a statement waits for its turn (53300)."
    )
    batch_rows: int = Field(default=8192, ge=1, description="Rows of a batch, after the first.")
