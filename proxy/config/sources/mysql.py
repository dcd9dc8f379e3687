"""The keys of data sources that speak the MySQL protocol."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from proxy.config.sources.base import Source
from proxy.config.units import Seconds


class MysqlSource(Source):
    """A MySQL or MariaDB database, or what speaks like one."""

    type: Literal["mysql", "mariadb", "starrocks", "doris"] = Field(
        description="`mysql`, `mariadb`, `starrocks` or `doris`"
    )
    host: str = Field(default="127.0.0.1", description="Name or address of the server.")
    port: int = Field(default=3306, ge=1, le=65535, description="Its port.")
    socket: str = Field(
        default="", description="Its socket on this machine, instead of host and port."
    )
    user: str = Field(default="", description="Who logs in; SELECT is all that it needs.")
    password: str = Field(default="", repr=False, description="The password.")
    database: str = Field(default="", description="Database of unqualified tables.")
    ssl_mode: Literal["disabled", "required", "verify-ca", "verify-identity"] = Field(
        default="required",
        description="TLS; only the last two tell the server from one in its place.",
    )
    ssl_ca: str = Field(
        default="", description="Who may sign the server's certificate; empty is the system's."
    )
    ssl_cert: str = Field(default="", description="Certificate to log in with.")
    ssl_key: str = Field(default="", description="Its key.")
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
