"""The keys of a DuckDB data source."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from proxy.config.section import Section
from proxy.config.sources.base import Source
from proxy.config.units import Seconds


class LakeTable(Section):
    """A table of a data lake, which cubes name as they name tables of the database."""

    format: Literal["parquet", "delta", "iceberg"] = Field(
        description="What lies there. Delta and Iceberg need the extra of that name."
    )
    url: str | None = Field(
        default=None,
        description="Absolute path or URL (`s3://`, `gs://`, `az://`): of Parquet a pattern like "
        "`s3://bucket/orders/*.parquet`, of Delta the folder, of Iceberg the metadata.",
    )
    partitions: dict[str, str] = Field(
        default_factory=dict,
        description="Of Parquet: the types of what folders such as `region=EU` tell, by name.",
    )
    name: str | None = Field(
        default=None,
        description="Of Iceberg, instead: the table's name in the catalog that `metadata` names.",
    )

    @model_validator(mode="after")
    def _of_its_format(self) -> LakeTable:
        if self.partitions and self.format != "parquet":
            raise ValueError(f"a {self.format} table knows its partitions itself")
        if self.name is not None and self.format != "iceberg":
            raise ValueError("only Iceberg tables have a name in a catalog")
        if (self.url is None) == (self.name is None):
            raise ValueError("either url (or, of Iceberg, name) says where the table is")
        return self


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
    tables: dict[str, LakeTable] = Field(
        default_factory=dict,
        description="Tables of a data lake, by the names under which cubes read them.",
    )
    storage: dict[str, Any] = Field(
        default_factory=dict,
        repr=False,
        description="Options of the fsspec driver that reads their files, such as `key`, `secret`, "
        "`endpoint_url`; absent, the driver's own (environment, role of the machine).",
    )
    metadata: dict[str, Any] = Field(
        default_factory=dict,
        repr=False,
        description="Options of delta-rs (`AWS_ENDPOINT_URL`) or pyiceberg (`uri` of a catalog, "
        "`s3.endpoint`), which read what the tables are; absent, their own.",
    )
    table_seconds: Seconds = Field(
        default=30.0, gt=0, description="How often is looked whether the tables have changed."
    )
