"""The keys of a SQL Server data source."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from proxy.config.sources.base import Source
from proxy.config.units import Seconds


class SqlserverSource(Source):
    """A SQL Server, or a database of Azure SQL."""

    type: Literal["sqlserver"] = Field(description="`sqlserver`")
    host: str = Field(description="Host of the server.")
    user: str = Field(description="The login.")
    password: str = Field(repr=False, description="Its password.")
    database: str = Field(default="", description="Database of unqualified tables.")
    port: int = Field(default=1433, ge=1, le=65535, description="Its port, or an instance's own.")
    encrypt: bool = Field(default=True, description="Encrypt the connection, password and all.")
    ca_file: str = Field(
        default="", description="Certificates (PEM) that vouch for the server's; else the system's."
    )
    verify_host: bool = Field(default=True, description="Check whose the server's certificate is.")
    application: str = Field(default="cubewire", description="What the server shows.")
    replica: bool = Field(default=False, description="Let a readable replica answer.")
    login_seconds: Seconds = Field(
        default=15.0, gt=0, description="Time logging in may take (08001)."
    )
    quick_threads: int = Field(
        default=8, ge=1, description="Statements running at once in their first moment."
    )
    slow_threads: int = Field(default=16, ge=1, description="Statements running at once after it.")
    queue_seconds: Seconds = Field(
        default=30.0, description="Time a statement waits for its turn (53300)."
    )
    batch_rows: int = Field(default=8192, ge=1, description="Rows of a batch, after the first.")
