"""The keys of the stage: what is computed in this process, of rows that were fetched."""

from __future__ import annotations

from pydantic import Field

from proxy.config.section import Section
from proxy.config.units import Bytes


class StagingConfig(Section):
    """Statements that no data source computes alone: DuckDB in this process does the rest."""

    max_rows: int = Field(
        default=5_000_000, ge=1, description="Rows that one statement may fetch (54000)."
    )
    max_bytes: Bytes = Field(
        default=1024**3, ge=1, description="Bytes that one statement may fetch (54000)."
    )
    memory_limit: str = Field(
        default="",
        description="Such as `4GB`, of all statements of a worker; empty is a quarter of the "
        "machine for all workers. More spills.",
    )
    temp_directory: str = Field(
        default="", description="Where it spills; empty is the system's, `none` is nowhere."
    )
    max_temp_size: str = Field(default="20GB", description="What may be spilled at most.")
