"""The keys of an SQLite data source."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from proxy.config.sources.base import Source
from proxy.config.units import Seconds


class SqliteSource(Source):
    """An SQLite file, inside this process."""

    type: Literal["sqlite"] = Field(description="`sqlite`")
    path: str = Field(description="Database file; opened read-only.")
    busy_seconds: Seconds = Field(default=5.0, description="Time to wait for a writer (55P03).")
    quick_threads: int = Field(
        default=8, ge=1, description="Statements running at once in their first moment."
    )
    slow_threads: int = Field(default=16, ge=1, description="Statements running at once after it.")
    queue_seconds: Seconds = Field(
        default=30.0, description="Time a statement waits for its turn (53300)."
    )
    batch_rows: int = Field(default=8192, ge=1, description="Rows of a batch, after the first.")
