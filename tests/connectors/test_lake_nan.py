"""Files tell the ranges of their columns without NaN, which DuckDB believes if it is not told."""

from __future__ import annotations

from pathlib import Path

import deltalake
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.sql import SqlCatalog

from tests.connectors.test_lake import catalog, opened, rows, where

__all__ = ["catalog"]

NUMBERS = pa.table({"x": pa.array([1.0, float("nan"), -2.0, None])})
OF_NUMBERS = {
    "SELECT count(*) AS n FROM t WHERE x > 5": 1,
    "SELECT count(*) AS n FROM t WHERE x <= 1": 2,
    "SELECT count(*) AS n FROM t WHERE x = 'NaN'::DOUBLE": 1,
    "SELECT count(*) AS n FROM t WHERE isnan(x)": 1,
    "SELECT count(*) AS n FROM (SELECT max(x) AS most FROM t) AS m WHERE isnan(most)": 1,
}


@pytest.mark.parametrize("form", ["parquet", "delta", "iceberg"])
async def test_rows_of_nan_are_found(tmp_path: Path, catalog: SqlCatalog, form: str) -> None:
    described = {"format": form, "url": str(tmp_path / "t")}
    if form == "parquet":
        pq.write_table(NUMBERS, tmp_path / "t")
    elif form == "delta":
        deltalake.write_deltalake(tmp_path / "t", NUMBERS)
    else:
        catalog.create_table("sales.numbers", schema=NUMBERS.schema).append(NUMBERS)
        described = {"format": "iceberg", "name": "sales.numbers"}
    metadata = where(tmp_path) if form == "iceberg" else {}
    async with opened({"t": described}, metadata=metadata) as connector:
        for sql, count in OF_NUMBERS.items():
            assert await rows(connector, sql) == [(count,)], sql
