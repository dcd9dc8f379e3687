"""The keys of a DuckDB data source."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from proxy.config.sources.base import Source
from proxy.config.units import Seconds


class DuckdbSource(Source):
    """A DuckDB database file, inside this process."""

    type: Literal["duckdb"] = Field(description="`duckdb`")
    path: str = Field(default=":memory:", description="Database file, or `:memory:`.")
    read_only: bool = Field(
        default=True, description="Open the file read-only, so that several processes can."
    )
    threads: int = Field(default=0, ge=0, description="Threads of the engine; 0 is one per core.")
    memory_limit: str = Field(
        default="", description="Such as `4GB`; empty is half of the machine for all workers."
    )
    temp_directory: str = Field(
        default="",
        description="Where large results spill; empty is the system's, `none` is nowhere.",
    )
    max_temp_size: str = Field(default="20GB", description="What may be spilled at most.")
    allowed_directories: tuple[str, ...] = Field(
        default=(), description="Folders that views of the database may read."
    )
    setup: tuple[str, ...] = Field(
        default=(), description="Statements run once at start, before the database is locked."
    )
    quick_threads: int = Field(
        default=8, ge=1, description="Statements running at once in their first moment."
    )
    slow_threads: int = Field(default=16, ge=1, description="Statements running at once after it.")
    queue_seconds: Seconds = Field(
        default=30.0, description="Time a statement waits for its turn (53300)."
    )
    batch_rows: int = Field(default=8192, ge=1, description="Rows of a batch, after the first.")
    nice: int = Field(
        default=10, ge=0, le=19, description="Nice value of threads with long statements."
    )
