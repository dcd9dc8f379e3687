"""The keys of pre-aggregations."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from connectors.bucket import check_url
from proxy.config.section import Section
from proxy.config.units import Bytes, Seconds


class RollupsConfig(Section):
    """Pre-aggregations: where they are kept, and who builds them."""

    refresh: Literal["leader", "always", "off"] = Field(
        default="leader",
        description="Who builds: `leader`, one of all that serve; `always`, each; `off`, none "
        "(`cubewire refresh` does).",
    )
    postgres_schema: str = Field(
        default="cubewire_rollups",
        min_length=1,
        max_length=63,
        description="Schema of their tables in a PostgreSQL warehouse, for this model alone.",
    )
    directory: Path | None = Field(
        default=None,
        description="Folder of their Parquet files; in the state folder where absent.",
    )
    url: str | None = Field(
        default=None,
        description="Bucket of their Parquet files, shared by all hosts: `s3://bucket/prefix`, "
        "`gs://`, `az://`; `directory` then holds what has been fetched.",
    )
    storage: dict[str, Any] = Field(
        default_factory=dict,
        repr=False,
        description="Options of the bucket's fsspec driver, such as `key`, `secret`, "
        "`endpoint_url`; absent, the driver's own (environment, role of the machine).",
    )
    parallel: int = Field(default=2, ge=1, description="Partitions built at once.")
    interval: Seconds = Field(
        default=10.0, gt=0, description="How often is looked for what is due, at least."
    )
    poll: Seconds = Field(
        default=2.0, gt=0, description="How often a server looks for what has been built."
    )
    grace: Seconds = Field(
        default=900.0,
        description="How long replaced data stays: longer than any statement runs.",
    )
    memory_bytes: Bytes = Field(
        default=128 * 2**20,
        description="Of the Parquet files that are read often, what each DuckDB database of a "
        "process holds in memory; 0 is nothing.",
    )
    build_timeout: Seconds = Field(
        default=0.0, description="A partition that takes longer is given up; 0 is never."
    )

    @field_validator("url")
    @classmethod
    def _of_objects(cls, value: str | None) -> str | None:
        if value is not None:
            check_url(value)
        return value

    @field_validator("refresh", mode="before")
    @classmethod
    def _off(cls, value: object) -> object:
        """YAML 1.1 reads a bare ``off`` as false."""
        return "off" if value is False else value
