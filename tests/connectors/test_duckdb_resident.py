"""Parquet files that are read often are read from memory, with the same answers."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors import duckdb_resident
from connectors.duckdb_connector import DuckDBConnector, DuckDBOptions
from connectors.errors import WarehouseError

ENOUGH = 4
"""A file is copied after it was named three times."""
BUDGET = 1024 * 1024


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "rollups"
    made.mkdir()
    return made


@asynccontextmanager
async def opened(
    folder: Path, budget: int = BUDGET, path: str = ":memory:"
) -> AsyncIterator[DuckDBConnector]:
    connector = DuckDBConnector(
        DuckDBOptions(
            path=path,
            allowed_directories=(str(folder),),
            resident_folder=str(folder),
            resident_bytes=budget,
        )
    )
    await connector.start()
    try:
        yield connector
    finally:
        await connector.close()


def stored(folder: Path, name: str, table: pa.Table | None = None) -> Path:
    path = folder / f"{name}.parquet"
    pq.write_table(pa.table({"n": [1, 2, None]}) if table is None else table, path)
    return path


async def ask(connector: DuckDBConnector, sql: str) -> pa.Table:
    stream = await connector.execute(sql)
    return pa.Table.from_batches([batch async for batch in stream], stream.schema)


async def ask_often(connector: DuckDBConnector, sql: str) -> pa.Table:
    for _ in range(ENOUGH):
        answer = await ask(connector, sql)
        await asyncio.sleep(0.05)
    return answer


def reading(path: Path, what: str = "*") -> str:
    name = str(path).replace('"', '""')
    return f'SELECT {what} FROM "{name}" AS "t" ORDER BY 1'


EVERY_KIND = pa.table(
    {
        "whole": pa.array([1, None, -(2**63)], pa.int64()),
        "exact": pa.array([Decimal("1.50"), None, -Decimal("9" * 18)], pa.decimal128(38, 2)),
        "inexact": pa.array([float("nan"), None, -0.0], pa.float64()),
        "truth": pa.array([True, None, False]),
        "text": pa.array(["long enough to be kept elsewhere", None, ""]),
        "day": pa.array([datetime.date(2013, 1, 1), None, datetime.date(9999, 12, 31)]),
        "moment": pa.array([datetime.datetime(2013, 1, 1, 12), None, None], pa.timestamp("us")),
        "instant": pa.array([0, None, 1], pa.timestamp("us", tz="UTC")),
        "raw": pa.array([b"\0\xff", None, b""], pa.binary()),
    }
)


async def test_what_is_read_often_needs_its_file_no_more(folder: Path) -> None:
    path = stored(folder, "often", EVERY_KIND)
    async with opened(folder) as connector:
        first = await ask(connector, reading(path))
        await ask_often(connector, reading(path))
        path.unlink()
        again = await ask(connector, reading(path))
    assert again.schema == first.schema
    assert again.drop(["inexact"]) == first.drop(["inexact"])
    assert list(map(str, again["inexact"])) == list(map(str, first["inexact"]))


async def test_a_file_that_is_read_seldom_is_read_itself(folder: Path) -> None:
    path = stored(folder, "seldom")
    async with opened(folder) as connector:
        await ask(connector, reading(path))
        path.unlink()
        with pytest.raises(WarehouseError):
            await ask(connector, reading(path))


async def test_nothing_is_held_without_a_budget(folder: Path) -> None:
    path = stored(folder, "often")
    async with opened(folder, 0) as connector:
        await ask_often(connector, reading(path))
        path.unlink()
        with pytest.raises(WarehouseError):
            await ask(connector, reading(path))


async def test_files_elsewhere_and_names_in_texts_are_left_alone(folder: Path) -> None:
    path = stored(folder, "named")
    async with opened(folder) as connector:
        answer = await ask_often(connector, f"SELECT '\"{path}\"' AS text")
        assert answer["text"].to_pylist() == [f'"{path}"']
        beside = stored(folder.parent, "beside")
        with pytest.raises(WarehouseError):
            await ask_often(connector, reading(beside))


async def test_names_with_quotes(tmp_path: Path) -> None:
    folder = tmp_path / 'it\'s a "folder"'
    folder.mkdir()
    database = tmp_path / "it's a base.duckdb"
    with duckdb.connect(str(database)) as made:
        made.execute("CREATE TABLE n AS SELECT 7 AS seven")
    path = stored(folder, 'odd "name"')
    async with opened(folder, path=str(database)) as connector:
        await ask_often(connector, reading(path))
        path.unlink()
        assert (await ask(connector, reading(path, "count(*) AS rows")))["rows"].to_pylist() == [3]
        assert (await ask(connector, "SELECT seven FROM n"))["seven"].to_pylist() == [7]


async def test_a_damaged_file_fails_its_statements_and_nothing_else(folder: Path) -> None:
    path = folder / "damaged.parquet"
    path.write_bytes(b"PAR1 not at all PAR1")
    async with opened(folder) as connector:
        for _ in range(ENOUGH):
            with pytest.raises(WarehouseError):
                await ask(connector, reading(path))
        good = stored(folder, "good")
        assert (await ask_often(connector, reading(good))).num_rows == 3


async def test_room_is_made_of_what_was_not_read_lately(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [stored(folder, name, pa.table({"n": range(100)})) for name in "abc"]
    monkeypatch.setattr(duckdb_resident, "_IDLE_SECONDS", 0.0)
    async with opened(folder, 2 * 800) as connector:
        for path in paths:
            await ask_often(connector, reading(path))
        for path in paths:
            path.unlink()
        with pytest.raises(WarehouseError):
            await ask(connector, reading(paths[0]))
        for path in paths[1:]:
            assert (await ask(connector, reading(path))).num_rows == 100


async def test_what_is_being_read_makes_no_room(folder: Path) -> None:
    held, other = (stored(folder, name, pa.table({"n": range(100)})) for name in "ab")
    async with opened(folder, 900) as connector:
        await ask_often(connector, reading(held))
        await ask_often(connector, reading(other))
        held.unlink()
        other.unlink()
        assert (await ask(connector, reading(held))).num_rows == 100
        with pytest.raises(WarehouseError):
            await ask(connector, reading(other))
