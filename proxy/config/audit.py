"""The configuration's section ``audit``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from proxy.audit.syslog import FACILITIES, SyslogAddress
from proxy.config.section import Section
from proxy.config.units import Bytes, Seconds


class AuditConfig(Section):
    """Who did what, one JSON line an event."""

    sink: Literal["off", "file", "stdout", "syslog"] = Field(
        default="off", description="`off`, `file`, `stdout` or `syslog`."
    )
    required: bool = Field(
        default=False,
        description="Refuse logins and statements (58030) while events cannot be written.",
    )
    chain: bool = Field(
        default=False, description="Chain the lines, for `cubewire audit verify` to check."
    )
    key: Path | None = Field(
        default=None,
        description="File with the chain's key; where absent, one made from the login secret.",
    )
    sql: bool = Field(
        default=False, description="Write the statements' text, which may hold values."
    )
    queue_lines: int = Field(
        default=50_000, ge=100, description="Events that may wait for a sink that is slow or gone."
    )
    file: Path = Field(
        default=Path("audit.jsonl"),
        description="File of the sink `file`; with workers, `audit.worker-0.jsonl` and so on.",
    )
    max_bytes: Bytes = Field(
        default=100 * 1024 * 1024, description="Size at which a file is rotated; 0 is never."
    )
    max_age: Seconds = Field(default=0.0, description="Age at which it is rotated; 0 is never.")
    keep: int = Field(default=0, ge=0, description="Rotated files that are kept; 0 is all.")
    fsync: bool = Field(default=False, description="Flush every batch of lines to the disk.")
    syslog: str = Field(
        default="unix:/dev/log",
        description="Address of the sink `syslog`: `unix:/path`, `udp://host:port` or "
        "`tcp://host:port`.",
    )
    syslog_facility: str = Field(default="authpriv", description="Facility of its messages.")

    @field_validator("sink", mode="before")
    @classmethod
    def _off(cls, value: object) -> object:
        """YAML 1.1 reads a bare ``off`` as false."""
        return "off" if value is False else value

    @field_validator("syslog")
    @classmethod
    def _address(cls, value: str) -> str:
        SyslogAddress.parse(value)
        return value

    @field_validator("syslog_facility")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in FACILITIES:
            raise ValueError(f"audit.syslog_facility is one of {', '.join(FACILITIES)}")
        return value
